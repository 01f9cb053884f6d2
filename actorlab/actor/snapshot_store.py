"""Snapshot stores: where an actor's state is kept: beside its node's other files, or in a file of the user's.

Edge (files); used by keeping. Every save is whole or not at all: a file is written aside and renamed, a database
commits. Killed before that, the snapshot before is still there; killed after, the new one is.

    NodeStore     one file an actor, by address, in the node's directory: over restarts and deaths of workers
    MemoryStore   the same for an embedded node, which is one process
    ArrowStore    a folder (`….arrows`): one Arrow IPC file an actor, by name. An Arrow table is kept as it is; anything
                  else as one row, `state`, of pickled bytes
    SqliteStore   a database (`….db`, `….sqlite`): one row an actor, by name
"""

from __future__ import annotations

import os
import pickle
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from ..errors import SnapshotUnreadable, SpecError
from ..transport import dumps
from .snapshot import State
from .snapshot_place import strangers

if TYPE_CHECKING:
    import sqlite3

KIND = b"actorlab.state"
CLASS = b"actorlab.class"

TABLE = """CREATE TABLE IF NOT EXISTS snapshots (
    name TEXT PRIMARY KEY, class TEXT NOT NULL, taken REAL NOT NULL, state BLOB NOT NULL)"""


class Store(Protocol):
    """Where snapshots are kept, by a key."""

    by_name: bool
    """Whether the key is the actor's name: then it outlives the node. Else it is its address."""

    def save(self, key: str, path: str, value: Any) -> None:
        """Keep `value` as the state of `key`, an actor of class `path`. Raises NotSendable, OSError."""

    def load(self, key: str) -> State | None:
        """Return what was kept last, None if nothing was. Raises SnapshotUnreadable."""

    def drop(self, key: str) -> None:
        """Forget what was kept."""


def is_table(value: Any) -> bool:
    """Whether a value is an Arrow table, without importing Arrow to find out."""
    cls = type(value)
    return cls.__name__ == "Table" and cls.__module__.startswith("pyarrow")


def _write_whole(path: Path, data: bytes, *, durable: bool) -> None:
    aside = path.with_name(path.name + ".part")
    with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    # crash: snapshot.rename
    os.replace(aside, path)
    # crash: snapshot.renamed


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, as far as they are missing, for their owner alone."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


class MemoryStore:
    """Snapshots in this process's memory, pickled all the same: a state that is restored is a copy."""

    by_name = False

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def save(self, key: str, path: str, value: Any) -> None:
        self._kept[key] = dumps(value, f"the snapshot of {path}")

    def load(self, key: str) -> State | None:
        data = self._kept.get(key)
        return None if data is None else State(pickle.loads(data))

    def drop(self, key: str) -> None:
        self._kept.pop(key, None)


class NodeStore:
    """Snapshots in the node's directory."""

    by_name = False

    def __init__(self, directory: Path) -> None:
        self._folder = directory / "snapshots"

    def save(self, key: str, path: str, value: Any) -> None:
        data = dumps(value, f"the snapshot of {path}")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        _write_whole(self._folder / key, data, durable=False)

    def load(self, key: str) -> State | None:
        path = self._folder / key
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return State(pickle.loads(data))
        except Exception as error:
            raise SnapshotUnreadable(key, str(path), f"{type(error).__name__}: {error}") from error

    def drop(self, key: str) -> None:
        (self._folder / key).unlink(missing_ok=True)


class ArrowStore:
    """Snapshots as Arrow IPC files in a folder."""

    by_name = True

    def __init__(self, path: str) -> None:
        self._folder = Path(path)

    def _file(self, key: str) -> Path:
        return self._folder / f"{quote(key, safe='')}.arrow"

    def save(self, key: str, path: str, value: Any) -> None:
        import pyarrow as pa

        if is_table(value):
            table, kind = value, b"table"
        else:
            table, kind = pa.table({"state": [dumps(value, f"the snapshot of {path}")]}), b"pickle"
        metadata = {**(table.schema.metadata or {}), KIND: kind, CLASS: path.encode()}
        sink = pa.BufferOutputStream()
        table = table.replace_schema_metadata(metadata)
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        _make_folder(self._folder)
        _write_whole(self._file(key), sink.getvalue().to_pybytes(), durable=True)

    def load(self, key: str) -> State | None:
        import pyarrow as pa

        path = self._file(key)
        if not path.exists():
            return None
        if why := strangers(path):
            raise SnapshotUnreadable(key, str(path), f"it {why}")
        try:
            with pa.OSFile(str(path)) as source:
                table = pa.ipc.open_file(source).read_all()
            metadata = dict(table.schema.metadata or {})
            kind = metadata.pop(KIND)
            metadata.pop(CLASS, None)
            if kind == b"table":
                return State(table.replace_schema_metadata(metadata or None))
            return State(pickle.loads(table.column("state")[0].as_py()))
        except Exception as error:
            raise SnapshotUnreadable(key, str(path), f"{type(error).__name__}: {error}") from error

    def drop(self, key: str) -> None:
        self._file(key).unlink(missing_ok=True)


class SqliteStore:
    """Snapshots as rows of a database, which many workers may write to."""

    by_name = True

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def _open(self) -> sqlite3.Connection:
        import sqlite3  # 1 MB, and most programs never need it

        connection = sqlite3.connect(self._path, timeout=10.0)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(TABLE)
        except BaseException:
            connection.close()
            raise
        return connection

    def save(self, key: str, path: str, value: Any) -> None:
        data = dumps(value, f"the snapshot of {path}")
        _make_folder(self._path.parent)
        with closing(self._open()) as connection, connection:
            row = (key, path, time.time(), data)
            connection.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)", row)

    def load(self, key: str) -> State | None:
        if not self._path.exists():
            return None
        try:
            with closing(self._open()) as connection:
                row = connection.execute("SELECT state FROM snapshots WHERE name = ?", (key,)).fetchone()
            return None if row is None else State(pickle.loads(row[0]))
        except Exception as error:
            raise SnapshotUnreadable(key, str(self._path), f"{type(error).__name__}: {error}") from error

    def drop(self, key: str) -> None:
        if self._path.exists():
            with closing(self._open()) as connection, connection:
                connection.execute("DELETE FROM snapshots WHERE name = ?", (key,))


def store_at(path: str) -> Store:
    """Return the store that a path's ending says. Raises SpecError for an ending that says nothing."""
    ending = Path(path).suffix
    if ending in (".db", ".sqlite"):
        return SqliteStore(path)
    if ending == ".arrows":
        return ArrowStore(path)
    known = "'….db' or '….sqlite' (a database), or '….arrows' (a folder of Arrow IPC files)"
    raise SpecError("snapshots.store", f"must end in {known}, not {path!r}")
