"""A registry against a dictionary: whatever is registered, freed, described, or ends, and whoever takes it over."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from actorlab.errors import NameTaken
from actorlab.ids import pack
from actorlab.registry import LocalBackend, SharedBackend, SharedReader

NAMES = st.sampled_from([f"name {n}" for n in range(6)] + ["Ω" * 20])
ADDRESSES = st.builds(pack, st.integers(1, 3), st.integers(1, 4), st.integers(1, 2))


class RegistryMachine(RuleBasedStateMachine):
    """The model: name → (address, metadata), and who has ended."""

    shared = True

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, tuple[int, Any]] = {}
        self.ended: set[int] = set()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "names"
        self.backend: Any
        self.reader: Any = None
        if self.shared:
            self.backend = SharedBackend.create(self.path, partitions=2, capacity=4, is_alive=self._is_alive)
            self.reader = SharedReader.open(self.path)
        else:
            self.backend = LocalBackend(partitions=2, is_alive=self._is_alive)

    def _is_alive(self, address: int) -> bool:
        return address not in self.ended

    def teardown(self) -> None:
        if self.reader is not None:
            self.reader.close()
        self.backend.close()
        self.folder.cleanup()

    @rule(name=NAMES, address=ADDRESSES, metadata=st.none() | st.dictionaries(st.text(max_size=3), st.integers(0, 9)))
    def register(self, name: str, address: int, metadata: Any) -> None:
        self.ended.discard(address)
        owner = self.names.get(name)
        if owner is not None and owner[0] != address and owner[0] not in self.ended:
            with pytest.raises(NameTaken):
                self.backend.register(name, address, metadata)
        else:
            self.backend.register(name, address, metadata)
            self.names[name] = (address, metadata or {})

    @rule(name=NAMES, address=st.none() | ADDRESSES)
    def unregister(self, name: str, address: int | None) -> None:
        owner = self.names.get(name)
        frees = owner is not None and address in (None, owner[0])
        assert self.backend.unregister(name, address) == frees
        if frees:
            del self.names[name]

    @rule(address=ADDRESSES)
    def end(self, address: int) -> None:
        """It ends, and the registry does not hear of it: its names can be had."""
        self.ended.add(address)

    @rule(address=ADDRESSES)
    def release_owner(self, address: int) -> None:
        freed = {name for name, (owner, _) in self.names.items() if owner == address}
        assert set(self.backend.release_owner(address)) == freed
        for name in freed:
            del self.names[name]

    @rule(home=st.integers(1, 3))
    def release_home(self, home: int) -> None:
        freed = {name for name, (owner, _) in self.names.items() if owner >> 56 == home}
        assert set(self.backend.release_home(home)) == freed
        for name in freed:
            del self.names[name]

    @rule(name=NAMES, metadata=st.dictionaries(st.text(max_size=3), st.integers(0, 9)))
    def describe(self, name: str, metadata: Any) -> None:
        entry = self.backend.update_metadata(name, metadata)
        assert (entry is not None) == (name in self.names)
        if entry is not None:
            self.names[name] = (self.names[name][0], metadata)

    @rule()
    def take_over(self) -> None:
        if self.shared:
            self.backend.close()
            self.backend = SharedBackend.adopt(self.path, is_alive=self._is_alive)

    @invariant()
    def everybody_sees_the_model(self) -> None:
        for seen in (self.backend, self.reader):
            if seen is not None:
                assert {entry.name: (entry.address, dict(entry.metadata)) for entry in seen.items()} == self.names
                assert seen.count() == len(self.names)
                for name, (address, _) in self.names.items():
                    assert seen.whereis(name) == address
                assert seen.whereis("nobody") is None


@pytest.mark.parametrize("shared", [True, False])
def test_a_registry_does_what_a_dictionary_does(shared):
    machine = type(f"Registry_{shared}", (RegistryMachine,), {"shared": shared})
    run_state_machine_as_test(machine, settings=settings(max_examples=30, stateful_step_count=30, deadline=None))
