"""Routing: one name for many actors: routers, teams, and queues of work.

Pure re-exports.
"""

from .choice import RULES, Ring, Rule
from .router import First, Router
from .team import Team
from .work_queue import WorkQueue

__all__ = ["RULES", "First", "Ring", "Router", "Rule", "Team", "WorkQueue"]
