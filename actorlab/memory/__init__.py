"""Bytes shared between processes: segments, layouts, pools, handles, leases."""

from __future__ import annotations

from .handle import Handle
from .layout import GEOMETRY_WORDS, HEADER_BYTES, PAGE, decode_header, encode_header, round_up
from .pool import ContextPool
from .segment import Segment, unlink
from .usage import DatasetUsage, LeaseRow, PoolUsage

__all__ = [
    "GEOMETRY_WORDS",
    "HEADER_BYTES",
    "PAGE",
    "ContextPool",
    "DatasetUsage",
    "Handle",
    "LeaseRow",
    "PoolUsage",
    "Segment",
    "decode_header",
    "encode_header",
    "round_up",
    "unlink",
]
