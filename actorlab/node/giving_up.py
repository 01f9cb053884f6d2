"""Giving up: a question of this process's that nobody waits for any more, wherever it was sent.

Edge (sends a signal); used by the process's runtime. Within the process the receiver's kernel takes it out of the
mailbox; another process is told by a signal, which comes behind the question, in the same lane.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..actor import Loose, loosen, take_back

if TYPE_CHECKING:
    from .runtime import ProcessRuntime


def give_up(runtime: ProcessRuntime, question: Any, address: int) -> bool:
    """Forget a question, and have it not handled if it has not begun; return whether that is certain already."""
    kernel = runtime.kernels.get(address >> 56)
    if kernel is not None:
        return take_back(kernel, address, question)
    if runtime.pending.pop(question.corr, None) is not None:
        runtime.signal(address, ("cancel", address, question.corr))
    return False


def give_up_when_dropped(runtime: ProcessRuntime, question: Any, address: int) -> None:
    """Take a question back as soon as nobody holds the future that it is."""
    kernel = runtime.kernels.get(address >> 56)
    if kernel is not None:
        loosen(kernel, address, question)
    elif question.corr in runtime.pending:
        runtime.pending[question.corr] = Loose(question, next(iter(runtime.kernels.values())), address)
