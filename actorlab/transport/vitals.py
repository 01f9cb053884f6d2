"""Vitals: what a process says of its own health, on a page that anybody may read even when it hangs.

An edge (memory). One file a process slot, written by the process in it: its heart (a thread) and its loop beat, the
garbage collector's pauses are counted in a callback of the collector's, and a census says how much anonymous memory
there was at how many actors of which class. Nothing here is on a message's way. All words are u64:

    64    epoch       of the process that writes, as on the board; 0 while it clears what its predecessor left
    72    beat_ns     when its heart beat last (monotonic)
    80    turned_ns   when its loop turned last, as far as its heart asked
    88    gc_count    collections; 96 gc_pause_ns all of them together; 104 gc_max_ns the longest
    112   frozen      objects that the collector does not look at
    120   thresholds  three
    144   full        collections of the oldest generation
    152   samples     of the census taken so far: the n-th, from 0, is in row n mod 128
    160   empty       anonymous bytes just before the first actor was built
    168   private     bytes that are this process's alone, where it must say so itself; 0 not said
    256   histogram   208 bins of pauses, eight an octave from 1 µs on
    4096  census      128 rows of 128 bytes: anonymous bytes u64, actors u32, depth u32, 14 × (class u32, actors u32)

Killed between two stores, a collection may stand in the histogram and not yet in the count, or a row of the census be
written and not count: a reader is off by that one. `epoch` is stored last by a new process and cleared first, so that
what a reader takes for one process's figures never mixes two processes'.
"""

from __future__ import annotations

import os
import struct
from math import frexp
from typing import Self

from ..errors import SegmentCorrupt
from ..lean_dataclass import dataclass
from ..memory import PAGE, Segment, encode_header

MAGIC = b"alVitals"
VERSION = 1

PER_OCTAVE = 8
FIRST_NS = 1024
BINS = 26 * PER_OCTAVE
SAMPLES = 128
SAMPLE_BYTES = 128
CLASSES_A_SAMPLE = 14

_EPOCH, _BEAT, _TURNED, _GC_COUNT, _GC_PAUSE, _GC_MAX, _FROZEN, _THRESHOLDS = 8, 9, 10, 11, 12, 13, 14, 15
_FULL, _SAMPLES_TAKEN, _EMPTY, _PRIVATE = 18, 19, 20, 21
_HISTOGRAM = 32
_CENSUS_AT = PAGE
FILE_BYTES = _CENSUS_AT + SAMPLES * SAMPLE_BYTES
_SAMPLE = struct.Struct(f"<QII{2 * CLASSES_A_SAMPLE}I")


def bin_of(pause_ns: int) -> int:
    """Return the histogram's bin of a pause.

    >>> bin_of(0), bin_of(1024), bin_of(2047), bin_of(2048), bin_of(10**18)
    (0, 0, 7, 8, 207)
    """
    if pause_ns < FIRST_NS:
        return 0
    mantissa, exponent = frexp(pause_ns / FIRST_NS)  # 0.5 ≤ mantissa < 1
    return min((exponent - 1) * PER_OCTAVE + int((mantissa - 0.5) * 2 * PER_OCTAVE), BINS - 1)


def upper_end_ns(number: int) -> float:
    """Return where a bin ends: no pause in it was longer (but in the last, which has no end).

    >>> upper_end_ns(7), upper_end_ns(8)
    (2048.0, 2304.0)
    """
    octave, part = divmod(number, PER_OCTAVE)
    return float(FIRST_NS * 2**octave * (1 + (part + 1) / PER_OCTAVE))


@dataclass(frozen=True, slots=True)
class Sample:
    """A row of the census: private heap at so many actors. `counts` are the most numerous classes, by number."""

    anonymous_bytes: int
    actors: int
    depth: int
    counts: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class VitalsView:
    """A vitals page as it was at one moment. Times are monotonic, of this boot."""

    epoch: int
    beat_ns: int
    turned_ns: int
    gc_count: int
    gc_full: int
    gc_pause_ns: int
    gc_max_ns: int
    frozen: int
    thresholds: tuple[int, int, int]
    empty_bytes: int
    """Anonymous memory before the first actor; 0 not known."""
    histogram: tuple[int, ...]
    samples: tuple[Sample, ...]
    """Oldest first; 127 of a full census."""
    private_bytes: int = 0
    """What the process said is its alone; 0: nothing."""

    def pause_quantile_s(self, share: float) -> float:
        """Return the pause that `share` of all did not exceed, at most an eighth too long (a bin's end); 0: none."""
        left = share * sum(self.histogram)
        for number, count in enumerate(self.histogram):
            left -= count
            if count and left <= 1e-9:
                return min(upper_end_ns(number), float(self.gc_max_ns) or upper_end_ns(number)) / 1e9
        return 0.0


class Vitals:
    """A vitals page as its process writes it: `beat` from its heart, `turned` from its loop, the rest from anywhere.

    Each word has one writer: the heart, the loop, or whichever thread the collector runs in (it is never in two).
    """

    def __init__(self, segment: Segment) -> None:
        """Use `occupy`."""
        segment.geometry(MAGIC, VERSION)
        if segment.size_bytes != FILE_BYTES:
            raise SegmentCorrupt(segment.path, f"a vitals page has {FILE_BYTES} bytes, not {segment.size_bytes}")
        self._segment, self._words = segment, segment.buf.cast("Q")
        self._bytes = segment.buf

    @classmethod
    def occupy(cls, path: str | os.PathLike[str], epoch: int) -> Self:
        """Take the page of a process slot as its new process, making it if need be. Raises SharedMemoryFull.

        Whoever had it is surely dead. Killed in here at any point: the epoch is 0 or the old one, which is not that
        of the board any more, so no reader believes the rest; the next process clears it all again.
        """
        if os.path.exists(path):
            page = cls(Segment.open(path, writable=True, grows=False, what="a vitals page"))
        else:
            header = encode_header(MAGIC, VERSION, BINS, SAMPLES)
            page = cls(Segment.create(path, FILE_BYTES, what="a vitals page", header=header))
        words = page._words
        # crash: occupy.clear
        words[_EPOCH] = 0
        # crash: occupy.fields
        for at in (*range(_BEAT, _PRIVATE + 1), *range(_HISTOGRAM, _HISTOGRAM + BINS)):
            # crash: occupy.each
            words[at] = 0
        # crash: occupy.epoch
        words[_EPOCH] = epoch
        # crash: occupy.done
        return page

    def beat(self, now_ns: int) -> None:
        """The heart beats."""
        # no crash point: one store of when it happened, and again at the next beat
        self._words[_BEAT] = now_ns

    def turned(self, now_ns: int) -> None:
        """The loop turns."""
        # no crash point: one store of when it happened, and again at the next turn
        self._words[_TURNED] = now_ns

    def count_pause(self, pause_ns: int, full: bool) -> None:
        """A collection is over. In the collector's callback: nothing collects meanwhile."""
        words = self._words
        at = _HISTOGRAM + bin_of(pause_ns)
        # crash: pause.bin
        words[at] += 1
        # Killed here: the quantiles know of it, the count does not.
        # crash: pause.total
        words[_GC_PAUSE] += pause_ns
        # crash: pause.longest
        if pause_ns > words[_GC_MAX]:
            words[_GC_MAX] = pause_ns
        # Killed here: longer than any that is counted, perhaps, by the one that is not.
        # crash: pause.full
        if full:
            words[_FULL] += 1
        # crash: pause.count
        words[_GC_COUNT] += 1
        # crash: pause.done

    @property
    def full_collections(self) -> int:
        """How often everything that is not frozen was looked at."""
        return self._words[_FULL]

    def say_gc(self, frozen: int, thresholds: tuple[int, int, int]) -> None:
        """Say how the collector is set."""
        words = self._words
        # crash: collector.frozen
        words[_FROZEN] = frozen
        # Killed in between: some as they were, which says nothing of a process that collects no more.
        # crash: collector.young
        words[_THRESHOLDS] = thresholds[0]
        # crash: collector.middle
        words[_THRESHOLDS + 1] = thresholds[1]
        # crash: collector.old
        words[_THRESHOLDS + 2] = thresholds[2]
        # crash: collector.said

    def say_private(self, size_bytes: int) -> None:
        """Say how much memory is this process's alone. One store: a reader sees the figure before or this one."""
        # crash: private.before
        self._words[_PRIVATE] = size_bytes
        # crash: private.said

    def add_sample(self, sample: Sample) -> None:
        """Add a row to the census; the oldest of 128 goes for it."""
        words = self._words
        taken = words[_SAMPLES_TAKEN]
        # crash: sample.empty
        if sample.actors <= 1:  # the one is about to be built; its class has been imported
            words[_EMPTY] = sample.anonymous_bytes
        flat = [number for pair in sample.counts[:CLASSES_A_SAMPLE] for number in pair]
        flat += [0] * (2 * CLASSES_A_SAMPLE - len(flat))
        at = _CENSUS_AT + taken % SAMPLES * SAMPLE_BYTES
        # crash: sample.row
        self._bytes[at : at + SAMPLE_BYTES] = _SAMPLE.pack(
            sample.anonymous_bytes, sample.actors, min(sample.depth, 2**32 - 1), *flat
        )
        # Killed here or before: the row does not count, and the older one in its place is shown no more.
        # crash: sample.count
        words[_SAMPLES_TAKEN] = taken + 1
        # crash: sample.done

    def close(self) -> None:
        """Unmap. Idempotent; the file stays."""
        self._words.release()
        self._segment.close()


def view_vitals(raw: bytes) -> VitalsView:
    """Return what the bytes of a vitals page say. Raises ValueError when they are none."""
    if len(raw) != FILE_BYTES or raw[:8].rstrip(b"\0") != MAGIC:
        raise ValueError(f"{len(raw)} bytes are no vitals page")
    words = memoryview(raw)[:_CENSUS_AT].cast("Q")
    taken = words[_SAMPLES_TAKEN]
    samples = []
    for number in range(max(0, taken - SAMPLES + 1), taken):  # the one before may be being overwritten
        anonymous, actors, depth, *flat = _SAMPLE.unpack_from(raw, _CENSUS_AT + number % SAMPLES * SAMPLE_BYTES)
        pairs = zip(flat[::2], flat[1::2], strict=True)
        samples.append(Sample(anonymous, actors, depth, tuple(pair for pair in pairs if pair[1])))
    return VitalsView(
        words[_EPOCH], words[_BEAT], words[_TURNED], words[_GC_COUNT], words[_FULL], words[_GC_PAUSE], words[_GC_MAX],
        words[_FROZEN], (words[_THRESHOLDS], words[_THRESHOLDS + 1], words[_THRESHOLDS + 2]),
        words[_EMPTY], tuple(words[_HISTOGRAM : _HISTOGRAM + BINS]), tuple(samples), words[_PRIVATE],
    )  # fmt: skip
