"""Private memory in the place of shared: what a forked child is left with of its parent's mappings.

An edge (memory). A child that stores into its parent's lane or table would be a second writer where one is promised.
"""

from __future__ import annotations

import ctypes
import mmap

from .layout import round_up

_MAP_FIXED = 0x10
_PAGE = mmap.PAGESIZE


def make_private(view: memoryview) -> None:
    """Put zeros of this process's own in the place of a writable mapping that begins at a page, to its last page.

    Whoever looks there finds nothing, and what is stored there nobody else sees. Raises OSError, ValueError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_long)
    plain = view.cast("B")
    first = ctypes.c_char.from_buffer(plain)
    address, length = ctypes.addressof(first), round_up(plain.nbytes, _PAGE)
    del first
    if address % _PAGE:
        raise ValueError(f"the mapping does not begin at a page: {address:#x}")
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED
    if libc.mmap(address, length, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0) != address:
        raise OSError(ctypes.get_errno(), "the mapping cannot be made private")
