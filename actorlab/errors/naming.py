"""Names that were refused, and a registry that is not ours to write.

Pure; a room of `errors`, whose docstring draws the whole tree.
"""

from __future__ import annotations

from .root import ActorlabError


class NameTaken(ActorlabError):
    """A live actor owns the name."""

    def __init__(self, name: str, owner: str) -> None:
        super().__init__(name, owner)

    def __str__(self) -> str:
        name, owner = self.args
        return f"the name {name!r} belongs to {owner}: stop it first, or choose another name"


class InvalidName(ActorlabError, ValueError):
    """A string that cannot be a name. Nothing was registered."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name, why)

    def __str__(self) -> str:
        name, why = self.args
        return f"{name!r} cannot be a name: {why}"


class InvalidMetadata(ActorlabError, ValueError):
    """Metadata that are no small, picklable mapping. Nothing was changed."""

    def __init__(self, why: str) -> None:
        super().__init__(why)

    def __str__(self) -> str:
        return f"cannot keep the metadata of a name: {self.args[0]}; nothing was changed"


class RegistryOwned(ActorlabError):
    """Another live process writes this registry. Nothing was changed."""

    def __init__(self, where: str, pid: int) -> None:
        super().__init__(where, pid)

    def __str__(self) -> str:
        where, pid = self.args
        return f"the registry in {where} is written by process {pid}: it can be adopted when that process has ended"


class NothingFound(ActorlabError, LookupError):
    """No live actor fits: what was looked for, where, and what came near."""

    def __init__(self, what: str, searched: str, near: tuple[str, ...] = ()) -> None:
        super().__init__(what, searched, near)
        self.what, self.searched, self.near = what, searched, near

    def __str__(self) -> str:
        what, searched, near = self.args
        hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
        return f"no live actor for {what}: searched {searched}{hint}"
