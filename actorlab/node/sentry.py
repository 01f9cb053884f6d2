"""The sentry: a process that outlives a killed controller and removes what it left, where there is no forkserver.

Edge (a process, files); started by launch where workers are spawned. It holds the read end of a pipe that only the
controller holds open, and until that ends it does nothing: a bare interpreter that has imported none of the house.
Then the node's workers have a second to end by themselves; one that does not is killed, if it is still who it says it
is, and the node's directory goes. If the sentry was killed too, the next node's start does both (see sweep).

It writes down once what memory it takes, for a system that tells that to a process of itself alone.
"""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

from multiprocess import spawn, util

from ..errors import WorkerStartError
from .boot import absolute_sys_path, interrupts_blocked
from .child import Child
from .directory import remove_orphaned
from .identity import SENTRY_FILE
from .sweep import sweep

_GRACE_S = 1.0
_LOOK_S = 0.01

# In the process: no signal of the terminal's or a service manager's ends it before its work is done. The file appears
# whole; killed before the rename, it leaves a `.new` that goes with the directory.
_CODE = """
import json, os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
sys.path[:] = {path!r}
try:
    import psutil
    own = psutil.Process().memory_full_info().uss
except Exception:
    own = None
try:
    with open({file!r} + ".new", "w") as out:
        json.dump({{"pid": os.getpid(), "private_bytes": own}}, out)
    os.replace({file!r} + ".new", {file!r})
except OSError:
    pass
while os.read({alive}, 1):
    pass
from {module} import clean_up
clean_up({directory!r})
"""


class Sentry:
    """The sentry of a node, just started. WorkerStartError if there is no process to be had."""

    def __init__(self, directory: Path) -> None:
        self._owner = os.getpid()
        alive, lifeline = os.pipe()
        self._lifeline = io.FileIO(lifeline, "wb")
        # Without site there is none of the hooks by which a package that is installed to be edited is found.
        path = [*absolute_sys_path(), str(Path(__file__).resolve().parents[2])]
        code = _CODE.format(
            path=path, file=str(directory / SENTRY_FILE), alive=alive, directory=str(directory),
            module=clean_up.__module__,
        )  # fmt: skip
        try:
            with interrupts_blocked():
                command = [os.fsdecode(spawn.get_executable()), "-E", "-S", "-c", code]
                self._child = Child(util.spawnv_passfds(spawn.get_executable(), command, [alive]))
        except OSError as error:
            self._lifeline.close()
            raise WorkerStartError("the sentry", str(error))
        finally:
            os.close(alive)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._child.pid

    def has_ended(self) -> bool:
        """Whether it is dead."""
        return self._child.has_ended()

    def stop(self) -> None:
        """Kill it and wait for its end: whoever stops in good order cleans up himself. Idempotent."""
        if os.getpid() == self._owner:
            self._child.wait_for_code(0.0)
        self.close()

    def close(self) -> None:
        """Let go of it: it does its work unless another process holds its lifeline too."""
        self._lifeline.close()


def clean_up(directory: str) -> None:
    """See to it that nothing is left of a node whose controller is gone. In the sentry, at its end."""
    path = Path(directory)
    end = time.monotonic() + _GRACE_S
    while not remove_orphaned(path):  # it closed our pipe before it closed its locks
        if time.monotonic() > end:
            sweep(path.parent)
            return
        time.sleep(_LOOK_S)
