"""Amend: a running supervision tree is made into another, or left as it was.

Edge (it calls supervisors, and blocks); used by the node. What is to be done is the trees' difference (supervision).
First the children that go are stopped, the last started first, then the new ones are started; each step is undone if a
later one fails, so that what runs in the end is the new tree or the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..actor import ActorRef
from ..errors import ActorlabError, SpecError, StartError
from ..supervision import Change, DynamicSupervisor, PartitionSupervisor, Supervisor, changes

Tree = Supervisor | DynamicSupervisor | PartitionSupervisor

PATIENCE_S = 600.0
"""How long one child may take to stop or start; its own `shutdown` and `init_timeout_s` end it long before."""


def decide(running: Mapping[ActorRef[Any], Tree], tree: Supervisor) -> tuple[ActorRef[Any], tuple[Change, ...]]:
    """Return which of the running trees is to become `tree`, and how. Raises SpecError if that cannot be."""
    roots = [ref for ref, spec in running.items() if isinstance(spec, Supervisor)]
    if len(roots) > 1:
        roots = [ref for ref in roots if running[ref].name == tree.name]
    if len(roots) != 1:
        raise SpecError("amend", f"no running tree is called {tree.name!r}" if running else "no tree runs")
    (root,) = roots
    before = running[root]
    assert isinstance(before, Supervisor)
    todo = changes(before, tree)
    if refused := [str(change) for change in todo if change.what == "refuse"]:
        raise SpecError("amend", f"{'; '.join(refused)}: stop the node and start it again for that")
    return root, todo


def carry_out(root: ActorRef[Any], todo: Sequence[Change]) -> None:
    """Do all of `todo` below `root`. Raises StartError, and then has put back what there was; so does an interrupt."""
    undo: list[tuple[Change, Callable[[], object]]] = []
    try:
        for change in reversed(todo):
            if change.what in ("stop", "replace", "move"):
                _take_down(root, change, undo)
        for change in todo:
            if change.what in ("start", "replace", "move"):
                _put_up(root, change, undo)
            elif change.what == "keep":
                _respecify(root, change, undo)
    except BaseException as error:
        lost = []
        for done, back in reversed(undo):
            try:
                back()
            except Exception as again:
                lost.append(f"{done.child} ({_said(again)})")
        state = f"could not be put back: {', '.join(lost)}" if lost else "what ran before runs again"
        if not isinstance(error, Exception):
            error.add_note(f"the new tree: {state}")
            raise
        raise StartError("the new tree", f"{_said(error)}; {state}") from error


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, ActorlabError) else f"{type(error).__name__}: {error}"


def _supervisor(root: ActorRef[Any], path: Sequence[str]) -> Any:
    ref = root
    for name in path:
        below = ref.within(PATIENCE_S).call.where_child(name)
        if below is None:
            raise SpecError("amend", f"supervisor {name!r} does not run")
        ref = below
    return ref.within(PATIENCE_S).call


def _take_down(root: ActorRef[Any], change: Change, undo: list[tuple[Change, Callable[[], object]]]) -> None:
    supervisor = _supervisor(root, change.supervisor)

    def as_before() -> None:
        if _runs(supervisor, change.child):
            return
        if _is_known(supervisor, change.child):
            supervisor.terminate_child(change.child)  # what is on its way to its end is waited for
        if _is_known(supervisor, change.child):
            supervisor.restart_child(change.child)
        else:
            supervisor.start_child(change.old)

    if _is_known(supervisor, change.child):  # before its end: whatever comes between, it is put back from there
        undo.append((change, as_before))
    supervisor.terminate_child(change.child)
    if change.what != "replace" and _is_known(supervisor, change.child):
        supervisor.delete_child(change.child)


def _put_up(root: ActorRef[Any], change: Change, undo: list[tuple[Change, Callable[[], object]]]) -> None:
    supervisor = _supervisor(root, change.supervisor)
    if change.what == "replace" and _is_known(supervisor, change.child):

        def as_before() -> None:
            if _runs(supervisor, change.child):
                supervisor.terminate_child(change.child)
            supervisor.replace_spec(change.child, change.old)

        supervisor.replace_spec(change.child, change.new)
        undo.append((change, as_before))
        supervisor.restart_child(change.child)
        return
    supervisor.start_child(change.new)

    def forget() -> None:
        supervisor.terminate_child(change.child)
        if _is_known(supervisor, change.child):
            supervisor.delete_child(change.child)

    undo.append((change, forget))


def _respecify(root: ActorRef[Any], change: Change, undo: list[tuple[Change, Callable[[], object]]]) -> None:
    """Let a supervisor whose children have changed come back with these, should it be restarted."""
    supervisor = _supervisor(root, change.supervisor)
    supervisor.replace_spec(change.child, change.new)
    undo.append((change, lambda: supervisor.replace_spec(change.child, change.old)))


def _is_known(supervisor: Any, child: str) -> bool:
    return any(row.name == child for row in supervisor.which_children())


def _runs(supervisor: Any, child: str) -> bool:
    return any(row.name == child and row.status == "running" for row in supervisor.which_children())


