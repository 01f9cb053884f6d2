"""A child's snapshots in a file: what is read, what is refused and where, and what `check` shows of it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

import actorlab as al
from actorlab.cli import main
from actorlab.config import json_schema, load
from actorlab.errors import ConfigError, SpecError
from actorlab.supervision import changes

Write = Callable[..., Path]

MODULE = """
import actorlab as al


class Ledger(al.Actor):
    def snapshot(self):
        return 1

    def restore(self, state):
        pass


class Kept(Ledger):
    snapshots = al.Snapshots(every=3, store="kept.db")


class Forgetful(al.Actor):
    pass
"""


@pytest.fixture(autouse=True)
def _ledgers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "ledgers.py").write_text(MODULE)
    monkeypatch.chdir(folder)


def child(name: str, start: str, snapshots: str = "") -> str:
    said = f"snapshots = {snapshots}\n" if snapshots else ""
    return f'[[supervisor.children]]\nname = "{name}"\nstart = "ledgers:{start}"\n{said}'


def rules(path: Path) -> list[al.Snapshots | None]:
    tree = load(path).tree
    assert tree is not None
    return [spec.rule for spec in tree.children]  # type: ignore[union-attr]


def problems(path: Path) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return dict(caught.value.problems)


def test_a_file_says_what_code_can_say_and_the_class_says_the_rest(write: Write, folder: Path) -> None:
    text = child("a", "Ledger", '{ every = 10, interval = "30s", store = "states/all.db" }')
    text += child("b", "Kept", '{ store = "node" }') + child("c", "Kept") + child("d", "Ledger")
    assert rules(write(text)) == [
        al.Snapshots(every=10, interval_s=30.0, store=str(folder / "states/all.db")),
        al.Snapshots(every=3, store="node"),
        al.Snapshots(every=3, store="kept.db"),
        None,
    ]
    assert not (folder / "states").exists()


def test_all_that_is_wrong_is_told_at_its_key_with_what_to_do(
    write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("open", "shut", "own"):
        (folder / name).mkdir(mode=0o700)
    (folder / "open").chmod(0o777)
    (folder / "a.db").mkdir()
    (folder / "file").write_text("")
    (folder / "own" / "loose.db").write_text("")
    (folder / "own" / "loose.db").chmod(0o666)
    access = os.access
    shut = folder / "shut"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != shut and access(path, mode))
    text = (
        child("zero", "Ledger", "{ every = 0, interval = 0, often = 1 }")
        + child("ending", "Ledger", '{ store = "state.json" }')
        + child("class", "Forgetful", "{ every = 1 }")
        + child("taken", "Ledger", '{ store = "a.db" }')
        + child("others", "Ledger", '{ store = "open/state.db" }')
        + child("writable", "Ledger", '{ store = "shut/deep/state.arrows" }')
        + child("nowhere", "Ledger", '{ store = "file/state.arrows" }')
        + child("loose", "Ledger", '{ store = "own/loose.db" }')
        + child("", "Ledger", '{ store = "own/state.db" }').replace('name = ""\n', "")
        + child("shape", "Ledger", "true")
        + child("missing", "Missing", "{ every = 1 }")
    )
    found = problems(write(text))
    at = "supervisor.children[{}].snapshots{}".format
    stranger = "may be written by everybody"
    expected = {
        at(0, ".every"): "must be a whole number, 1 or more, not 0",
        at(0, ".interval"): "must be more than 0 s, not 0.0",
        at(0, ".often"): "unknown key; known here: every, interval, store",
        at(1, ".store"): "must be 'node', a database ('….db' or '….sqlite') or a folder of Arrow IPC files",
        at(2, ""): "Forgetful has no snapshot() and restore(state): define both, or leave this out",
        at(3, ".store"): f"{folder}/a.db is no file: give the store another name",
        at(4, ".store"): f"{folder}/open {stranger} (mode 777), who could run code as you through what is kept: chmod",
        at(5, ".store"): f"{shut} may not be written by uid {os.geteuid()}: chmod u+wx",
        at(6, ".store"): f"{folder}/file is no folder: keep it elsewhere",
        at(7, ".store"): f"{folder}/own/loose.db {stranger} (mode 666)",
        at(8, ""): "keeps by name, and it has none: give it one, or store='node'",
        at(9, ""): "must be a table ([snapshots]), not True",
        "supervisor.children[10].start": "Missing",
    }
    assert found.keys() == expected.keys()
    for path, says in expected.items():
        assert says in found[path], path


def test_copies_of_a_partition_take_them_too_but_have_no_names_to_keep_by(write: Write) -> None:
    head = '[[supervisor.children]]\ntype = "partition"\nname = "shards"\nstart = "ledgers:Ledger"\npartitions = 2\n'
    tree = load(write(head + "copies.snapshots = { every = 2 }\n")).tree
    assert tree is not None and tree.children[0].child.rule == al.Snapshots(every=2)  # type: ignore[union-attr]
    found = problems(write(head + 'copies.snapshots = { store = "state.db" }\n'))
    assert "copies of a partition have no names" in found["supervisor.children[0].copies.snapshots"]


def test_an_owner_who_is_neither_we_nor_root_is_refused(
    write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(child("a", "Ledger", '{ store = "mine/state.arrows" }'))
    (folder / "mine" / "state.arrows").mkdir(parents=True, mode=0o700)
    stat = os.stat

    def strange(path: object, **options: object) -> os.stat_result:
        found = stat(path, **options)  # type: ignore[call-overload]
        if str(path).endswith(".arrows"):
            return os.stat_result((*found[:4], 4711, *found[5:10]))
        return found

    monkeypatch.setattr(os, "stat", strange)
    (text,) = problems(path).values()
    assert "belongs to uid 4711, who could run code as you through what is kept: keep it in a folder of yours" in text


def test_a_folder_that_is_sticky_holds_a_folder_of_ours_but_no_database(write: Write, folder: Path) -> None:
    (folder / "shared").mkdir()
    (folder / "shared").chmod(0o1777)
    (folder / "shared" / "mine.arrows").mkdir(mode=0o700)
    assert rules(write(child("a", "Ledger", '{ store = "shared/mine.arrows" }')))[0] is not None
    assert "may be written by everybody" in str(problems(write(child("a", "Ledger", '{ store = "shared/a.db" }'))))


def test_code_is_refused_what_a_file_is() -> None:
    class Plain(al.Actor): ...

    class Ledger(al.Actor):
        def snapshot(self) -> None: ...
        def restore(self, state: object) -> None: ...

    with pytest.raises(SpecError, match=r"child 'p': snapshots: Plain has no snapshot\(\)"):
        al.child(Plain, name="p", snapshots=al.Snapshots())
    with pytest.raises(SpecError, match=r"child 'Ledger': snapshots: 'a.db' keeps by name, and it has none"):
        al.child(Ledger, snapshots=al.Snapshots(store="a.db"))
    with pytest.raises(SpecError, match=r"must be an al.Snapshots"):
        al.child(Ledger, snapshots={"every": 1})  # type: ignore[arg-type]
    for wrong in (True, "1s", float("inf"), -1):
        with pytest.raises(SpecError, match=r"snapshots\.interval_s"):
            al.Snapshots(interval_s=wrong)  # type: ignore[arg-type]


def test_check_shows_when_and_where_each_child_keeps_its_state(
    write: Write, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = child("a", "Ledger", '{ every = 1000, interval = "2m", store = "a.arrows" }') + child("b", "Kept")
    write(text + child("c", "Ledger", '{ store = "node" }') + child("d", "Ledger"))
    assert main(["check", "app.toml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    head, *rows = (line[lines[2].index("snapshots") :].strip() for line in lines[2:])
    assert head == "snapshots"
    first = f"every 1,000, every 120 s in {folder}/a.arrows"
    assert rows == ["", first, "every 3 in kept.db", "at stop in the node", ""]
    assert main(["check", "--explain"]) == 0
    explained = capsys.readouterr().out
    assert "[snapshots]" in explained and "'node', a database ('….db' or '….sqlite')" in explained


def test_what_the_guide_shows_of_a_file_is_good(write: Write, folder: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "handlers.md").read_text("utf-8")
    (shown,) = re.findall(r"```toml\n(.*?)```", guide, re.S)
    (rule,) = rules(write(shown.replace("shop:Till", "ledgers:Ledger")))
    assert rule == al.Snapshots(every=100, interval_s=30.0, store=str(folder / "state" / "shop.db"))


def test_a_reload_sees_a_setting_that_has_changed(write: Write) -> None:
    before = load(write(child("a", "Ledger", "{ every = 1 }") + child("b", "Kept"))).tree
    after = load(write(child("a", "Ledger", "{ every = 2 }") + child("b", "Kept"))).tree
    assert before is not None and after is not None
    assert [str(change) for change in changes(before, after)] == ["restart a: snapshots changed"]


@pytest.mark.parametrize(
    ("snapshots", "fits"),
    [
        ('{ every = 1, interval = "1s", store = "a.db" }', True),
        ('{ store = "node" }', True),
        ('{ interval = 0.5, store = "${STATE:-/var/lib}/a.arrows" }', True),
        ("{ every = 0 }", False),
        ('{ store = "a.json" }', False),
        ("{ often = 1 }", False),
        ('"a.db"', False),
    ],
)
def test_editors_know_what_fits(snapshots: str, fits: bool) -> None:
    document = tomllib.loads(child("a", "Ledger", snapshots))
    assert jsonschema.Draft202012Validator(json_schema()).is_valid(document) is fits
