"""Futex: sleep until a word in shared memory is no longer what it was; Linux's own, for processes that share a mapping.

An edge (a system call that blocks the calling thread, without the GIL). Who sleeps needs only to read the word. Nothing
is lost between looking and sleeping: the kernel compares once more before it lets a thread sleep. Where there is no
such call (another system or architecture), sleeping is polling.
"""

from __future__ import annotations

import ctypes
import platform
import time

from .capabilities import FUTEX_NUMBERS, has

_WAIT, _WAKE = 0, 1
_ALL = 0x7FFFFFFF
_POLL_S = 0.002


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


_number = FUTEX_NUMBERS.get(platform.machine(), -1)
_libc = ctypes.CDLL(None)


def sleep_on(address: int, value: int, timeout_s: float) -> None:
    """Block the thread until the 32-bit word at `address` is woken, at once if it is not `value`; at most `timeout_s`.

    May return early, for nothing; look again. The memory must stay mapped meanwhile.
    """
    if not has("futex"):
        time.sleep(min(timeout_s, _POLL_S))
        return
    until = _Timespec(int(timeout_s), int(timeout_s % 1 * 1e9))
    _libc.syscall(
        ctypes.c_long(_number), ctypes.c_void_p(address), ctypes.c_int(_WAIT), ctypes.c_uint32(value),
        ctypes.byref(until), None, ctypes.c_uint32(0),
    )  # fmt: skip


def wake_all(address: int) -> None:
    """Wake every thread, of whatever process, that sleeps on the word at `address`. Does not wait for any of them."""
    if has("futex"):
        _libc.syscall(
            ctypes.c_long(_number), ctypes.c_void_p(address), ctypes.c_int(_WAKE), ctypes.c_int(_ALL), None, None,
            ctypes.c_uint32(0),
        )  # fmt: skip
