"""Files over files, variables of the environment, and the order of starts that `after` asks for."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from actorlab.config import json_schema, load
from actorlab.errors import ConfigError
from actorlab.supervision import ChildSpec, Supervisor

BASE = """
[node]
workers = 2
spares = 1
[supervisor]
[[supervisor.children]]
name = "one"
start = "office:Clerk"
kwargs = { number = 1 }
[[supervisor.children]]
name = "two"
start = "office:Clerk"
"""


def problems(*files: Path, **keywords: Any) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        load(*files, **keywords)
    return dict(caught.value.problems)


def test_a_file_laid_over_another_changes_what_it_names_and_nothing_else(write):
    base = write(BASE, "base.toml")
    over = write(
        '[node]\nworkers = 8\n[[supervisor.children]]\nname = "two"\nargs = [5]\n'
        '[[supervisor.children]]\nname = "three"\nstart = "office:Clerk"\n',
        "prod.toml",
    )
    config = load(base, over)
    assert (config.node.workers, config.node.spares, config.file) == (8, 1, f"{base} + {over}")
    assert config.files == (str(base), str(over))
    assert config.tree is not None
    one, two, three = config.tree.children
    assert isinstance(one, ChildSpec) and isinstance(two, ChildSpec) and isinstance(three, ChildSpec)
    assert (one.kwargs, two.args, three.name) == ({"number": 1}, (5,), "three")


def test_an_overlay_can_take_a_child_out(write):
    base, over = write(BASE, "base.toml"), write('[[supervisor.children]]\nname = "one"\nremove = true\n', "o.toml")
    tree = load(base, over).tree
    assert tree is not None and tree.ids == ("two",)
    assert "unknown key" in problems(over)["supervisor.children[0].remove"]


def test_an_included_file_comes_first_and_is_found_beside_the_one_that_names_it(folder, write):
    (folder / "sub").mkdir()
    write(BASE, "sub/base.toml")
    write('include = ["base.toml"]\n[node]\nspares = 0\n', "sub/middle.toml")
    config = load(write('include = ["sub/middle.toml"]\n[node]\nworkers = 5\n', "top.toml"))
    assert (config.node.workers, config.node.spares) == (5, 0)
    assert config.tree is not None and config.tree.ids == ("one", "two")


def test_an_include_that_cannot_be_is_told(folder, write):
    a = write('include = ["b.toml"]', "a.toml")
    write('include = ["a.toml"]', "b.toml")
    assert "includes itself: " in problems(a)[""]
    assert f"there is no such file; {folder / 'c.toml'} includes it" in problems(
        write('include = ["none.toml"]', "c.toml")
    )[""]
    assert "must be a list of files" in problems(write('include = "b.toml"', "d.toml"))["include"]
    unsafe = write("", "unsafe.toml")
    unsafe.chmod(0o666)
    assert "may be written by everybody" in problems(write('include = ["unsafe.toml"]', "e.toml"))[""]


def test_each_problem_says_which_file_it_is_in(write):
    base = write(BASE.replace("spares = 1", "spares = -1"), "base.toml")
    wrong = '[node]\nworkers = "many"\n[[supervisor.children]]\nname = "two"\nstart = "office:None"\n'
    over = write(wrong, "prod.toml")
    told = problems(base, over)
    assert told["node.spares"].endswith(f"({base})")
    assert told["node.workers"].endswith(f"({over})")
    assert told["supervisor.children[1].start"].endswith(f"({over})")


def test_texts_name_variables_that_are_listed(write):
    path = write('environment = ["TEAM"]\n[node]\nname = "${TEAM:-blue}-${TEAM:-blue}"\nruntime_dir = "/tmp/$$x"\n')
    assert (load(path, environment={"TEAM": "red"}).node.name, load(path, environment={}).node.name) == (
        "red-red",
        "blue-blue",
    )
    assert load(path, environment={}).node.runtime_dir == "/tmp/$x"


def test_a_variable_is_read_as_what_the_key_takes(write):
    path = write(
        'environment = ["WORKERS", "TEAM", "PAUSE", "STRICT"]\n[node]\nworkers = "${WORKERS:-4}"\nname = "${TEAM}"\n'
        'heartbeat = "${PAUSE}"\nstrict_messages = "${STRICT}"\n'
    )
    node = load(path, environment={"TEAM": "12", "PAUSE": "0.2", "STRICT": "true"}).node
    assert (node.workers, node.name, node.heartbeat_s, node.strict_messages) == (4, "12", 0.2, True)


def test_a_variable_that_is_not_listed_or_not_set_is_told(write):
    job = '[job]\nrun = "office:job"\n[job.options]\nx = "${A}"\n'
    path = write('environment = ["A"]\n[node]\nname = "${SECRET}"\n' + job)
    told = problems(path, environment={"SECRET": "x"})
    assert "'SECRET', which is not in environment = ['A']" in told["node.name"]
    assert "'A' is not set" in told["job.options.x"]


def test_without_a_list_of_variables_a_dollar_is_a_dollar(write):
    path = write(BASE + 'args = ["${HOME}$$"]\n')
    tree = load(path).tree
    assert isinstance(tree, Supervisor) and tree.children[1].args == ("${HOME}$$",)  # type: ignore[union-attr]


AFTER = """
[supervisor]
[[supervisor.children]]
name = "web"
start = "office:Clerk"
after = ["cache", "base"]
[[supervisor.children]]
name = "cache"
start = "office:Clerk"
after = ["base"]
[[supervisor.children]]
start = "office:Clerk"
[[supervisor.children]]
name = "base"
start = "office:Clerk"
"""


def test_children_start_in_the_files_order_but_each_behind_those_it_is_after(write):
    tree = load(write(AFTER)).tree
    assert tree is not None and tree.ids == ("clerk", "base", "cache", "web")


def test_an_order_that_cannot_be_is_refused(write):
    text = AFTER + 'after = ["web"]\n'
    told = problems(write(text))
    assert told == {"supervisor.children[0].after": "closes a cycle: web after cache after base after web"}
    told = problems(write(AFTER.replace('"cache", "base"', '"cahce"')))
    assert "'cahce' is none; its siblings are web, cache, clerk, base" in told["supervisor.children[0].after"]
    assert "did you mean 'cache'?" in told["supervisor.children[0].after"]


def test_the_json_schema_takes_what_check_takes_and_underlines_what_it_cannot(write):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(json.dumps(json_schema()))
    validator = jsonschema.Draft202012Validator(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    for file in sorted((Path(__file__).parents[2] / "config").glob("*.toml")):
        assert not list(validator.iter_errors(tomllib.loads(file.read_text()))), file
    assert not list(validator.iter_errors(tomllib.loads(AFTER)))
    for wrong in ("[node]\nworkers = -1", "[node]\nwrokers = 2", '[[supervisor.children]]\ntype = "actr"', "[job]"):
        assert list(validator.iter_errors(tomllib.loads(wrong))), wrong
