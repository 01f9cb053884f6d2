"""Bytes shared between processes: segments, layouts, pools, handles, leases."""

from __future__ import annotations

from .capabilities import (
    SHARED_MEMORY,
    WITHOUT_VARIABLE,
    Capability,
    ask_again,
    has,
    missing,
    require,
    shared_memory_folder,
    taken_away,
)
from .census import read_usage
from .follower import Follower, park_followers
from .handle import Handle
from .janitor import Janitor, look_after
from .layout import GEOMETRY_WORDS, HEADER_BYTES, PAGE, decode_header, encode_header, round_up
from .lease import name_holders
from .ownership import foreign_owner, other_writers
from .placing import POOLS, remove_pools
from .pool import ContextPool
from .private import make_private
from .process_stat import is_frozen, own_private_bytes, owner_of, process_exists, start_time_of, stat_fields
from .segment import Segment, unlink
from .settings import DatasetSettings, PoolBackend, PoolSettings
from .space import FULL, allocate, no_room
from .stream import AppendStream, subscribe_by
from .stream_writer import StreamWriter
from .subscribers import NewVersion, tell_by
from .usage import DatasetUsage, LeaseRow, PoolUsage

__all__ = [
    "FULL",
    "GEOMETRY_WORDS",
    "HEADER_BYTES",
    "PAGE",
    "POOLS",
    "SHARED_MEMORY",
    "WITHOUT_VARIABLE",
    "AppendStream",
    "Capability",
    "ContextPool",
    "DatasetSettings",
    "DatasetUsage",
    "Follower",
    "Handle",
    "Janitor",
    "LeaseRow",
    "NewVersion",
    "PoolBackend",
    "PoolSettings",
    "PoolUsage",
    "Segment",
    "StreamWriter",
    "allocate",
    "ask_again",
    "decode_header",
    "encode_header",
    "foreign_owner",
    "has",
    "is_frozen",
    "look_after",
    "make_private",
    "missing",
    "name_holders",
    "no_room",
    "other_writers",
    "own_private_bytes",
    "owner_of",
    "park_followers",
    "process_exists",
    "read_usage",
    "remove_pools",
    "require",
    "round_up",
    "shared_memory_folder",
    "start_time_of",
    "stat_fields",
    "subscribe_by",
    "taken_away",
    "tell_by",
    "unlink",
]
