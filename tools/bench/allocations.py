"""Allocations: how many blocks of memory are asked for, whether they are given back at once or not.

Edge (the interpreter's allocators, through its C interface). While we count nothing is given back: `free` is put out
of use, so the number of blocks in use grows by one with each that is asked for, exactly. What was not given back is
lost to the process, a few hundred bytes a message. What the interpreter keeps for its next use (an empty tuple, a
frame) is not asked for, and not counted; another thread's blocks are.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

_DOMAINS = (1, 2)  # PYMEM_DOMAIN_MEM, PYMEM_DOMAIN_OBJ


class _Allocator(ctypes.Structure):
    """PyMemAllocatorEx."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("context", "malloc", "calloc", "realloc", "free")]


_get = ctypes.PYFUNCTYPE(None, ctypes.c_int, ctypes.POINTER(_Allocator))(("PyMem_GetAllocator", ctypes.pythonapi))
_set = ctypes.PYFUNCTYPE(None, ctypes.c_int, ctypes.POINTER(_Allocator))(("PyMem_SetAllocator", ctypes.pythonapi))
_NOTHING = ctypes.cast(ctypes.pythonapi.Py_IsInitialized, ctypes.c_void_p).value  # does nothing, whatever it is given


def _with_free(domain: int, free: int | None) -> _Allocator:
    """Return a domain's allocator as it is, but with another `free`."""
    allocator = _Allocator()
    _get(domain, ctypes.byref(allocator))
    if free is not None:
        allocator.free = free
    return allocator


_usual = [_with_free(domain, None) for domain in _DOMAINS]
_lavish = [_with_free(domain, _NOTHING) for domain in _DOMAINS]
_before = [0]


def begin() -> None:
    """Count from here on."""
    for domain, allocator in zip(_DOMAINS, _lavish, strict=True):
        _set(domain, ctypes.byref(allocator))
    _before[0] = sys.getallocatedblocks()


def end() -> int:
    """Count no more; return how many there were, this function's own few among them."""
    count = sys.getallocatedblocks() - _before[0]
    for domain, allocator in zip(_DOMAINS, _usual, strict=True):
        _set(domain, ctypes.byref(allocator))
    return count


def counted(work: Callable[[], object]) -> int:
    """Return how many blocks `work` asks for."""
    begin()
    work()
    return end()
