"""A supervisor that runs, against a small model of it: who lives, in which incarnation, after any sequence of events.

The rules themselves are tested against an oracle in test_plan_oracle.py; here they are carried out, with real actors.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

import actorlab as al

RESTARTS = ("permanent", "transient", "temporary")


class Child(al.Actor):
    """Notes its starts."""

    def __init__(self, starts: list[str], name: str) -> None:
        starts.append(name)

    def end(self, how: str) -> None:
        if how == "crash":
            raise ValueError("asked to")
        self.stop("normal")


class SupervisorMachine(RuleBasedStateMachine):
    """The model: the children in their order, each with its restart type, whether it runs, and its number of starts."""

    strategy = "one_for_one"

    def __init__(self) -> None:
        super().__init__()
        self.node = al.Node(workers=0, log_level="CRITICAL")
        self.starts: list[str] = []
        self.order: list[str] = []
        self.types: dict[str, str] = {}
        self.runs: dict[str, bool] = {}
        self.count: dict[str, int] = {}
        self.serial = 0
        self.root: Any = self.node.start(al.Supervisor(strategy=self.strategy, max_restarts=100_000, children=[]))

    def teardown(self) -> None:
        self.node.stop()

    @rule(restart=st.sampled_from(RESTARTS))
    def start(self, restart: str) -> None:
        self.serial += 1
        name = f"child {self.serial}"
        self.root.call.start_child(al.child(Child, self.starts, name, name=name, restart=restart, placement="local"))
        self.order.append(name)
        self.types[name], self.runs[name], self.count[name] = restart, True, 1

    def _started(self, name: str) -> None:
        self.runs[name] = True
        self.count[name] += 1

    def _forget(self, name: str) -> None:
        self.order.remove(name)

    @precondition(lambda self: any(self.runs[name] for name in self.order))
    @rule(data=st.data(), how=st.sampled_from(("crash", "stop")))
    def end(self, data: Any, how: str) -> None:
        name = data.draw(st.sampled_from([name for name in self.order if self.runs[name]]))
        self.node.whereis(name).cast.end(how)
        self.node.wait_idle()
        self.runs[name] = False
        if self.types[name] == "permanent" or (self.types[name] == "transient" and how == "crash"):
            place = self.order.index(name)
            group = {"one_for_one": [name], "rest_for_one": self.order[place:], "one_for_all": list(self.order)}
            for other in group[self.strategy]:
                if other == name:
                    self._started(other)
                elif self.types[other] == "temporary":
                    self._forget(other)  # OTP's rule: taken down with its group, it is gone
                else:
                    self._started(other)
        elif self.types[name] == "temporary":
            self._forget(name)

    @precondition(lambda self: self.order)
    @rule(data=st.data())
    def terminate(self, data: Any) -> None:
        name = data.draw(st.sampled_from(self.order))
        self.root.call.terminate_child(name)
        self.runs[name] = False
        if self.types[name] == "temporary":
            self._forget(name)

    @precondition(lambda self: any(not self.runs[name] for name in self.order))
    @rule(data=st.data())
    def restart_or_delete(self, data: Any) -> None:
        name = data.draw(st.sampled_from([name for name in self.order if not self.runs[name]]))
        if data.draw(st.booleans()):
            self.root.call.restart_child(name)
            self._started(name)
        else:
            self.root.call.delete_child(name)
            self._forget(name)

    @rule()
    def refuse_what_is_not_there(self) -> None:
        with pytest.raises(al.NoSuchChild):
            self.root.call.terminate_child("nobody")

    @invariant()
    def who_lives_is_who_should(self) -> None:
        children = self.root.call.which_children()
        assert [child.name for child in children] == self.order
        for name in self.order:
            ref = self.node.whereis(name)
            assert (ref is not None and ref.is_alive()) == self.runs[name], name
            assert self.starts.count(name) == self.count[name], name


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
def test_a_supervisor_does_what_its_model_does(strategy):
    machine = type(f"Supervisor_{strategy}", (SupervisorMachine,), {"strategy": strategy})
    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        machine, settings=settings(max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=checks)
    )
