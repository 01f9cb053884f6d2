"""An actor that forks behind Python's back. Imported by real worker processes."""

from __future__ import annotations

import ctypes
import os

import actorlab as al


class Forker(al.Actor):
    def fork_in_c(self):
        """Fork as a C library does, so that no hook of Python's runs; the child holds every descriptor of ours."""
        libc = ctypes.PyDLL(None)
        child = libc.fork()
        while child == 0:
            libc.pause()
        return child

    def pid(self):
        return os.getpid()
