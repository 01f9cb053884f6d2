"""An actor that says what its process has imported; its module takes nothing but what an actor needs."""

import sys

import actorlab as al


class Looker(al.Actor):
    """Looks around in its process."""

    def modules(self) -> list[str]:
        """Return what has been imported here."""
        return sorted(sys.modules)
