"""An actor that has no descriptor left to send with."""

from __future__ import annotations

import errno
from typing import Any
from unittest import mock

import actorlab as al
from actorlab.transport import outlet


class Needy(al.Actor):
    """Sends to where it has never sent, and looks at what is left of that."""

    def ask(self, other: al.ActorRef[Any], size: int) -> tuple[int | None, int, int, int]:
        """Return the error's number, and how many questions, files and slabs it left behind."""
        runtime: Any = self.node._runtime
        before = set(runtime.pending)

        def refuse(*_: Any) -> Any:
            raise OSError(errno.EMFILE, "Too many open files")

        said = None
        with mock.patch.object(outlet, "LaneWriter", refuse):
            try:
                other.request.note(bytes(size))
            except OSError as error:
                said = error.errno
        spilled = runtime.spill.statistics()
        return said, len(set(runtime.pending) - before), spilled.waiting, spilled.slabs.lent

    def ask_again(self, other: al.ActorRef[Any], size: int) -> Any:
        other.call.note(bytes(size))
        return len(other.call.noted()[0])

    def refuse_lanes(self, times: int) -> None:
        """Refuse to open lanes from this process, so many times."""
        self.refused = 0
        real: Any = vars(outlet)["LaneWriter"]

        def refuse(*args: Any) -> Any:
            if self.refused < times:
                self.refused += 1
                raise OSError(errno.EMFILE, "Too many open files")
            return real(*args)

        mock.patch.object(outlet, "LaneWriter", refuse).start()

    def how_many(self, size: int = 0) -> tuple[int, bytes]:
        return self.refused, bytes(size)

    def ask_how_many(self, other: al.ActorRef[Any], size: int) -> int:
        return len(other.call.how_many(size)[1])
