"""Real processes, killed by SIGKILL between any two stores of a node table: no slot leaks, no old reference fits."""

from __future__ import annotations

import os
import signal

import pytest

from actorlab.transport import (
    DEPTH,
    SLOT_U8,
    SLOT_U32,
    STATE,
    ClassNames,
    NodeTable,
    State,
    arm_crashpoints,
    class_names,
    crashpoint_labels,
    kill_at,
    node_table,
    slot_template,
)

CAPACITY = 5000


def killed_at(module, label, n, work):
    """Run `work(say)` in a child that dies at the n-th pass of `label`; return the lines it said."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            arm_crashpoints(module, kill_at(label, n))
            work(lambda *words: os.write(write, (" ".join(map(str, words)) + "\n").encode()))
            os._exit(0)
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read) as pipe:
        lines = [line.split() for line in pipe]
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    return lines


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("label", crashpoint_labels(node_table))
def test_an_owner_killed_anywhere_leaves_a_table_to_go_on_with(tmp_path, label, n):
    path = tmp_path / "table"
    NodeTable.create(path, CAPACITY, 1).close()

    def work(say):
        table = NodeTable.adopt(path)
        for turn in range(3):  # the second turn's tenants move into slots that had others
            slots = [table.allocate(slot_template(class_id=turn + 1)) for _ in range(20)]
            for index, generation in slots:
                table.u32[index * SLOT_U32 + DEPTH] = generation
                table.u8[index * SLOT_U8 + STATE] = State.RUNNING
                say("lives", index, generation)
            for index, generation in slots[:15]:
                say("ends", index, generation)
                table.release(index)
        table.allocate_many(4200)  # grows

    said = killed_at(node_table, label, n, work)
    lives = {(int(i), int(g)) for word, i, g in said if word == "lives"}
    ends = {(int(i), int(g)) for word, i, g in said if word == "ends"}
    heir = NodeTable.adopt(path)
    seen = {(index, heir.read(index).generation): heir.read(index).state for index in heir.live()}
    running = {slot for slot, state in seen.items() if state is State.RUNNING}
    assert lives - ends <= running <= lives
    # a slot whose owner was killed before it could say more is STARTING, and nobody has its address
    starting = {slot for slot, state in seen.items() if state is State.STARTING}
    assert not starting & ends
    if label == "allocate.state":
        assert not starting - lives or len(seen) == len(lives - ends) + len(starting)
    new = heir.allocate_many(CAPACITY - len(seen))
    assert {index for index, _ in new} | {index for index, _ in seen} == set(range(CAPACITY)), "a slot leaked"
    assert not set(new) & (lives | ends | set(seen)), "an old reference fits a stranger"
    assert all(heir.read(index).depth == 0 for index, _ in new)
    heir.close()


def test_no_prefix_of_a_new_tenancy_shows_an_old_reference_the_new_tenant(tmp_path):
    """A reader holds the first tenant's address and looks at every point of the second one's arrival."""
    path, looks = tmp_path / "table", []
    table, reader = NodeTable.create(path, CAPACITY, 1), NodeTable.open(path)
    index, generation = table.allocate(slot_template(class_id=1))
    table.u8[index * SLOT_U8 + STATE] = State.RUNNING

    def look(label):
        slot = reader.read(index)
        if slot.generation == generation:
            looks.append((slot.state, slot.class_id))

    undo = arm_crashpoints(node_table, look)
    try:
        table.release(index)
        assert table.allocate(slot_template(class_id=2)) == (index, generation + 1)
    finally:
        undo()
    assert set(looks) == {(State.RUNNING, 1), (State.FREE, 1)}
    reader.close()
    table.close()


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("label", crashpoint_labels(class_names))
def test_a_writer_of_class_names_killed_anywhere_loses_no_number(tmp_path, label, n):
    path = tmp_path / "names"
    ClassNames.create(path).close()

    def work(say):
        names = ClassNames.adopt(path)
        for number in range(5):
            say(number, names.class_id(f"class{number}"))

    said = killed_at(class_names, label, n, work)
    heir = ClassNames.adopt(path)
    for number, given in said:
        assert heir.name_of(int(given)) == f"class{number}"
    assert heir.class_id("another") == len(said) + 1 + (label == "name.done")
    assert heir.class_id("another") == heir.class_id("another")
    heir.close()
