"""Index: text files become Arrow tables that any process can search without building anything.

Pure but for reading the files it is given; used by actors.py (a shard each) and read by bm25.py. Everything of size
happens in C: `re`, `Counter`, `array` and Arrow's kernels; no numpy, which pyarrow does not need either.

    documents   path | line | length | text     a row a passage, sorted by path, then line; its row is its number
    terms       term | start | holding          sorted; its postings are [start, start + holding)
    postings    document | count | line         by term, then document; line counts from the passage's first, 0

A shard's tables have local numbers, and a vocabulary instead of sorted terms; `join` makes them one.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from .files import TextFile, read_text
from .passages import passages
from .ranking import MAX_COUNT
from .tokens import find_words, terms_of

DOCUMENTS = pa.schema(
    [("path", pa.large_string()), ("line", pa.int32()), ("length", pa.int32()), ("text", pa.large_string())]
)
TERMS = pa.schema([("term", pa.large_string()), ("start", pa.int64()), ("holding", pa.int32())])
POSTINGS = pa.schema([("document", pa.int32()), ("count", pa.uint16()), ("line", pa.uint8())])

_VOCABULARY = pa.schema([("term", pa.large_string())])
_OCCURRENCES = pa.schema([("term", pa.int32()), *POSTINGS])


class Tables(NamedTuple):
    """A searchable index: three tables, each of at most one chunk, so that their buffers can be read in place."""

    documents: Any
    terms: Any
    postings: Any

    @property
    def size_bytes(self) -> int:
        """What the tables take, and what a private copy of them would."""
        return sum(table.nbytes for table in self)


class Shard(NamedTuple):
    """A part of the corpus, tokenized: documents, its vocabulary in order of appearance, occurrences by document."""

    documents: Any
    vocabulary: Any
    occurrences: Any


class _Vocabulary(dict[str, int]):
    """Numbers terms in order of appearance."""

    def __missing__(self, term: str) -> int:
        self[term] = number = len(self)
        return number


class _Words(dict[str, tuple[int, ...]]):
    """What each word counts as, in numbers: a name is taken apart once a shard, not once an occurrence."""

    def __init__(self) -> None:
        self.vocabulary = _Vocabulary()

    def __missing__(self, word: str) -> tuple[int, ...]:
        numbers = self.vocabulary
        self[word] = counted = tuple([numbers[term] for term in terms_of(word)])
        return counted


def ingest(files: Iterable[TextFile]) -> Shard:
    """Read and tokenize files; about 6 MB/s of text. Files that vanished are left out, passages without words too."""
    words = _Words()
    paths: list[str] = []
    texts: list[str] = []
    first_lines, lengths = array("i"), array("i")
    terms, documents, counts, lines = array("i"), array("i"), array("H"), array("B")
    for file in files:
        for first_line, passage in passages(read_text(file) or ""):
            by_line = [list(chain.from_iterable(map(words.__getitem__, find_words(line)))) for line in passage]
            occurring = Counter(chain.from_iterable(by_line))
            if not occurring:
                continue
            begins: dict[int, int] = {}
            for at in range(len(by_line) - 1, -1, -1):  # backwards, so that the first line is what stays
                begins.update(dict.fromkeys(by_line[at], at))
            found = occurring.values()
            terms.extend(occurring)
            counts.extend(found if max(found) <= MAX_COUNT else [min(n, MAX_COUNT) for n in found])
            lines.extend(map(begins.__getitem__, occurring))
            documents.extend([len(paths)] * len(occurring))
            paths.append(file.path)
            texts.append("\n".join(passage))
            first_lines.append(first_line)
            lengths.append(occurring.total())
    return Shard(
        pa.table(
            [
                pa.array(paths, pa.large_string()),
                _wrap(first_lines, pa.int32()),
                _wrap(lengths, pa.int32()),
                pa.array(texts, pa.large_string()),
            ],
            schema=DOCUMENTS,
        ),
        pa.table([pa.array(words.vocabulary, pa.large_string())], schema=_VOCABULARY),
        pa.table(
            [
                _wrap(terms, pa.int32()),
                _wrap(documents, pa.int32()),
                _wrap(counts, pa.uint16()),
                _wrap(lines, pa.uint8()),
            ],
            schema=_OCCURRENCES,
        ),
    )


def join(shards: Sequence[Shard]) -> Tables:
    """Join shards, given in the order of their files, into one index; 0.1 µs a posting, and the memory twice."""
    vocabulary = pc.unique(pa.concat_tables([shard.vocabulary for shard in shards])["term"])
    terms = vocabulary.take(pc.sort_indices(vocabulary))
    moved: list[Any] = []
    before = 0
    for shard in shards:
        numbers = pc.index_in(shard.vocabulary["term"].combine_chunks(), value_set=terms)
        term, document, count, line = shard.occurrences.columns
        shifted = pc.add(document, pa.scalar(before, pa.int32()))
        moved.append(pa.table([pc.take(numbers, term), shifted, count, line], schema=_OCCURRENCES))
        before += shard.documents.num_rows
    occurrences = pa.concat_tables(moved).combine_chunks()
    # a stable sort by term alone: within a term the documents ascend already, shard after shard
    order = pc.array_sort_indices(_only_chunk(occurrences["term"]))
    ends = pc.run_end_encode(_only_chunk(occurrences["term"]).take(order), run_end_type=pa.int64()).run_ends
    starts = pa.concat_arrays([pa.array([0], pa.int64()), ends[:-1]])[: len(ends)]
    return Tables(
        pa.concat_tables([shard.documents for shard in shards]).combine_chunks(),
        pa.table([terms, starts, pc.subtract(ends, starts).cast(pa.int32())], schema=TERMS),
        occurrences.drop_columns("term").take(order).combine_chunks(),
    )


def _wrap(numbers: array[int], kind: Any) -> Any:
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])


def _only_chunk(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
