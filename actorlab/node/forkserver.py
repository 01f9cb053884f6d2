"""The forkserver, as its client sees it: ours alone, beside whatever the user does with multiprocess.

Edge (processes, sockets); used by launch. The process itself runs preload.serve, and in it multiprocess's own server.
It is a fresh interpreter, or, if that was asked for, a fork of this very process, which spares it the imports.
Its requests carry /dev/null where multiprocess passes on the forkserver's alive pipe and its resource tracker:
a worker then holds neither, so it cannot keep the forkserver alive, and no tracker is needed (11 MB).
"""

from __future__ import annotations

import contextvars
import io
import itertools
import os
import signal
import socket
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

from multiprocess import forkserver, reduction, spawn, util

from ..errors import WorkerStartError
from .boot import Boot, absolute_sys_path, interrupts_blocked, write_all
from .clean_slate import wipe
from .preload import count_threads, flush_streams, serve
from .worker_process import Newborn, is_readable

_WARM_TIMEOUT_S = 2.0
_END_TIMEOUT_S = 5.0
_LONGEST_SOCKET_PATH = 100


class ForkServer:
    """A forkserver just started; it imports `modules`, and `welcome` if it can. `is_warm` once it has answered.

    `by_fork`: it is a fork of this process, which must have one thread. WorkerStartError if it could not be started.
    """

    def __init__(
        self, directory: Path, modules: Sequence[str], welcome: Sequence[str] = (), *, by_fork: bool = False
    ) -> None:
        if by_fork and (threads := count_threads()) > 1:
            why = f"start_method='fork' needs a process with one thread, and this one has {threads}"
            raise WorkerStartError("the forkserver", f"{why}; start the node before they are, or take 'forkserver'")
        self.is_warm = False
        self._path = directory / f"fork-{next(_numbers)}.sock"
        alive, lifeline = os.pipe()
        self._lifeline = io.FileIO(lifeline, "wb")
        try:
            with socket.socket(socket.AF_UNIX) as listener, interrupts_blocked():
                with _short(self._path) as address:
                    listener.bind(address)
                os.chmod(self._path, 0o600)
                listener.listen()
                command = _command(listener.fileno(), alive, modules, welcome, directory)
                if by_fork:
                    flush_streams()  # or its copy would be printed once more by whoever prints next
                    self.pid: int = os.fork()
                    if self.pid == 0:
                        _become(listener.fileno(), alive, modules, directory, command, welcome)
                else:
                    self.pid = util.spawnv_passfds(spawn.get_executable(), command, [listener.fileno(), alive])
        except OSError as error:
            self._lifeline.close()
            raise WorkerStartError("the forkserver", str(error))
        finally:
            os.close(alive)
        self._pidfd = os.pidfd_open(self.pid)

    def has_ended(self) -> bool:
        """Whether it is dead."""
        return self._pidfd < 0 or is_readable(self._pidfd)

    def patience(self, first_s: float) -> float:
        """Return how long an answer may take: the first one waits for the imports, the others for one fork (s)."""
        return min(first_s, _WARM_TIMEOUT_S) if self.is_warm else first_s

    def fork(self, boot: Boot, timeout_s: float) -> Newborn:
        """Fork a process that reads `boot`.

        Raises EOFError or ConnectionError if the forkserver died meanwhile, TimeoutError if it does not answer.
        """
        with ExitStack() as ours, ExitStack() as if_failed:
            status, status_w = os.pipe()
            if_failed.callback(os.close, status)
            data, lifeline_fd = os.pipe()
            lifeline = if_failed.enter_context(io.FileIO(lifeline_fd, "wb"))
            with ours:
                ours.callback(os.close, status_w)
                ours.callback(os.close, data)
                null = ours.enter_context(open(os.devnull, "wb", buffering=0)).fileno()
                client = ours.enter_context(socket.socket(socket.AF_UNIX))
                client.connect(ours.enter_context(_short(self._path)))
                reduction.sendfds(client, [data, status_w, null, null, *boot.descriptors])
            # Our copies are closed: from here on a dead forkserver is an EOF or a broken pipe, not a wait for ever.
            write_all(lifeline, boot.content)
            if not is_readable(status, self.patience(timeout_s)):
                raise TimeoutError
            pid = forkserver.read_signed(status)
            try:
                pidfd = os.pidfd_open(pid)
            except ProcessLookupError:
                raise OSError("it ended at once; see its stderr")
            self.is_warm = True
            if_failed.pop_all()
            return Newborn(pid, pidfd, lifeline, status)

    def kill(self) -> None:
        """SIGKILL it, without waiting."""
        if self._pidfd >= 0:
            try:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def stop(self) -> None:
        """Kill it and wait for its end; its workers live on, by their own lifelines."""
        self.kill()
        if self._pidfd >= 0:
            is_readable(self._pidfd, _END_TIMEOUT_S)
            try:
                os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pass
            self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of it: it ends unless another process holds its lifeline too. Idempotent."""
        self._lifeline.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
        self._pidfd = -1


def _command(
    listener: int, alive: int, modules: Sequence[str], welcome: Sequence[str], directory: Path
) -> list[str]:
    """Return the command line of a fresh interpreter that becomes the forkserver; the welcome modules come last."""
    command: list[str] = spawn.get_command_line()
    code = f"import sys; sys.path[:] = {absolute_sys_path()!r}; from {serve.__module__} import serve; "
    code += f"serve({listener}, {alive}, {list(modules)!r}, {str(directory)!r}, sys.argv[1:], sys.orig_argv)"
    command[command.index("-c") :] = ["-c", code, *welcome]
    return command


def _become(
    listener: int, alive: int, modules: Sequence[str], directory: Path, command: list[str], welcome: Sequence[str]
) -> NoReturn:
    """In a fork of the user's process: be the forkserver, and never come back to what it did before."""
    try:
        wipe({listener, alive})
        again = [spawn.get_executable(), *command[1:]]
        contextvars.Context().run(serve, listener, alive, list(modules), str(directory), list(welcome), again)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Name a Unix socket in at most 107 bytes, wherever it is: if need be, by its open directory."""
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        yield str(path)
        return
    fd = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{path.name}"
    finally:
        os.close(fd)


_numbers = itertools.count(1)
