"""Letters: the dead letters of a worker, on their way to the node's, in the user's process.

Edge (control messages); one in every worker. A flood of dead letters must not become a flood of control messages:
within any SECOND the first FULL go whole, of the others only the number by reason, once, at its end. So the node's
counts are right, a second late at most; a worker that is killed takes what it had not yet told with it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from ..actor import DeadLetter, Kernel
from ..ids import CONTROLLER_HOME

if TYPE_CHECKING:
    from .runtime import ProcessRuntime

FULL = 100
SECOND = 1.0


class LetterCarrier:
    """Tells the controller what died in this process."""

    def __init__(self, runtime: ProcessRuntime, kernel: Kernel) -> None:
        self._runtime = runtime
        self._kernel = kernel
        self._lock = threading.Lock()
        self._since = 0.0
        self._told = 0
        self._untold: Counter[str] = Counter()
        runtime.dead_letters.subscribe(self.carry)

    def carry(self, letter: DeadLetter) -> None:
        """Tell of one dead letter, or count it. From any thread; never waits."""
        now = time.monotonic()
        with self._lock:
            if now - self._since >= SECOND and not self._untold:
                self._since, self._told = now, 0
            self._told += 1
            if self._told > FULL:
                if not self._untold:
                    self._kernel.post(self._kernel.hub.loop.call_later, SECOND, self.tell_numbers)
                self._untold[letter.reason] += 1
                return
        fields = (letter.actor, letter.address, letter.message, letter.reason)
        self._runtime.tell_kernel(CONTROLLER_HOME, "dead_letter", *fields)

    def tell_numbers(self) -> None:
        """Tell how many there were beside those told of."""
        with self._lock:
            untold, self._untold = self._untold, Counter()
            self._since, self._told = time.monotonic(), 0
        if untold:
            self._runtime.tell_kernel(CONTROLLER_HOME, "dead_letters", dict(untold))
