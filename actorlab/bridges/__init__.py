"""Bridges: actorlab under interfaces that others have made, and others' agents under our supervisors.

Floor 8. `executor` is the standard library's; `autogen` hosts autogen-core agents (an extra, imported only by who asks
for it). Plain Pykka actors need no bridge: they are hosted where they are started (`actor.hosting`).
"""

from .executor import ActorExecutor

__all__ = ["ActorExecutor"]
