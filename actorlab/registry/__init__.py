"""Names of actors: one live owner each, read from shared memory without a message.

Floor 4. `contract` says what a backend promises, `backends` keeps the promise twice, `membership` and `indexed` add
groups, topics and an index over metadata to any of them, `client` is what the node uses.
"""

from __future__ import annotations

from .backends import (
    BACKENDS,
    BackendKind,
    LocalBackend,
    SharedBackend,
    SharedReader,
    create_backend,
    is_backend,
    open_reader,
)
from .client import Name, Names
from .contract import (
    MAX_METADATA_BYTES,
    Entry,
    IsAlive,
    RegistryBackend,
    RegistryReader,
    RegistryStatistics,
    RegistryWriter,
    pack_metadata,
)
from .hashing import MAX_PARTITIONS, hash_of, partition_of
from .indexed import IndexedBackend, NameChange, index_keys, listeners_key, select
from .membership import Kind, Memberships, membership_key
from .membership_log import MembershipLog, MembershipReader
from .naming import DEFAULT_NAMESPACE, MAX_NAME_BYTES, Via, split, via

__all__ = [
    "BACKENDS",
    "DEFAULT_NAMESPACE",
    "MAX_METADATA_BYTES",
    "MAX_NAME_BYTES",
    "MAX_PARTITIONS",
    "BackendKind",
    "Entry",
    "IndexedBackend",
    "IsAlive",
    "Kind",
    "LocalBackend",
    "MembershipLog",
    "MembershipReader",
    "Memberships",
    "Name",
    "NameChange",
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
    "index_keys",
    "is_backend",
    "listeners_key",
    "membership_key",
    "open_reader",
    "pack_metadata",
    "partition_of",
    "select",
    "split",
    "via",
]
