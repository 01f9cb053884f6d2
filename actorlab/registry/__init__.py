"""Names of actors: one live owner each, read from shared memory without a message.

Floor 4. `contract` says what a backend promises, `backends` keeps the promise twice, `client` is what the node uses.
"""

from __future__ import annotations

from .backends import BACKENDS, LocalBackend, SharedBackend, SharedReader, create_backend
from .client import Name, Names
from .contract import (
    MAX_METADATA_BYTES,
    Entry,
    IsAlive,
    RegistryBackend,
    RegistryReader,
    RegistryStatistics,
    RegistryWriter,
)
from .hashing import MAX_PARTITIONS, hash_of, partition_of
from .naming import DEFAULT_NAMESPACE, MAX_NAME_BYTES, Via, split, via

__all__ = [
    "BACKENDS",
    "DEFAULT_NAMESPACE",
    "MAX_METADATA_BYTES",
    "MAX_NAME_BYTES",
    "MAX_PARTITIONS",
    "Entry",
    "IsAlive",
    "LocalBackend",
    "Name",
    "Names",
    "RegistryBackend",
    "RegistryReader",
    "RegistryStatistics",
    "RegistryWriter",
    "SharedBackend",
    "SharedReader",
    "Via",
    "create_backend",
    "hash_of",
    "partition_of",
    "split",
    "via",
]
