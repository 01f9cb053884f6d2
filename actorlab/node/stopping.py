"""Stopping: how a node's worker processes end with it, in order while there is time.

Edge (processes); the controller's, in the thread of whoever stops the node. Who does not stop in time is interrupted,
then killed; on return none is left, and the launcher makes no more.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .controller import Controller


def stop_workers(controller: Controller, grace_s: float, brutal: bool) -> None:
    """Stop what is left in the workers, then the workers; the controller launches no more."""
    slots = tuple(controller.slots.values())  # one more may be about to join, or fail to
    if not brutal:
        live = [slot for slot in slots if slot.process is not None and slot.ready.state]
        waits = [(slot, controller.runtime.control(slot.number, "shutdown_all", grace_s)) for slot in live]
        end = time.monotonic() + grace_s + 1.0
        for slot, wait in waits:
            try:
                wait.get(timeout=max(0.01, end - time.monotonic()))
            except Exception:
                controller.patrol.interrupt(slot.number, "does not stop")
        for slot in live:
            controller.runtime.tell_kernel(slot.number, "exit")
        end = time.monotonic() + 1.0
        for slot in live:
            process = slot.process
            if process is not None:
                process.wait_ended(max(0.01, end - time.monotonic()))
    for slot in slots:
        process = slot.process
        if process is not None and not process.has_ended():
            process.kill()
    # Their ends are seen in the controller's thread, which lets go of their descriptors; were they closed under
    # its hands, it would watch whatever has their numbers next.
    end = time.monotonic() + 2.0
    while any(slot.process for slot in slots) and controller.kernel.running and time.monotonic() < end:
        time.sleep(0.0005)
    controller.launcher.stop(close=False)
