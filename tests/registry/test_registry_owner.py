"""The reverse index, against a plain set of pairs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actorlab.ids import home_of, pack
from actorlab.registry.owner import Owners

addresses = st.sampled_from([pack(home, index, 1) for home in (1, 2) for index in (1, 2)])
pairs = st.tuples(st.booleans(), addresses, st.sampled_from("abcd"))


@given(st.lists(pairs, max_size=40))
def test_owners_hold_exactly_what_was_added_and_not_discarded(changes: list[tuple[bool, int, str]]) -> None:
    owners, model = Owners(), set[tuple[int, str]]()
    for adds, address, name in changes:
        (owners.add if adds else owners.discard)(address, name)
        (model.add if adds else model.discard)((address, name))
    held = {address for address, _ in model}
    for home in (1, 2, 3):
        assert sorted(owners.addresses_of(home)) == sorted(a for a in held if home_of(a) == home)
    for address in held:
        assert owners.names_of(address) == sorted(name for a, name in model if a == address)
