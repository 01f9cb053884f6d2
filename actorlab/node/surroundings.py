"""Surroundings: what a worker process is given of its machine: CPUs, priority, environment, working directory.

Pure options, and an edge (`settle_in`: system calls, in the worker, before anything of the user's runs there but what
was preloaded). A worker whose surroundings cannot be had does not start, and says why.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from ..errors import SpecError, WorkerStartError
from ..lean_dataclass import dataclass
from ..memory import require

Cpus = Literal["any", "each"]
_VARIABLE = re.compile(r"[^=\0]+")


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The surroundings of every worker; `{worker}` in a text stands for the worker's number.

    `cpus`: "any" (the user's process's own), "each" (one CPU a worker, in turn), or a tuple with the CPUs of worker 1,
    of worker 2, and so on, begun anew where there are more workers. `nice` from -20 (privileged) to 19. `environment`
    is laid over the user's process's. `directory` is the working directory, an absolute path.
    """

    cpus: Cpus | tuple[tuple[int, ...], ...] = "any"
    nice: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: str | None = None

    def __post_init__(self) -> None:
        cpus = self.cpus
        if cpus not in ("any", "each") and not (
            isinstance(cpus, tuple)
            and cpus
            and all(isinstance(one, tuple) and one and all(type(n) is int and n >= 0 for n in one) for one in cpus)
        ):
            raise SpecError("worker.cpus", f"must be 'any', 'each' or CPU numbers by worker, not {cpus!r}")
        if cpus != "any":
            require("affinity", "worker.cpus", cpus, "use 'any'")
        if self.nice is not None and (type(self.nice) is not int or not -20 <= self.nice <= 19):
            raise SpecError("worker.nice", f"must be a whole number from -20 to 19, not {self.nice!r}")
        for name, value in self.environment.items():
            texts = isinstance(name, str) and isinstance(value, str)
            if not texts or not _VARIABLE.fullmatch(name) or "\0" in value:
                raise SpecError("worker.environment", f"must have names and texts, not {name!r}: {value!r}")
        if self.directory is not None and not os.path.isabs(self.directory):
            raise SpecError("worker.directory", f"must be an absolute path, not {self.directory!r}")

    def cpus_of(self, worker: int, usable: set[int]) -> set[int] | None:
        """Return the CPUs of a worker out of those that the user's process may use; None: all of them.

        >>> WorkerOptions("each").cpus_of(3, {0, 2}), WorkerOptions(((0, 1), (2,))).cpus_of(2, {0, 1, 2})
        ({0}, {2})
        """
        if self.cpus == "any":
            return None
        if self.cpus == "each":
            return {sorted(usable)[(worker - 1) % len(usable)]}
        return set(self.cpus[(worker - 1) % len(self.cpus)])


def settle_in(options: WorkerOptions, worker: int) -> None:
    """Give this process its surroundings. Raises WorkerStartError for what it cannot have."""
    what = f"worker {worker}"
    try:
        if options.cpus != "any":
            usable = os.sched_getaffinity(0)
            cpus = options.cpus_of(worker, usable) or usable
            if not cpus <= usable:
                raise WorkerStartError(what, f"CPUs {sorted(cpus - usable)} are not among the usable {sorted(usable)}")
            os.sched_setaffinity(0, cpus)
        if options.nice is not None:
            os.setpriority(os.PRIO_PROCESS, 0, options.nice)
        for name, value in options.environment.items():
            os.environ[name] = value.replace("{worker}", str(worker))
        if options.directory is not None:
            os.chdir(options.directory.replace("{worker}", str(worker)))
    except OSError as error:
        raise WorkerStartError(what, f"its surroundings cannot be had: {error}") from error
