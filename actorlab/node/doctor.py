"""The doctor: what this machine lacks for a node, and what dead nodes left on it.

Edge (reads the system's settings); `actorlab doctor` prints it. Guarantees: it never raises for what it finds, and
changes nothing unless asked to clean.
"""

from __future__ import annotations

import fcntl
import os
import platform
import resource
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from ..errors import StartError, UnsafeDirectory
from .directory import base_directory, check_safe, node_directories
from .sweep import Finding, sweep

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
    where = base or base_directory()
    checks = [_python(), _processes(), _scheduling(), _directory(where), _room(where.parent), _descriptors(), _logind()]
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
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError) as error:
        return Check("processes", False, f"no pidfd ({error}): Linux 5.3 or later is needed")
    fork = hasattr(os, "fork") and hasattr(fcntl, "F_SETSIG")
    text = "pidfd, fork and F_SETSIG" if fork else "no fork or F_SETSIG: only method='spawn' works here"
    return Check("processes", fork, f"{text}; Linux {platform.release()}, {os.cpu_count()} cores")


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
        return Check("shared memory", False, f"{size}; enlarge it (docker run --shm-size=1g)")
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
