"""The contest's bookkeeping, its page, and our own players, which must be able to do all of their works."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tools.bench.contest import curves, works
from tools.bench.contest import growth as growing_of
from tools.bench.contest.environment import PLAYERS_FOLDER, absent, play
from tools.bench.contest.growth import CURVES, GROWING, Growth
from tools.bench.contest.page import ahead, page, plot, table
from tools.bench.contest.players import playing
from tools.bench.contest.standing import Standing
from tools.bench.contest.works import PLAYERS, SAVINA_PLAYERS, SAVINA_WORKS, WORKS, parts


@pytest.fixture
def standing() -> Standing:
    made = Standing()
    for value in (12.0, 14.0, 13.0):
        made.add("actorlab", {"work": "call", "value": value, "p99": 2 * value, "n": 5})
        made.add("Ray", {"work": "call", "value": 65 * value, "p99": None, "n": 5, "note": "a process each"})
    made.add("Pykka", {"work": "counting", "value": 100.0, "n": 1})
    made.add("actorlab", {"work": "counting", "value": 700.0, "n": 1})
    return made


def test_who_is_how_many_times_better_is_said_in_the_works_own_sense(standing: Standing) -> None:
    call, counting = (next(w for w in (*WORKS, *SAVINA_WORKS) if w.name == name) for name in ("call", "counting"))
    assert (standing.median("actorlab", "call"), standing.tail("actorlab", "call")) == (13.0, 26.0)
    assert (standing.ratio("Ray", call), standing.ratio("Pykka", counting)) == (65.0, 7.0)
    text = table(standing)
    assert "actorlab is 65 × as good   (a process each)" in text and "actorlab is 7 × as good" in text


@pytest.fixture
def growth() -> Growth:
    made = Growth()
    for at, ours, theirs in ((16, 9.0, 20.0), (1_000, 10.0, 21.5), (1_000_000, 300.0, None)):
        made.add("multiprocessing", {"work": "call_by_bytes", "at": at, "value": theirs}) if theirs else None
        for value in (ours, 3 * ours, ours / 3):
            made.add("actorlab", {"work": "call_by_bytes", "at": at, "value": value})
    return made


def test_growth_is_a_table_and_a_plot_with_who_ends_early_left_blank(growth: Growth, tmp_path: Path) -> None:
    page(Standing(), growth, {"cpu": "some"}, tmp_path / "benchmarks.md")
    written = (tmp_path / "benchmarks.md").read_text()
    assert "| µs, bytes: | 16 | 1,000 | 1,000,000 |" in written
    assert "| multiprocessing | 20 | 21.5 |  |" in written and "| actorlab | 9 | 10 | 300 |" in written
    drawn = ElementTree.parse(tmp_path / "benchmarks" / "call_by_bytes.svg")
    assert len(drawn.findall(".//{*}polyline")) == 2 and len(drawn.findall(".//{*}circle")) == 5
    assert "300" in curves.text(growth)


def test_the_page_has_a_table_and_a_plot_for_each_work_that_was_done(
    standing: Standing, growth: Growth, tmp_path: Path
) -> None:
    page(standing, growth, {"cpu": "some"}, tmp_path / "benchmarks.md")
    text = (tmp_path / "benchmarks.md").read_text()
    assert "| Ray | 845 | - | 65 × as good | a process each |" in text
    assert "![counting](benchmarks/counting.svg)" in text
    drawn = {file.name for file in (tmp_path / "benchmarks").iterdir()}
    assert drawn == {"call.svg", "counting.svg", "call_by_bytes.svg"}
    for work in (WORKS[0], SAVINA_WORKS[1]):
        ElementTree.fromstring(plot(standing, work))


def test_every_player_does_works_that_there_are_and_is_a_script_that_compiles() -> None:
    names = {work.name for work in (*WORKS, *SAVINA_WORKS, *CURVES)}
    for player in (*PLAYERS, *SAVINA_PLAYERS, *GROWING):
        assert set(player.amounts) <= names
        script = PLAYERS_FOLDER / player.script
        compile(script.read_text("utf-8"), script, "exec")


BEAM = next(player for player in PLAYERS if player.name == "BEAM")


def test_who_is_ahead_is_said_on_the_page_and_by_how_much(standing: Standing) -> None:
    assert ahead(standing, Growth()) == []
    standing.add("BEAM", {"work": "counting", "value": 2800.0, "n": 1})
    assert "| BEAM | Savina: counting actor | 0.25 × |" in ahead(standing, Growth())


def test_who_is_ahead_somewhere_along_a_curve_is_said_too(growth: Growth) -> None:
    for at, value in ((16, 4.5), (1_000, 30.0), (1_000_000, 150.0), (10_000_000, 1.0)):  # so far we did not go
        growth.add("Ray", {"work": "call_by_bytes", "at": at, "value": value})
    said = ahead(Standing(), growth)
    assert "| Ray | a call, over the size of its message | 0.5 × at 16, 0.5 × at 1,000,000 |" in said
    assert not any(line.startswith("| multiprocessing") for line in said)


def test_who_does_not_do_a_work_has_a_reason() -> None:
    names = {work.name for work in WORKS} - {"start"}  # which all do, without being asked
    for player in PLAYERS:
        done = set(player.amounts) | ({"idle"} if "spawn" in player.amounts and "idle" not in player.amounts else set())
        if player.name != "actorlab (fork)":  # ours, started in another way
            assert done | set(player.cannot) == names | (done - names), player.name
            assert not done & set(player.cannot), player.name


def test_every_curve_is_gone_along_by_us_and_as_far_as_anybody_goes() -> None:
    for curve in CURVES:
        assert GROWING[0].amounts[curve.name] == max(player.amounts.get(curve.name, 0) for player in GROWING)


def test_what_is_said_of_memory_is_measured_in_a_player_that_did_nothing_before() -> None:
    assert parts({"call": 5, "context": 4, "idle": 2}) == [{"call": 5}, {"context": 4}, {"idle": 2}]


def test_a_player_whose_programs_are_not_installed_is_known_by_them() -> None:
    assert absent(replace(BEAM, programs=("no-such-program", "ls"))) == ["no-such-program"]
    assert absent(PLAYERS[0]) == []


def test_the_rules_of_measuring_are_as_their_examples_say() -> None:
    for module in (playing, works, growing_of, curves):
        assert doctest.testmod(module).failed == 0


def test_memory_is_a_total_whether_what_is_in_shared_memory_is_mapped_or_not() -> None:
    script = (
        "import mmap, playing, tempfile\n"
        "with tempfile.TemporaryFile(dir='/dev/shm') as file:\n"
        "    added = playing.Added()\n"
        "    file.write(bytes(1_000_000) * 40); file.flush()\n"
        "    lying = added.bytes()\n"
        "    mapped = mmap.mmap(file.fileno(), 0); hash(mapped[:])\n"
        "    print(lying, added.bytes(), added.said())\n"
    )
    command = [sys.executable, "-c", script]
    out = subprocess.run(command, cwd=PLAYERS_FOLDER, capture_output=True, text=True, check=True).stdout
    lying, mapped, *said = out.split()
    assert 39e6 < float(lying) < 100e6 and 39e6 < float(mapped) < 150e6
    assert " ".join(said).endswith("40 MB of it shared memory")


no_erlang = pytest.mark.skipif(bool(absent(BEAM)), reason="there is no Erlang on this machine")


@pytest.mark.process
@no_erlang
def test_beam_can_do_all_of_its_works_with_the_right_results() -> None:
    little = {"spawn": 50, "idle": 20, "restart": 1, "fan": 2}
    amounts = {work: little.get(work, 400) for work in BEAM.amounts if work != "context"}  # that one takes seconds
    assert set(amounts) <= {figure["work"] for figure in play(BEAM, amounts)}


@pytest.mark.process
@no_erlang
def test_nothing_of_beam_outlives_a_player_that_is_killed_in_the_midst_of_a_work(tmp_path: Path) -> None:
    command, where = [sys.executable, BEAM.script, "call_local=1000000000"], os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=PLAYERS_FOLDER, env=where, stdout=subprocess.PIPE, text=True) as player:
        assert player.stdout is not None
        player.stdout.readline()  # it says "start" once both machines are there
        machines = psutil.Process(player.pid).children(recursive=True)
        assert {"beam.smp"} <= {machine.name() for machine in machines}
        player.kill()
        player.wait()
        _, alive = psutil.wait_procs(machines, timeout=20)
        assert alive == []


@pytest.mark.process
@pytest.mark.parametrize("player", [PLAYERS[0], SAVINA_PLAYERS[0]], ids=["works", "savina"])
def test_we_can_do_all_of_our_works_with_the_right_results(player) -> None:
    little = {"spawn": 50, "idle": 20, "context": 1, "restart": 1, "base": 1, "fan": 2}
    amounts = {work: little.get(work, 400) for work in player.amounts}
    assert set(amounts) <= {figure["work"] for figure in play(player, amounts)}


@pytest.mark.process
def test_we_go_along_every_curve_and_beam_where_it_is_along_those_it_has() -> None:
    for player in GROWING:
        if player.name in ("actorlab", "BEAM") and not absent(player):
            far = {"actors": 10, "workers": 2, "readers": 1}
            amounts = {curve: far.get(curve.rpartition("_")[2], 100) for curve in player.amounts}
            said = {(figure["work"], figure["at"]) for figure in play(player, amounts)}
            tails = {(curve, at) for curve, at in amounts.items() if curve.startswith("tail")}  # where enough was asked
            assert set(amounts.items()) - tails <= said, player.name
