"""What the workers of the launch tests run. Imported by real worker processes, so it imports little itself."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import signal
import sys
import threading


def echo(assignment, control):
    """Answer the assignment, then whatever comes, until the controller hangs up."""
    control.send_bytes(assignment)
    try:
        while True:
            control.send_bytes(control.recv_bytes())
    except EOFError:
        pass


def report(assignment, control):
    """Tell what a worker finds when it starts, then wait."""
    names = [name for name in vars(sys.modules["__main__"]) if not name.startswith("__")]
    names += [name for name in ("__file__", "__spec__") if getattr(sys.modules["__main__"], name, None)]
    descriptors = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            descriptors[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            pass
    facts = {
        "main": names,
        "interrupt": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
        "blocked": [int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "descriptors": descriptors,
        "threads": len(os.listdir("/proc/self/task")),
        "modules": sorted(sys.modules),
        "openblas": os.environ.get("OPENBLAS_NUM_THREADS"),
        "parent": os.getppid(),
    }
    control.send_bytes(json.dumps(facts).encode())
    control.poll(None)


def spin(assignment, control):
    """Compute in Python for ever."""
    control.send_bytes(b"busy")
    while True:
        pass


def hold_the_gil(assignment, control):
    """Sleep in C for ever, holding the GIL, so that no other thread and no Python signal handler ever runs."""
    control.send_bytes(b"busy")
    ctypes.PyDLL(None).sleep(10_000)


def close_everything(assignment, control):
    """Close every descriptor, as a program does that becomes a daemon, and live on."""
    os.closerange(3, 256)
    while True:
        signal.pause()


def fork(assignment, control):
    """Fork a child that outlives this process, say its pid, and wait."""
    child = os.fork()
    if child == 0:
        while True:
            signal.pause()
    control.send_bytes(b"%d" % child)
    threading.Event().wait()


def sleep(assignment, control):
    """Wait for what never comes."""
    control.send_bytes(b"busy")
    threading.Event().wait()


def end(assignment, control):
    """End in the way that the assignment names."""
    how = assignment.decode()
    faulthandler.disable()
    if how == "return":
        return
    if how == "raise":
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the traceback is not what the test looks at
        raise RuntimeError(how)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "abort":
        os.abort()
    if how.startswith("exit "):
        raise SystemExit(int(how[5:]))
    if how.startswith("_exit "):
        os._exit(int(how[6:]))
    os.kill(os.getpid(), int(how))
    signal.pause()
