"""The peers' environment: a virtual environment of its own, outside the project, with all of them in it.

Edge (files, the network). It is made once, by `--install`, in the user's cache directory; nothing else of the project
touches it, and nothing of it is needed for anything but the contest.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .growth import GROWING
from .standing import OURS
from .works import ALL_NEED, PLAYERS, Player

PLAYERS_FOLDER = Path(__file__).parent / "players"
PATIENCE_S = 300.0
PATIENCE_WITH_GROWTH_S = 900.0
DISTRIBUTION = "erlang-base"


def folder() -> Path:
    """Return where the environment is, or will be."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "actorlab-bench" / "peers"


def python() -> Path:
    """Return its interpreter."""
    return folder() / "bin" / "python"


def install() -> None:
    """Make the environment and install all peers; a minute or two. Raises CalledProcessError."""
    if not python().exists():
        subprocess.run([sys.executable, "-m", "venv", folder()], check=True)
    needed = sorted({package for player in PLAYERS for package in (*player.packages, *ALL_NEED)})
    subprocess.run([python(), "-m", "pip", "install", "--quiet", *needed], check=True)
    if any(absent(player) for player in PLAYERS) and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = ["apt-get", "-qq", "-y", "install", "--no-install-recommends", DISTRIBUTION]
        subprocess.run(quiet, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def absent(player: Player) -> list[str]:
    """Return the programs a player needs that are not on this machine."""
    return [program for program in player.programs if shutil.which(program) is None]


def versions() -> dict[str, str]:
    """Return the versions of what is installed there, and of the distribution's."""
    if not python().exists():
        return beam()
    listed = subprocess.run(
        [python(), "-m", "pip", "list", "--format=json"], capture_output=True, text=True, check=True
    ).stdout
    wanted = {package.partition(">")[0] for player in PLAYERS for package in player.packages}
    return {row["name"]: row["version"] for row in json.loads(listed) if row["name"] in wanted} | beam()


def beam() -> dict[str, str]:
    """Return the version of the Erlang machine that there is, if there is one."""
    if shutil.which("erl") is None:
        return {}
    words = 'io:format("OTP ~s, ~p", [erlang:system_info(otp_release), erlang:system_info(emu_flavor)]), halt().'
    said = subprocess.run(["erl", "-noshell", "-eval", words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return {"BEAM": said.stdout.strip()}


def play(player: Player, amounts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Let a player do works and return its figures; what it managed before it failed, if it does.

    Nothing of it is left: its processes are killed, what it put into its temporary folder is removed.
    """
    ours = not player.packages and player.name == OURS
    interpreter = str(python()) if player.packages else sys.executable
    works = (f"{work}={amount}" for work, amount in amounts.items())
    command = [interpreter, player.script, *player.arguments, *works]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ACTORLAB")}
    if ours:
        environment["PYTHONPATH"] = str(Path(__file__).parents[3])
    with tempfile.TemporaryDirectory(prefix="al-", ignore_cleanup_errors=True) as scratch:  # short: sockets' paths are
        process = subprocess.Popen(
            command, cwd=PLAYERS_FOLDER, env=environment | {"TMPDIR": scratch}, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            out, _ = process.communicate(timeout=PATIENCE_WITH_GROWTH_S if player in GROWING else PATIENCE_S)
        except subprocess.TimeoutExpired:
            out = ""
        finally:
            _end(process)
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def _end(process: subprocess.Popen[str]) -> None:
    """Leave nothing of a player behind: some of them daemonise what they start."""
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        pass
    process.wait()
