"""Reports: what workers tell and ask the controller, by the names that CONTROL messages have for it.

Edge (it acts on the controller, in its thread); beside the operations that every kernel has (control.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..actor import DeadLetter
from .logs import take_log

if TYPE_CHECKING:
    from .controller import Controller


def reports(controller: Controller) -> dict[str, Callable[..., Any]]:
    """Return the controller's own operations by name."""
    backend: Any = controller.runtime.backend
    letters = controller.runtime.dead_letters
    return {
        "name": lambda kernel, *question: backend.register(*question),
        "names": lambda kernel, rows: backend.register_many(rows),
        "unregister": lambda kernel, *question: backend.unregister(*question),
        "describe": lambda kernel, *question: backend.update_metadata(*question),
        "redescribe": lambda kernel, *question: backend.merge_metadata(*question),
        "join": lambda kernel, key, rows: backend.join(key, rows),
        "leave": lambda kernel, key, addresses: backend.leave(key, addresses),
        "ended": lambda kernel, address: backend.release_owner(address),
        "log": lambda kernel, fields: controller.news.hand(take_log, fields),
        "dead_letter": lambda kernel, *fields: letters.take(DeadLetter(*fields)),
        "dead_letters": lambda kernel, numbers: letters.count(numbers),
        "event": lambda kernel, kind, text, fields: controller.happened(kind, text, fields),
        "interrupt_worker": lambda kernel, home, cause: controller.patrol.interrupt(home, cause),
        "kill_worker": lambda kernel, home, cause: controller.patrol.put_down_if_held(home, cause),
        "gave_up": lambda kernel, address, cause: controller.causes.__setitem__(address, cause),
        "guest_word": lambda kernel, *words: controller.hosting.guest_word(*words),
        "stays": lambda kernel, home, what, why: controller.recycler.stays(home, what, why),
    }
