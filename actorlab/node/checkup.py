"""Checkup: what this machine lacks for a node, and what dead nodes left on it: the doctor.

Edge (reads the system's settings); `actorlab doctor` prints it. Guarantees: it never raises for what it finds, and
changes nothing unless asked to clean. What this system lacks and actorlab does without is said, and is no fault.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from ..errors import SpecError, StartError, UnsafeDirectory
from ..lean_dataclass import dataclass
from ..memory import Capability, has, missing, taken_away
from .directory import base_directory, check_safe, node_directories
from .sweep import Finding, sweep

INSTEAD: Mapping[Capability, str] = {
    "pidfd": "a worker's end is seen at a pipe that it alone keeps open, and it is signalled by its pid",
    "close_signal": "a thread of each worker ends it with its controller; if C code holds the GIL, the sentry does",
    "proc": "psutil says what processes are; each says itself what memory is its alone (USS); nobody knows PSS",
    "forkserver": "workers are spawned, and import everything anew; a sentry cleans up after a killed controller",
    "eventfd": "a sleeping loop is woken by a pipe of its own",
    "epoll": "loops wait in poll",
    "futex": "who follows a stream looks every 2 ms",
    "dev_shm": "shared files are in the user's temporary folder ($TMPDIR), on a disk: what is written goes there too",
    "fallocate": "files are filled with zeros before they are used, so that a full disk is seen then",
    "punch_hole": "slabs of large messages keep their pages until their process ends",
    "memfd": "pools with backend = 'memfd' are refused",
    "affinity": "worker.cpus is refused, but for 'any'",
}
"""What is done without a capability."""

_SMALL_SHM_BYTES = 256 << 20
_FEW_DESCRIPTORS = 1024
_FIRST_NON_SYSTEM_UID = 1000


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the doctor looked at; `text` says what was found and, if it is not ok, what to do."""

    name: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """What the doctor found: `checks` of the machine, `findings` of dead nodes."""

    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is left to do."""
        return all(check.ok for check in self.checks) and all(finding.removed for finding in self.findings)


def doctor(base: Path | None = None, *, clean: bool = False) -> Report:
    """Look at this machine, and at what dead nodes left; with `clean` remove it. Never raises for what it finds."""
    try:
        taken_away()
    except SpecError as error:
        return Report((Check("capabilities", False, str(error)),), ())
    where = base or base_directory()
    checks = [_python(), _processes(), _scheduling(), _directory(where), _room(where.parent), _descriptors(), _logind()]
    checks += [_does_without(one) for one in missing()]
    findings: tuple[Finding, ...] = ()
    try:
        findings = tuple(sweep(where, clean=clean))
    except (UnsafeDirectory, StartError, OSError) as error:
        checks.append(Check("sweep", False, f"could not look for dead nodes: {error}"))
    return Report(tuple(checks), findings)


def _python() -> Check:
    name = f"{platform.python_implementation()} {platform.python_version()}"
    good = sys.version_info >= (3, 11) and platform.python_implementation() == "CPython"
    return Check("python", good, name if good else f"{name}: actorlab needs CPython 3.11 or later")


def _processes() -> Check:
    text = "forked from a forkserver" if has("forkserver") else "spawned: some 0.2 s and 13 MB each more than forked"
    return Check("processes", True, f"{text}; {platform.system()} {platform.release()}, {os.cpu_count()} cores")


def _does_without(capability: Capability) -> Check:
    why = "taken away by ACTORLAB_WITHOUT" if capability in taken_away() else "not on this system"
    return Check(capability, True, f"{why}: {INSTEAD[capability]}")


def _scheduling() -> Check:
    if hasattr(os, "sched_yield"):
        return Check("sched_yield", True, "available: workers poll briefly without stealing the sender's core")
    return Check("sched_yield", False, "missing: calls between workers will be slower")


def _directory(base: Path) -> Check:
    try:
        check_safe(base)
    except FileNotFoundError:
        return Check("directory", True, f"{base} does not exist yet; the first node creates it")
    except (UnsafeDirectory, OSError) as error:
        return Check("directory", False, f"{error}")
    return Check("directory", True, f"{base} is ours and closed to others; {len(node_directories(base))} nodes")


def _room(where: Path) -> Check:
    try:
        usage = shutil.disk_usage(where)
    except OSError as error:
        return Check("shared memory", False, f"{error}: set ACTORLAB_RUNTIME_DIR to a directory in memory")
    size = f"{where}: {usage.free >> 20:,} MiB free of {usage.total >> 20:,}"
    if usage.free < _SMALL_SHM_BYTES:
        advice = "enlarge it (docker run --shm-size=1g)" if has("dev_shm") else "free some, or set ACTORLAB_RUNTIME_DIR"
        return Check("shared memory", False, f"{size}; {advice}")
    return Check("shared memory", True, size)


def _descriptors() -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    good = soft == resource.RLIM_INFINITY or soft >= _FEW_DESCRIPTORS
    advice = "" if good else f"; raise it (ulimit -n {_FEW_DESCRIPTORS}; the hard limit is {hard})"
    return Check("descriptors", good, f"{soft} may be open{advice}")


def _logind() -> Check:
    """systemd-logind deletes a user's files in /dev/shm when the last session ends, unless told otherwise."""
    if not os.path.isdir("/run/systemd/seats") or os.geteuid() < _FIRST_NON_SYSTEM_UID:
        return Check("RemoveIPC", True, "no logind that would remove this user's shared memory at logout")
    folder = Path("/etc/systemd/logind.conf.d")
    for file in [*sorted(folder.glob("*.conf"), reverse=True), Path("/etc/systemd/logind.conf")]:
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            key, _, value = line.partition("=")
            if key.strip() == "RemoveIPC":
                off = value.strip().lower() in ("no", "false", "0", "off")
                return Check("RemoveIPC", off, f"{file} says {line.strip()}" + ("" if off else _REMOVE_IPC_ADVICE))
    return Check("RemoveIPC", False, "logind's default is RemoveIPC=yes" + _REMOVE_IPC_ADVICE)


_REMOVE_IPC_ADVICE = (
    ": a node that outlives your last login loses its files; "
    "set RemoveIPC=no in logind.conf, run it as a system user, or set ACTORLAB_RUNTIME_DIR"
)
