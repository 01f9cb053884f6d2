"""The roster log: every change of every roster, in shared memory, for replicas to follow.

Edge (files, memory); written by the registry's owner alone, read by any process of the node without a message. A
replica is a `Memberships` of one's own that has taken in the log up to some length; to be current it compares one word.
After Kafka's compacted topics: a log that is long for what is true is written anew, shorter, under the next number.

    members-<generation>
    ┌───────────────────────────────────────────────────────────────────────────────┐
    │ header (memory.layout)                                                        │    0 ..
    ├──────────────────┬──────────────────┬─────────────────────────────────────────┤
    │ tail             │ successor or 0   │ unused                                  │   64 ..
    ├──────────────────┴──────────────────┴─────────────────────────────────────────┤
    │ records, each at a multiple of 8, up to `tail` bytes                          │  128 ..
    └───────────────────────────────────────────────────────────────────────────────┘

    record   what (4) │ key's number (4) │ address (8) │ length of the bytes (4) │ unused (4) │ bytes
             a NAMED record's bytes are the key, a JOINED one's the metadata

Killed before the store into `tail`: the records of one change, or of one batch, are invisible, all of them. Killed
after it: the change is whole. Killed before the store into `successor`: the old log is still the current one, for
readers enter by the lowest number there is. Killed after it: the new log is whole, and the old one only lies about
until the directory goes. An owner's death is its node's death, so nobody adopts a log.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock

from ..errors import SegmentCorrupt
from ..memory import HEADER_BYTES, Segment, encode_header, round_up
from .membership import Memberships

NAMED, JOINED, LEFT = 1, 2, 3
Change = tuple[int, str, int, bytes]
"""What (JOINED or LEFT), key, address, packed metadata."""

_MAGIC, _VERSION = b"alMember", 1
_RECORD = struct.Struct("<IIQII")
_TAIL, _SUCCESSOR = HEADER_BYTES // 8, HEADER_BYTES // 8 + 1
_START = 2 * HEADER_BYTES
_PREFIX = "members-"
_LEAST_BYTES = 1 << 20
_STEP_BYTES = 64 * 1024
_SLACK = 4
"""A log is written anew when it is this many times longer than it was when it was new."""


class MembershipLog:
    """The one writer. Not safe for threads by itself: its owner has a lock."""

    def __init__(self, directory: Path) -> None:
        """Make an empty log in `directory`. Raises SharedMemoryFull."""
        self._directory = directory
        self._open(0, 0)

    def _open(self, generation: int, needed: int) -> None:
        path = self._directory / f"{_PREFIX}{generation}"
        # crash: members.open
        path.unlink(missing_ok=True)  # begun by a rewrite for which there was no room
        # crash: members.opened
        room = max(_LEAST_BYTES, _SLACK * needed)
        first = _START + round_up(needed + _STEP_BYTES, _STEP_BYTES)
        self._segment = Segment.create(
            path,
            _START + 2 * room + _STEP_BYTES,
            what="a log of group members",
            header=encode_header(_MAGIC, _VERSION),
            allocate_bytes=first,
        )
        self._words = self._segment.buf[:_START].cast("Q")
        self._generation, self._tail, self._room = generation, 0, room
        self._allocated = first
        self._numbers: dict[str, int] = {}

    def append(self, changes: Sequence[Change], before: Memberships) -> None:
        """Publish changes, all at once; `before` is what was true so far. Raises SharedMemoryFull; then nothing was."""
        numbers = dict[str, int]()
        data = self._encode(changes, numbers)
        if self._tail + len(data) > self._room:
            rewritten = dict[str, int]()
            whole = [*((JOINED, *row) for row in before.rows()), *changes]
            data = self._encode(whole, rewritten, fresh=True)
            self._rewrite(data, rewritten)
            return
        self._write(data)
        # crash: members.count
        self._words[_TAIL] = self._tail = self._tail + len(data)
        # crash: members.published
        self._numbers.update(numbers)

    def _encode(self, changes: Iterable[Change], new: dict[str, int], *, fresh: bool = False) -> bytes:
        known = {} if fresh else self._numbers
        parts: list[bytes] = []
        pack = _RECORD.pack
        for what, key, address, packed in changes:
            number = known.get(key) or new.get(key)
            if number is None:
                number = new[key] = len(known) + len(new) + 1
                encoded = key.encode()
                parts += (pack(NAMED, number, 0, len(encoded), 0), encoded, bytes(-len(encoded) % 8))
            parts.append(pack(what, number, address, len(packed), 0))
            if packed:
                parts += (packed, bytes(-len(packed) % 8))
        return b"".join(parts)

    def _write(self, data: bytes) -> None:
        start, end = _START + self._tail, _START + self._tail + len(data)
        if end > self._allocated:
            step = round_up(end - self._allocated, _STEP_BYTES)
            self._segment.allocate(self._allocated, min(step, self._segment.size_bytes - self._allocated))
            self._allocated += step
        # crash: members.write
        self._segment.buf[start:end] = data
        # Killed here: bytes behind the tail, which nobody reads and the next append writes over.
        # crash: members.written

    def _rewrite(self, data: bytes, numbers: dict[str, int]) -> None:
        old, old_words, old_generation = self._segment, self._words, self._generation
        kept = self._tail, self._room, self._allocated, self._numbers
        try:
            self._open(old_generation + 1, len(data))
            self._write(data)
        except BaseException:
            self._segment, self._words, self._generation = old, old_words, old_generation
            self._tail, self._room, self._allocated, self._numbers = kept
            raise
        self._numbers = numbers
        # crash: members.copied
        self._words[_TAIL] = self._tail = len(data)
        # crash: members.rewritten
        old_words[_SUCCESSOR] = self._generation
        # crash: members.succeeded
        Path(old.path).unlink(missing_ok=True)
        # crash: members.old_removed
        old_words.release()
        old.close()

    @property
    def generation(self) -> int:
        """How often the log was written anew."""
        return self._generation

    @property
    def size_bytes(self) -> int:
        """The bytes that the log takes of shared memory."""
        return self._allocated

    def close(self) -> None:
        """Let go of the memory; the file stays for its readers. May be called twice."""
        self._words.release()
        self._segment.close()


class MembershipReader:
    """A replica of the rosters in this process, made when it is first asked for. Any thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = Lock()
        self._words: memoryview[int] | None = None
        self._memberships = Memberships()
        self._seen = 0

    def current(self) -> Memberships:
        """Return the memberships, with every change that was published before this was called. No message is sent."""
        words = self._words
        if words is None or words[_TAIL] != self._seen or words[_SUCCESSOR]:
            with self._lock:
                self._catch_up()
        return self._memberships

    def _catch_up(self) -> None:
        if self._words is None:
            self._enter(self._lowest(), self._memberships)
        while True:
            words = self._words
            assert words is not None
            tail = words[_TAIL]
            if tail != self._seen:
                _apply(self._memberships, self._names, _records(self._bytes, _START + self._seen, _START + tail))
                self._seen = tail
            successor = words[_SUCCESSOR]
            if not successor:
                if words[_TAIL] == tail:
                    return
                continue
            # The new log says everything again; who reads meanwhile has the old replica, which was true a moment ago.
            self._enter(successor, Memberships(self._memberships.clock))

    def _enter(self, generation: int, memberships: Memberships) -> None:
        while True:
            path = self._directory / f"{_PREFIX}{generation}"
            try:
                segment = Segment.open(path, what="a log of group members")
                break
            except FileNotFoundError:
                generation = self._lowest()  # it has a successor already
        segment.geometry(_MAGIC, _VERSION)
        words = segment.buf[:_START].cast("Q")
        segment.close()  # its descriptor; the views keep the mapping
        names: dict[int, str] = {}
        tail = words[_TAIL]
        if not 0 <= tail <= segment.size_bytes - _START:
            raise SegmentCorrupt(str(path), f"its tail, {tail:,}, is behind its end")
        _apply(memberships, names, _records(segment.mmap, _START, _START + tail))
        self._bytes, self._names, self._seen = segment.mmap, names, tail
        self._words, self._memberships = words, memberships

    def _lowest(self) -> int:
        numbers = [int(file.name.removeprefix(_PREFIX)) for file in self._directory.glob(f"{_PREFIX}*")]
        if not numbers:
            raise SegmentCorrupt(str(self._directory), "the log of group members is missing")
        return min(numbers)

    def close(self) -> None:
        """Let go of the memory."""
        with self._lock:
            self._words = None


def _records(data: object, start: int, end: int) -> Iterable[tuple[int, int, int, bytes]]:
    unpack = _RECORD.unpack_from
    while start < end:
        what, number, address, length, _ = unpack(data, start)  # type: ignore[arg-type]
        start += _RECORD.size
        yield what, number, address, bytes(data[start : start + length]) if length else b""  # type: ignore[index]
        start += length + (-length % 8)


def _apply(memberships: Memberships, names: dict[int, str], records: Iterable[tuple[int, int, int, bytes]]) -> None:
    for what, number, address, packed in records:
        if what == JOINED:
            memberships.join(names[number], address, packed)
        elif what == LEFT:
            memberships.leave(names[number], address)
        else:
            names[number] = packed.decode()
