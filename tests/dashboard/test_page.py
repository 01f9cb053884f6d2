"""The page in a real headless Chromium: it draws the node, follows it, and runs nothing that is not its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def browser(shop) -> Iterator:
    found = os.environ.get("ACTORLAB_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no Chromium on this machine (looked for {', '.join(BROWSERS)}): apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


def wait_in(page, expression):
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(f"Boolean({expression})"):
        assert time.monotonic() < deadline, f"never true: {expression}"
        page.wait_for_timeout(20)


class Watched:
    """A page, with everything it complained of and asked for."""

    def __init__(self, browser, address, **options):
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.said: list[str] = []
        self.asked: set[str] = set()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.add(request.url))
        self.page.goto(address)

    def text(self, selector):
        return self.page.locator(selector).inner_text()

    def wait(self, expression):
        """Wait until `expression` is true; asked from outside, for the page's own policy forbids to evaluate text."""
        wait_in(self.page, expression)

    def wait_until_drawn(self):
        self.wait("document.documentElement.dataset.drawn && document.querySelector('#chart canvas')")


@pytest.fixture
def open_page(browser):
    opened = []

    def open_one(address, **options):
        opened.append(Watched(browser, address, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.context.close()


@pytest.fixture
def page(open_page, face):
    page = open_page(face.address)
    page.wait_until_drawn()
    return page


def test_it_draws_the_node_without_a_complaint_and_asks_nobody_else(page, face, shop):
    page.wait("document.querySelector('#state').textContent === 'running'")
    assert page.text("#node") == "shop"
    assert f"pid {shop.process.pid}" in page.text("#about") and "2 workers" in page.text("#about")
    names = page.page.locator("#tree .name").all_inner_texts()
    assert [name.replace("▾", "").strip() for name in names] == ["all", "first", "second", "team", "0", "1", "2"]
    assert page.page.locator("#processes tbody tr").count() == 4
    assert "Clerk" in page.text("#classes") and "worker 1" in page.text("#cost")
    assert page.page.locator("#tiles .tile").count() == 6 and " MB" in page.text("#tiles").replace("MB", " MB")
    assert page.said == []
    assert {url.split("?")[0].rsplit(":", 1)[0] for url in page.asked} == {"http://127.0.0.1"}
    assert all(url.startswith(face.address) for url in page.asked)


def test_memory_over_time_is_drawn_in_its_three_colours(page):
    seen = page.page.evaluate(
        """() => {
            const canvas = document.querySelector("#chart canvas");
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const colours = new Set();
            for (let at = 0; at < data.length; at += 4)
                if (data[at + 3] === 255) colours.add(`${data[at] >> 4},${data[at + 1] >> 4},${data[at + 2] >> 4}`);
            return colours.size;
        }"""
    )
    assert seen >= 3


def test_the_page_and_the_look_agree_and_the_parts_add_up(page, face):
    page.wait("document.querySelector('#age').classList.contains('live')")
    state = json.loads(face.ask()[2])
    shown = page.page.evaluate("document.querySelectorAll('#mailboxes tbody tr').length")
    assert shown == min(50, state["look"]["totals"]["actors"])
    parts = state["point"]
    total = sum(parts[name] for name in ("private_bytes", "libraries_bytes", "shared_bytes"))
    assert total == state["look"]["totals"]["bytes"]


def test_a_killed_worker_is_seen_coming_back(page, face):
    (worker,) = [one for one in face.look()["processes"] if one["worker"] == 1]
    os.kill(worker["pid"], signal.SIGKILL)
    page.wait("document.querySelector('[data-key=worker1] td:last-child').textContent === '1'")
    page.wait(
        "[...document.querySelectorAll('#tree tbody tr')]"
        ".some((row) => row.cells[0].textContent === 'first' && row.cells[4].textContent === '1')"
    )
    page.wait("document.querySelector('#restarts').textContent.includes('worker 1')")
    page.wait("document.querySelector('#state').textContent === 'running'")
    assert page.said == []


def made_up(what, open_page):
    """A page of a node that never was; see made_up.py."""
    script = Path(__file__).with_name("made_up.py")
    process = subprocess.Popen([sys.executable, str(script), what], stdout=subprocess.PIPE, text=True)
    address = json.loads(process.stdout.readline())["address"]
    return process, open_page(address, viewport={"width": 1280, "height": 900})


@pytest.mark.parametrize("what", ["hostile", "huge"])
def test_what_the_node_says_is_text_and_never_markup_and_never_too_much(shop, open_page, what):
    process, page = made_up(what, open_page)
    try:
        page.wait_until_drawn()
        drawn = "Number(document.documentElement.dataset.drawn)"
        before = page.page.evaluate(drawn)
        page.wait(f"{drawn} >= {before} + 2")
        if what == "hostile":
            for panel in ("#tree", "#mailboxes", "#classes", "#pools", "#restarts", "#letters", "#reasons", "#node"):
                assert "<script>document.title='owned'</script>" in page.text(panel), panel
            assert page.page.title() != "owned" and page.page.locator("main img, main script").count() == 0
            assert "(stopped)" in page.text("#pools")
        else:
            assert page.page.locator("#tree tbody tr").count() == 62
            assert "… 99,940 more" in page.text("#tree") and "99,940" in page.text("#tree-note")
            assert page.page.locator("#mailboxes tbody tr").count() == 50 and "child 999" in page.text("#mailboxes")
        assert page.said == []
        assert page.page.evaluate("document.documentElement.scrollWidth") <= 1280
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_stopped_node_is_named_and_still_shown(page, shop):
    processes = [psutil.Process(shop.process.pid), *shop.family()]
    for process in processes:
        process.suspend()
    try:
        page.wait("document.querySelector('#state').textContent === 'hung'")
        page.wait("document.querySelector('#banner').textContent.includes('worker 1')")
        assert page.page.locator("#tree tbody tr").count() == 7
    finally:
        for process in processes:
            process.resume()
    page.wait("document.querySelector('#state').textContent === 'running'")
    page.wait("document.querySelector('#banner').hidden")


def test_a_dashboard_that_is_gone_is_said_and_the_last_look_stays(open_page, open_dashboard):
    face = open_dashboard()
    page = open_page(face.address)
    page.wait_until_drawn()
    face.command.process.kill()
    page.wait("document.querySelector('#banner').textContent.includes('does not answer')")
    assert page.page.locator("#tree tbody tr").count() == 7


def test_a_branch_folds_and_stays_folded(page):
    page.page.locator("[aria-label='hide what is below team']").click()
    assert page.page.locator("#tree tbody tr").count() == 4
    drawn = page.page.evaluate("document.documentElement.dataset.drawn")
    page.wait(f"document.documentElement.dataset.drawn !== '{drawn}'")
    assert page.page.locator("#tree tbody tr").count() == 4
    page.page.locator("[aria-label='show what is below team']").click()
    assert page.page.locator("#tree tbody tr").count() == 7


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_systems_colours_until_it_is_told(open_page, face, scheme):
    page = open_page(face.address, color_scheme=scheme)
    page.wait_until_drawn()
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.page.evaluate(ground)
    assert (sum(map(int, before[4:-1].split(","))) > 380) == (scheme == "light")
    page.page.locator("#theme").click()
    assert page.page.evaluate(ground) != before
    page.page.reload()
    page.wait_until_drawn()
    assert page.page.evaluate(ground) != before and page.said == []


@pytest.mark.parametrize("width", [360, 820, 1280, 2200])
def test_nothing_sticks_out_sideways(open_page, face, width):
    page = open_page(face.address, viewport={"width": width, "height": 800})
    page.wait_until_drawn()
    assert page.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_link_with_the_token_opens_the_page_and_the_token_leaves_the_address(open_page, open_dashboard, tmp_path):
    file = tmp_path / "token"
    file.write_text("the word is swordfish")
    file.chmod(0o600)
    face = open_dashboard("--token-file", str(file))
    stranger = open_page(face.address)
    assert "401" in stranger.text("body") and "shop" not in stranger.text("body")
    page = open_page(face.address + "?token=the+word+is+swordfish")
    page.wait_until_drawn()
    assert page.page.url == face.address and page.text("#node") == "shop" and page.said == []


def test_another_sites_page_cannot_read_load_or_frame_it(browser, face, tmp_path):
    """Played by a file's page, whose origin is `null`: foreign to everybody."""
    hostile = tmp_path / "hostile.html"
    hostile.write_text(
        f"""<iframe src="{face.address}"></iframe><script type="module">
        const say = (key, text) => document.body.dataset[key] = text;
        try {{ await (await fetch("{face.address}api/state")).text(); say("read", "yes"); }}
        catch {{ say("read", "no"); }}
        const script = document.createElement("script");
        script.onload = () => say("load", "yes"); script.onerror = () => say("load", "no");
        script.src = "{face.address}theme.js"; document.body.append(script);
        </script>"""
    )
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(hostile.as_uri())
        wait_in(page, "document.body.dataset.read && document.body.dataset.load")
        assert page.evaluate("[document.body.dataset.read, document.body.dataset.load]") == ["no", "no"]
        framed = [frame for frame in page.frames if frame is not page.main_frame]
        assert all("shop" not in (frame.content() or "") for frame in framed)
    finally:
        context.close()
