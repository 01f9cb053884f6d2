"""Watched: a module whose import has the instructions of this thread, and of processes forked of it, counted.

Edge; preloaded by a node whose workers are to be counted: their forkserver imports it when it has dropped whatever
trace function it was forked with.
"""

from __future__ import annotations

from .instructions import watch

watch()
