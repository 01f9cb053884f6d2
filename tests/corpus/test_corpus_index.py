"""The index against a plain scan: the same answers, however the corpus is divided."""

from __future__ import annotations

import os
import random

import pytest

from actorlab.corpus import Index, Scan, find_text, ingest, join, merge, shards, share
from actorlab.corpus.files import default_folder, read_text
from actorlab.corpus.index import DOCUMENTS, POSTINGS, TERMS
from actorlab.corpus.ranking import MAX_COUNT

WORDS = ["alpha", "beta", "gammaRay", "delta_force", "Epsilon", "ζeta", "HTTPServer", "iota", "9", "", "  "]
LIBRARY_QUERIES = [
    "json decode error",
    "cancel task timeout",
    "message header parse",
    "self return def",  # the words of nearly every passage
    "event loop selector",
    "JSONDecodeError",
    "nothing_has_this_name",
    "",
]


def generated(folder, seed):
    chance = random.Random(seed)
    for n in range(25):
        lines = [" ".join(chance.choices(WORDS, k=chance.randrange(8))) for _ in range(chance.randrange(150))]
        (folder / f"{chance.choice('abc')}{n}.txt").write_text("\n".join(lines) + "\n")
    # equal texts: only path and line can order them
    for n in range(4):
        (folder / f"same{n}.txt").write_text("twin\n" * 120)
    return find_text(str(folder))


@pytest.fixture(scope="module")
def library():
    root = default_folder()
    corpus = find_text(root)
    wanted = tuple(file for file in corpus.files if file.path.split("/")[0] in ("asyncio", "email", "json"))
    assert len(wanted) > 50 and os.path.isabs(corpus.folder)
    return wanted


@pytest.fixture(scope="module")
def library_index(library):
    return Index(join([ingest(shard) for shard in shards(library, 3)]))


@pytest.fixture(scope="module")
def library_scan(library):
    return Scan(library)


@pytest.mark.parametrize("seed", range(5))
def test_the_index_answers_as_the_plain_scan_does(tmp_path, seed):
    corpus = generated(tmp_path, seed)
    scan, index = Scan(corpus.files), Index(join([ingest(shard) for shard in shards(corpus.files, 4)]))
    chance = random.Random(seed)
    queries = [" ".join(chance.sample(WORDS, chance.randrange(1, 5))) for _ in range(12)]
    for query in [*queries, "twin", "twin alpha", "gamma", "ray force server"]:
        for k in (1, 7, 10_000):
            assert index.search(query, k) == scan.search(query, k), query


@pytest.mark.parametrize("query", LIBRARY_QUERIES)
def test_the_index_answers_as_the_plain_scan_does_on_real_text(library_index, library_scan, query):
    assert library_index.search(query, 10) == library_scan.search(query, 10)


@pytest.mark.parametrize("parts", [1, 5, 12, 10_000])
@pytest.mark.parametrize("query", LIBRARY_QUERIES)
def test_any_division_among_searchers_gives_the_same_answer(library_index, query, parts):
    ranked = [library_index.search(query, 10, share(library_index.size, part, parts)) for part in range(parts)]
    assert merge(ranked, 10) == library_index.search(query, 10)


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_any_division_among_readers_gives_the_same_tables(library, parts):
    one, other = join([ingest(library)]), join([ingest(shard) for shard in shards(library, parts)])
    assert [table.equals(same) for table, same in zip(one, other, strict=True)] == [True] * 3


def test_a_hit_points_at_a_line_that_holds_the_query(library, library_index):
    texts = {file.path: read_text(file).split("\n") for file in library}
    hits = library_index.search("JSONDecodeError", 10)
    assert len(hits) == 10
    for hit in hits:
        line = texts[hit.path][hit.line - 1]
        assert " ".join(line.split()) == hit.snippet
        assert "json" in line.lower()


def test_the_tables_are_of_one_chunk_and_have_the_documented_columns(library_index):
    tables = library_index.tables
    assert (tables.documents.schema, tables.terms.schema, tables.postings.schema) == (DOCUMENTS, TERMS, POSTINGS)
    assert all(column.num_chunks == 1 for table in tables for column in table.columns)
    assert tables.terms["term"].to_pylist() == sorted(tables.terms["term"].to_pylist())


def test_an_index_that_arrives_in_pieces_answers_the_same(library_index):
    import pyarrow as pa

    cut = [pa.concat_tables([table.slice(0, 5), table.slice(5)]) for table in library_index.tables]
    assert Index(type(library_index.tables)(*cut)).search("event loop", 5) == library_index.search("event loop", 5)


def test_a_word_that_fills_a_file_is_counted_no_further_than_the_index_can(tmp_path):
    (tmp_path / "long.txt").write_text("flood " * (MAX_COUNT + 10))
    (tmp_path / "short.txt").write_text("flood\n")
    corpus = find_text(str(tmp_path))
    hits = Index(join([ingest(corpus.files)])).search("flood", 2)
    assert hits == Scan(corpus.files).search("flood", 2)
    assert len(hits) == 2


def test_a_corpus_without_a_single_word_is_searched_in_vain(tmp_path):
    (tmp_path / "numbers.txt").write_text("1 2 3\n")
    index = Index(join([ingest(find_text(str(tmp_path)).files)]))
    assert (index.size, index.search("one two", 5)) == (0, [])


def test_a_file_that_vanishes_before_it_is_read_is_left_out(tmp_path):
    for name in ("gone.txt", "here.txt"):
        (tmp_path / name).write_text("needle\n")
    files = find_text(str(tmp_path)).files
    (tmp_path / "gone.txt").unlink()
    assert [hit.path for hit in Index(join([ingest(files)])).search("needle", 5)] == ["here.txt"]
