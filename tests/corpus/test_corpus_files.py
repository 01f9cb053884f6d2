"""Which files are a corpus, and what is said when there is none."""

from __future__ import annotations

import os
import pickle
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorlab.corpus import TextFile, find_text, shards
from actorlab.corpus.files import default_folder, read_text
from actorlab.errors import CorpusError


@pytest.fixture
def tree(tmp_path):
    for name, content in {
        "b.py": b"b = 1\n",
        "a/z.txt": b"words\n",
        "a.py": b"a = 1\n",
        "latin.txt": b"gr\xfc\xdfe\n",
        "empty.py": b"",
        "picture.png": b"\x89PNG\0\0",
        "site-packages/other.py": b"other = 1\n",
        "__pycache__/a.pyc": b"a",
        ".git/config": b"[core]",
        "big.txt": b"x" * 2000,
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    os.symlink(tmp_path, tmp_path / "loop")
    os.symlink(tmp_path / "a.py", tmp_path / "link.py")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def test_text_is_found_in_the_order_of_paths_and_the_rest_is_counted(tree):
    corpus = find_text(str(tree), max_file_bytes=1000)
    assert [file.path for file in corpus.files] == ["a.py", "a/z.txt", "b.py", "latin.txt"]
    assert corpus.skipped == 5  # empty, picture, big, link, pipe
    assert corpus.size_bytes == 24


def test_a_path_that_is_no_unicode_can_be_shown(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff.txt", "w") as file:
        file.write("word\n")
    (file,) = find_text(str(tmp_path)).files
    assert file.path == "\ufffd.txt"
    assert read_text(file) == "word\n"


def test_bytes_that_are_no_utf8_are_replaced(tree):
    assert [read_text(file) for file in find_text(str(tree)).files][-1] == "gr\ufffd\ufffde\n"


def test_a_file_that_vanished_has_no_text(tree):
    file = find_text(str(tree)).files[0]
    os.unlink(file.location)
    assert read_text(file) is None


def test_the_standard_library_is_the_corpus_unless_told():
    assert os.path.isfile(os.path.join(default_folder(), "heapq.py"))


@pytest.mark.parametrize(
    ("name", "why"), [("missing", "no such folder"), ("file.txt", "not a folder"), ("empty", "no text file")]
)
def test_what_is_no_corpus_is_refused_with_its_path_and_a_remedy(tmp_path, name, why):
    (tmp_path / "file.txt").write_text("words")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match=why) as caught:
        find_text(str(tmp_path / name))
    assert str(tmp_path / name) in str(caught.value)
    assert caught.value.remedy in str(caught.value)


def test_an_unreadable_folder_is_refused_with_the_command_that_helps(tmp_path, monkeypatch):
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0)
    if os.geteuid() == 0:  # nothing is closed to root

        def refuse(path):
            raise PermissionError(13, "Permission denied", path)

        monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CorpusError, match=r"cannot be read \(Permission denied\).*chmod"):
        find_text(str(folder))
    folder.chmod(stat.S_IRWXU)


def test_the_error_survives_pickling():
    error = CorpusError("/nowhere", "there is no such folder", "make it")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=60), st.integers(1, 16))
def test_shards_keep_every_file_in_order_and_are_balanced(sizes, parts):
    files = [TextFile(f"{n:03}", "", size) for n, size in enumerate(sizes)]
    cut = shards(files, parts)
    assert [file for shard in cut for file in shard] == files
    assert len(cut) <= parts and all(cut)
    assert all(sum(file.size_bytes for file in shard) <= sum(sizes) / parts + max(sizes) for shard in cut)
