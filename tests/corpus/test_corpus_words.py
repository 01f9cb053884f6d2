"""Words, passages, scores: the definitions of an answer."""

from __future__ import annotations

import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.corpus import account, bm25, passages, ranking, tokens
from actorlab.corpus.ranking import Hit, best_line, idf, merge, rank_of, snippet, weight
from actorlab.corpus.tokens import query_terms, terms_of

TEXTS = st.text(alphabet=st.sampled_from("aBcDÄß_ 9.\n\t(é中"), max_size=400)


@pytest.mark.parametrize("module", [account, bm25, passages, ranking, tokens], ids=lambda module: module.__name__)
def test_the_examples_of_the_documentation_hold(module):
    assert doctest.testmod(module).failed == 0


@given(TEXTS)
def test_every_term_is_found_by_itself(text):
    for term in tokens.tokens(text):
        assert term in tokens.tokens(term)


@given(st.text(alphabet="abcäßéж", max_size=20))
def test_the_case_of_a_plain_word_does_not_matter(word):
    assert terms_of(word.upper()) == terms_of(word.capitalize()) == terms_of(word)


@given(st.lists(TEXTS, max_size=5))
def test_the_terms_of_lines_are_the_terms_of_the_text(lines):
    assert tokens.tokens("\n".join(lines)) == [term for line in lines for term in tokens.tokens(line)]


@given(st.text(max_size=60))
def test_no_term_is_empty_and_a_word_counts_for_none_twice(text):
    for word in tokens.find_words(text):
        terms = terms_of(word)
        assert all(terms) and len(set(terms)) == len(terms)


@pytest.mark.parametrize(
    ("word", "terms"),
    [
        ("heapq", ("heapq",)),
        ("Heap", ("heap",)),
        ("HTTP", ("http",)),
        ("max_workers", ("max_workers", "max", "workers")),
        ("getHTTPResponse", ("gethttpresponse", "get", "http", "response")),
        ("utf8", ("utf8", "utf")),
        ("Über_größe", ("über_grösse", "über", "grösse")),
        ("__", ()),
        ("x" * 65, ()),
    ],
)
def test_a_compound_counts_as_itself_and_its_parts(word, terms):
    assert terms_of(word) == terms


def test_numbers_are_no_words():
    assert tokens.tokens("42 0x1f 3.14 1e5 2nd") == []


def test_a_query_is_a_set_of_terms_in_sorted_order():
    assert query_terms("pool Thread pool") == ("pool", "thread")
    assert query_terms("  ... 42 ") == ()


@given(TEXTS | st.text(alphabet="ab \n", max_size=3000))
def test_passages_are_the_text_in_order_and_never_too_long(text):
    found = list(passages.passages(text))
    assert "\n".join(line for _, lines in found for line in lines) == text
    assert all(1 <= len(lines) <= passages.MAX_LINES for _, lines in found)
    assert [first for first, _ in found] == [1 + sum(len(lines) for _, lines in found[:n]) for n in range(len(found))]


def test_a_passage_ends_at_a_blank_line_once_it_is_long_enough():
    text = "\n".join(["a"] * 10 + [""] + ["a"] * 14 + ["  "] + ["a"] * 5)
    assert [(first, len(lines)) for first, lines in passages.passages(text)] == [(1, 26), (27, 5)]


def test_the_score_is_the_formula_of_the_paper():
    telling = math.log(1 + (10 - 2 + 0.5) / (2 + 0.5))
    assert idf(10, 2) == pytest.approx(telling)
    expected = telling * (3 * 2.2) / (3 + 1.2 * (0.25 + 0.75 * 120 / 80))
    assert weight(telling, 3, 120, 80.0) == pytest.approx(expected)


@given(st.integers(1, 10**6), st.integers(1, 10**4), st.integers(1, 10**4))
def test_a_term_never_counts_against_a_passage(documents, count, length):
    for holding in (1, documents // 2, documents):
        assert weight(idf(documents, holding), count, length, 50.0) > 0


def test_of_equal_lines_the_first_is_shown():
    assert best_line([(5, 1.0), (2, 1.0)]) == 2


def test_a_snippet_is_one_short_printable_line():
    assert snippet("\t a\x1b[31m \u2028 b\r") == "a [31m b"
    assert len(snippet("x" * 100_000)) == ranking.SNIPPET_LETTERS


HITS = st.builds(
    Hit, st.sampled_from("abc"), st.integers(1, 50), st.just(""), st.sampled_from([1.0, 2.0, 2.0000000000000004])
)


@given(st.lists(HITS, max_size=40, unique_by=lambda hit: (hit.path, hit.line)), st.integers(1, 12), st.integers(1, 20))
def test_merging_any_division_is_ranking_the_whole(hits, parts, k):
    divided = [sorted(hits[part::parts], key=rank_of)[:k] for part in range(parts)]
    assert merge(divided, k) == sorted(hits, key=rank_of)[:k]


@given(st.integers(0, 500), st.integers(1, 40))
def test_shares_cover_every_document_once_and_evenly(documents, parts):
    shares = [bm25.share(documents, part, parts) for part in range(parts)]
    assert [document for share in shares for document in share] == list(range(documents))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
