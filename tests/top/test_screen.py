"""The screen, driven by Textual's own pilot: keys do what they say, and looks that change move nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from actorlab.observe import Follower
from actorlab.top.detail import Detail
from actorlab.top.screen import Top


class Scripted:
    """Looks that the test decides: `now` is what is seen."""

    def __init__(self, look):
        self.now = look
        self.looks = 0

    def look(self):
        self.looks += 1
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


@pytest.fixture
def play(look):
    """`play(part, size=…)` runs `await part(app, pilot, seen)` against a screen of the shop."""

    def run(part: Callable, size=(80, 24), by="supervisor", sort="start"):
        seen = Scripted(look)

        async def main():
            app = Top(Follower(lambda: seen), by=by, sort=sort, every_s=0.1)
            async with app.run_test(size=size) as pilot:
                await pilot.pause()
                await part(app, pilot, seen)

        asyncio.run(main())

    return run


async def until(pilot, condition):
    """Let the screen go on until `condition()`, 30 s at most."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"it never came; the screen says:\n{text(pilot.app)}"
        await pilot.pause(0.005)


def changed(look, **fields):
    """The look with fields of actors changed: `first={"depth": 3}`."""
    return replace(look, actors=tuple(replace(one, **fields.get(one.name, {})) for one in look.actors))


def names(app):
    table = app.table
    return [table.get_row_at(at)[0].plain.strip(" ▾▸") for at in range(table.row_count)]


def line(app, name):
    return [cell.plain.strip() for cell in app.table.get_row_at(names(app).index(name))]


def text(app):
    """All that is on the screen."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


def test_it_shows_the_tree_at_80_columns(play):
    async def part(app, pilot, seen):
        assert names(app) == ["all", "first", "second", "team", "0", "1", "2"]
        lines = text(app).splitlines()
        assert len(lines) == 24 and all(len(one) == 80 for one in lines)
        assert "shop" in lines[0] and "running" in lines[0] and "restarts" in text(app) and "q quit" in lines[-1]

    play(part)


def test_a_new_look_changes_the_line_and_leaves_the_cursor(play):
    async def part(app, pilot, seen):
        await pilot.press("down", "down")
        seen.now = changed(seen.now, first={"depth": 77})
        await until(pilot, lambda: line(app, "first")[3] == "77")
        assert app.table.cursor_row == 2 and line(app, "all")[3] == "77"

    play(part)


def test_keys_sort_and_the_cursor_goes_to_the_top(play):
    async def part(app, pilot, seen):
        seen.now = changed(seen.now, first={"depth": 1, "rate": 1.0}, second={"depth": 2, "rate": 0.5})
        await pilot.press("b")
        await until(pilot, lambda: names(app)[1] == "second")
        await pilot.press("r")
        await until(pilot, lambda: names(app)[1] == "first")
        await pilot.press("down", "o")
        assert names(app)[:3] == ["all", "first", "second"] and app.table.cursor_row == 0

    play(part)


def test_when_lines_move_the_cursor_stays_on_its_line(play):
    async def part(app, pilot, seen):
        await pilot.press("b", "down")
        assert names(app)[1] == "first"
        seen.now = changed(seen.now, second={"depth": 5})
        await until(pilot, lambda: names(app)[1] == "second")
        assert app.table.cursor_row == 2 and names(app)[2] == "first"

    play(part)


def test_it_turns_to_workers_and_back(play):
    async def part(app, pilot, seen):
        await pilot.press("v")
        assert names(app)[0] == "controller" and "worker 2" in names(app)
        await pilot.press("v")
        assert names(app)[0] == "all"

    play(part)


def test_lines_fold_and_unfold(play):
    async def part(app, pilot, seen):
        await pilot.press("down", "down", "down", "space")
        assert names(app) == ["all", "first", "second", "team"]
        await pilot.press("right")
        assert len(names(app)) == 7
        await pilot.press("down", "left")
        assert app.table.cursor_row == 3, "left on a leaf goes to its parent"
        await pilot.press("left", "left", "left")
        assert names(app) == ["all"]

    play(part)


def test_an_actor_opens_is_followed_and_closes(play):
    async def part(app, pilot, seen):
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, Detail) and "desk:Clerk" in text(app))
        assert "worker 1" in text(app) and "decided by all" in text(app)
        seen.now = changed(seen.now, first={"handled": 12345})
        await until(pilot, lambda: "12,345" in text(app))
        await pilot.press("m", "escape")
        assert not isinstance(app.screen, Detail) and names(app)[0] == "all"

    play(part)


def test_it_fits_itself_to_a_terminal_that_changes(play):
    async def part(app, pilot, seen):
        for size in ((140, 40), (40, 10), (20, 5), (80, 24)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda size=size: app.size == size and len(text(app).splitlines()) == size[1])
            assert all(len(one) == size[0] for one in text(app).splitlines())
            assert names(app)[0].startswith("all")
        await pilot.resize_terminal(140, 40)
        await until(pilot, lambda: len(app.table.columns) == 10)
        assert "desk" not in line(app, "first")[6] and line(app, "first")[6:8] == ["Clerk", "worker 1"]

    play(part)


def test_a_node_that_ends_or_hangs_is_said(play):
    async def part(app, pilot, seen):
        whole = seen.now
        seen.now = replace(whole, state="hung")
        await until(pilot, lambda: "its controller does not run" in text(app))
        seen.now = OSError("the directory is gone")
        await until(pilot, lambda: "the node has ended" in text(app))
        assert names(app)[0] == "all"
        seen.now = whole
        await until(pilot, lambda: "the node has ended" not in text(app))

    play(part)


def test_a_bug_in_a_look_is_shown_and_does_not_end_the_screen(play):
    async def part(app, pilot, seen):
        whole = seen.now
        seen.now = ZeroDivisionError("no such luck")
        await until(pilot, lambda: "ZeroDivisionError: no such luck" in text(app))
        seen.now = whole
        await until(pilot, lambda: "no such luck" not in text(app))

    play(part)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_it_quits(play, key):
    async def part(app, pilot, seen):
        await pilot.press("enter", key)
        await until(pilot, lambda: not app.is_running)
        assert app.return_code == 0

    play(part)


def test_ten_thousand_actors_do_not_hold_up_a_key(play):
    async def part(app, pilot, seen):
        one = seen.now.actors[-1]
        many = [replace(one, address=f"9.{n}.1", name=f"a{n}", supervisor="", depth=n % 7) for n in range(10_000)]
        seen.now = replace(seen.now, actors=tuple(many), totals=replace(seen.now.totals, actors=len(many)))
        await until(pilot, lambda: "… 9,800 more" in names(app))
        await pilot.press("b", "v", "end")
        await until(pilot, lambda: app.table.cursor_row == app.table.row_count - 1)

    play(part)
