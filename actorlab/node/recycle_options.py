"""Recycling, as options: when a worker process gives its place to a fresh one, and how long its actors may take.

Pure; part of a node's options.
"""

from __future__ import annotations

from typing import Literal, get_args

from ..errors import SpecError
from ..lean_dataclass import dataclass

OnStuck = Literal["refuse", "restart"]


@dataclass(frozen=True, slots=True)
class RecycleOptions:
    """When workers are recycled: handed over, actors, queues and all, to a fresh process in the same place.

    By itself after `max_age_s` seconds or `max_messages` handled (None: never), one worker at a time; beside that when
    `memory.on_soft` says so, and by hand. Handlers that are under way have `timeout_s` to end; then the worker stays
    as it is (`on_stuck="refuse"`), or those of supervised actors are killed and restarted (`"restart"`). After a
    refusal it is tried again in `retry_s`.
    """

    max_age_s: float | None = None
    max_messages: int | None = None
    timeout_s: float = 5.0
    on_stuck: OnStuck = "refuse"
    retry_s: float = 30.0

    def __post_init__(self) -> None:
        for option in ("max_age_s", "timeout_s", "retry_s"):
            value = getattr(self, option)
            if value is None and option == "max_age_s":
                continue
            if type(value) not in (int, float) or not 0 < value < 1e9:
                raise SpecError(f"recycle.{option}", f"must be a time above 0 in seconds, not {value!r}")
        if self.max_messages is not None and (type(self.max_messages) is not int or self.max_messages < 1):
            raise SpecError("recycle.max_messages", f"must be a whole number from 1 on, not {self.max_messages!r}")
        if self.on_stuck not in get_args(OnStuck):
            raise SpecError("recycle.on_stuck", f"must be one of {', '.join(get_args(OnStuck))}, not {self.on_stuck!r}")
