"""Where it cannot run, it says so in one sentence, at once, and says what to use instead."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("what", ["import actorlab", "from actorlab import Node", "import actorlab.cli"])
@pytest.mark.parametrize("here", ["sys.platform = 'win32'", "os.name = 'nt'"])
def test_windows_is_refused_with_a_way_out_however_it_is_imported(what: str, here: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", f"import os, sys; {here}; {what}"], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 1
    said = ran.stderr.splitlines()[-1]
    assert said.startswith("ImportError: actorlab runs on Linux and macOS, not on ")
    assert said.endswith("On Windows install and run it in WSL 2 (wsl --install)")


def test_macos_is_not_refused() -> None:
    code = "import sys; sys.platform = 'darwin'; import actorlab as al; al.Node, al.Actor, al.Supervisor"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
