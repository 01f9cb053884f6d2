"""The node table gives each actor a slot that is its own, and shows it to everybody."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from actorlab.errors import SegmentCorrupt, SharedMemoryFull, TableFull
from actorlab.memory import Segment
from actorlab.transport import (
    CLASS_ID,
    DEPTH,
    HANDLED_SHIFT,
    IN_HAND_LOCAL,
    MAX_BLOCKS,
    MAX_CAPACITY,
    SLOT_U8,
    SLOT_U32,
    SLOT_WORDS,
    STATE,
    SUPERVISOR_EPOCH,
    WORD,
    ClassNames,
    Flag,
    NodeTable,
    State,
    in_hand,
    lane_and_block,
    node_table_layout,
    slot_template,
)


@pytest.fixture(params=["file", "anonymous"])
def table(request, tmp_path):
    if request.param == "file":
        made = NodeTable.create(tmp_path / "table", 10_000, 3)
    else:
        made = NodeTable.anonymous(10_000, 3)
    yield made
    made.close()


def test_every_field_lies_where_its_store_is_one_move():
    sizes = {"Q": 8, "I": 4, "H": 2, "B": 1}
    at, offsets = 0, []
    for letter in node_table_layout.SLOT.format.lstrip("<"):
        assert at % sizes[letter] == 0
        offsets.append(at)
        at += sizes[letter]
    assert at == node_table_layout.SLOT_BYTES
    layout = node_table_layout
    in_order = [layout.WORD * 8, layout.GENERATION * 4, layout.INCARNATION * 4, layout.STATE, layout.FLAGS, layout.FULL]
    in_order += [layout.OVERFLOW, CLASS_ID * 4, layout.CAPACITY * 4, DEPTH * 4, layout.FAILED * 4]
    in_order += [layout.DEAD_LETTERED * 4, layout.TIMEOUT_MS * 4, layout.DEPTH_AT * 2, layout.REDELIVER, layout.ATTEMPT]
    assert offsets == [*in_order, SUPERVISOR_EPOCH * 4, layout.TRIED * 4, layout.SUPERVISOR * 8]


def test_a_new_tenant_has_the_templates_fields_and_nothing_of_the_last(table):
    index, generation = table.allocate(slot_template(class_id=9, capacity=5, overflow=2, timeout_ms=70))
    table.words[index * SLOT_WORDS + WORD] = 77 << HANDLED_SHIFT | in_hand(2, 5)
    table.u32[index * SLOT_U32 + SUPERVISOR_EPOCH] = 78
    table.u32[index * SLOT_U32 + DEPTH] = 4
    old = table.read(index)
    assert (old.handled, old.in_hand, old.supervisor_epoch, old.depth) == (77, in_hand(2, 5), 78, 4)
    assert (old.class_id, old.capacity, old.overflow, old.timeout_ms) == (9, 5, 2, 70)
    table.release(index)
    template = slot_template(redeliver=2, flags=Flag.SUPERVISED | Flag.BLOCKING, supervisor=2**63 + 1)
    again, next_generation = table.allocate(template)
    assert (again, next_generation) == (index, generation + 1)
    new = table.read(index)
    assert (new.state, new.generation, new.incarnation) == (State.STARTING, next_generation, 0)
    assert (new.handled, new.in_hand, new.supervisor_epoch, new.depth, new.failed, new.attempt) == (0,) * 6
    assert (new.redeliver, new.flags, new.supervisor, new.full) == (2, 3, 2**63 + 1, False)


def test_generations_begin_at_one_and_skip_zero_when_they_wrap(table):
    index, generation = table.allocate()
    assert generation == 1
    table.u32[index * SLOT_U32 + 2] = 2**32 - 1
    table.release(index)
    assert table.allocate() == (index, 1)


def test_slots_are_told_apart_and_the_table_says_when_it_is_full(table):
    slots = table.allocate_many(10_000)
    assert sorted(index for index, _ in slots) == list(range(10_000))
    with pytest.raises(TableFull, match="10,000"):
        table.allocate()
    table.release(4711)
    assert table.allocate() == (4711, 2)


def test_growth_is_by_chunks_and_old_slots_are_used_first(table):
    assert table.grown == 0
    table.allocate()
    assert table.grown == 4096
    slots = table.allocate_many(4096)
    assert table.grown == 8192
    table.release(slots[7][0])
    assert table.allocate()[0] == slots[7][0]


def test_a_table_that_cannot_grow_says_so_and_keeps_what_it_has(tmp_path, monkeypatch):
    table = NodeTable.create(tmp_path / "table", 10_000, 1)
    table.allocate_many(4096)

    def no_room(fd, offset, length):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(SharedMemoryFull, match="the node table"):
        table.allocate()
    assert table.grown == 4096
    monkeypatch.undo()
    assert table.allocate()[0] == 4096
    table.close()


def test_readers_see_the_owners_stores_and_cannot_store(tmp_path):
    table, reader = NodeTable.create(tmp_path / "table", 5000, 2), None
    reader = NodeTable.open(tmp_path / "table")
    index, generation = table.allocate()
    table.u8[index * SLOT_U8 + STATE] = State.RUNNING
    seen = reader.read(index)
    assert (seen.state, seen.generation, reader.home, reader.capacity) == (State.RUNNING, generation, 2, 5000)
    assert reader.read(4999).state is State.FREE
    assert reader.count() == {State.RUNNING: 1}
    with pytest.raises(TypeError):
        reader.u8[STATE] = 0
    reader.close()
    table.close()


def test_an_heir_knows_the_tenants_and_gives_out_no_slot_of_theirs(tmp_path):
    table = NodeTable.create(tmp_path / "table", 5000, 2)
    slots = table.allocate_many(100)
    for index, _ in slots[::3]:
        table.release(index)
    dead = slots[1][0]
    table.u8[dead * SLOT_U8 + STATE] = State.DEAD
    table.close()
    heir = NodeTable.adopt(tmp_path / "table")
    tenants = {index for index, _ in slots} - {index for index, _ in slots[::3]}
    assert set(heir.live()) == tenants
    assert heir.count()[State.DEAD] == 1
    fresh = heir.allocate_many(4096 - len(tenants))
    assert not {index for index, _ in fresh} & tenants
    assert {generation for index, generation in fresh if index in dict(slots)} == {2}
    heir.close()


def test_a_table_of_a_million_costs_no_memory_until_it_is_used(tmp_path):
    table = NodeTable.create(tmp_path / "table")
    assert os.stat(tmp_path / "table").st_blocks * 512 < 1 << 20
    table.allocate_many(5000)
    assert os.stat(tmp_path / "table").st_blocks * 512 < 2 << 20
    table.close()


def test_a_file_that_is_no_table_is_refused(tmp_path):
    Segment.create(tmp_path / "odd", 4096, header=b"odd").close()
    with pytest.raises(SegmentCorrupt, match="starts with"):
        NodeTable.open(tmp_path / "odd")
    NodeTable.create(tmp_path / "table", 100).close()
    os.truncate(tmp_path / "table", 4096 + 64)
    with pytest.raises(SegmentCorrupt, match="do not make"):
        NodeTable.adopt(tmp_path / "table")


@pytest.mark.parametrize("capacity", [0, -1, MAX_CAPACITY + 1])
def test_a_capacity_out_of_range_is_refused(tmp_path, capacity):
    with pytest.raises(ValueError, match="slots"):
        NodeTable.create(tmp_path / "table", capacity)
    with pytest.raises(ValueError, match="slots"):
        NodeTable.anonymous(capacity)


def test_what_is_in_hand_has_a_code_for_every_block_of_every_lane():
    for slot in (0, 1, 250, 255):
        for block in (0, 1, MAX_BLOCKS - 1):
            code = in_hand(slot, block)
            assert 0 < code < 1 << HANDLED_SHIFT
            assert code != IN_HAND_LOCAL
            assert lane_and_block(code) == (slot, block)


def test_numbers_out_of_range_do_not_become_a_template():
    with pytest.raises(struct.error):
        slot_template(redeliver=256)


def test_class_names_keep_their_numbers_for_readers_and_heirs(tmp_path):
    names = ClassNames.create(tmp_path / "names")
    reader = ClassNames.open(tmp_path / "names")
    assert [names.class_id(name) for name in ("a.B", "c.D", "a.B", "é" * 700)] == [1, 2, 1, 3]
    assert [reader.name_of(number) for number in (1, 2, 0, 4, -1)] == ["a.B", "c.D", "?", "?", "?"]
    names.close()
    heir = ClassNames.adopt(tmp_path / "names")
    assert (heir.class_id("c.D"), heir.class_id("new")) == (2, 4)
    assert reader.name_of(4) == "new"
    assert heir.name_of(3) == "é" * 512
    heir.close()
    reader.close()


def test_more_class_names_than_fit_are_a_typed_refusal(tmp_path):
    names = ClassNames.create(tmp_path / "names")
    with pytest.raises(SharedMemoryFull, match="class name"):
        for number in range(5000):
            names.class_id(f"{number:1024d}")
    assert names.name_of(4000).strip() == "3999"
    names.close()
