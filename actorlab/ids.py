"""Addresses: how an actor is named by number, in any process of its node.

Pure; floor 0. An address is one unsigned 64-bit integer:

    63      56 55              32 31                     0
    ┌─────────┬──────────────────┬────────────────────────┐
    │ home    │ index            │ generation             │
    └─────────┴──────────────────┴────────────────────────┘

`home` is the kernel whose node table holds the actor's slot (0 the controller, 1…250 the workers,
LOCAL_HOME the user's own actors in the user's process), `index` the slot in that table and
`generation` the slot's tenant, so that an old reference never reaches a stranger. Address 0 is nobody.
"""

from __future__ import annotations

CONTROLLER_HOME = 0
MAX_WORKERS = 250
LOCAL_HOME = 255

INDEX_BITS = 24
MAX_INDEX = (1 << INDEX_BITS) - 1
NOBODY = 0

_GENERATION_MASK = (1 << 32) - 1


def pack(home: int, index: int, generation: int) -> int:
    """Return the address of slot `index` of `home` in its `generation`.

    >>> hex(pack(1, 2, 3))
    '0x100000200000003'
    """
    return home << 56 | index << 32 | generation


def home_of(address: int) -> int:
    """Return the kernel whose table holds the slot.

    >>> home_of(pack(7, 2, 3))
    7
    """
    return address >> 56


def index_of(address: int) -> int:
    """Return the slot's index in its home's table.

    >>> index_of(pack(7, 2, 3))
    2
    """
    return address >> 32 & MAX_INDEX


def generation_of(address: int) -> int:
    """Return the tenant of the slot that is meant.

    >>> generation_of(pack(7, 2, 3))
    3
    """
    return address & _GENERATION_MASK


def process_of(home: int) -> int:
    """Return the process slot that hosts `home`: the user's process (0) hosts the controller and local actors.

    >>> process_of(LOCAL_HOME), process_of(3)
    (0, 3)
    """
    return 0 if home == LOCAL_HOME else home


def show(address: int) -> str:
    """Return the address as people read it, `home.index.generation`.

    >>> show(pack(1, 17, 3))
    '1.17.3'
    """
    home = home_of(address)
    return f"{'local' if home == LOCAL_HOME else home}.{index_of(address)}.{generation_of(address)}"
