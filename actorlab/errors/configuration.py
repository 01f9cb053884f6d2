"""Files and folders of the user's that cannot be used, with every problem found.

Pure; a room of `errors`, whose docstring draws the whole tree.
"""

from __future__ import annotations

from .root import ActorlabError


class ConfigError(ActorlabError, ValueError):
    """A configuration file with every problem found: `problems` are (key path, what is wrong and what to do)."""

    def __init__(self, file: str, problems: tuple[tuple[str, str], ...]) -> None:
        super().__init__(file, problems)
        self.file, self.problems = file, problems

    def __str__(self) -> str:
        lines = [f"  {path or '(file)'}: {text}" for path, text in self.problems]
        n = len(lines)
        return f"{self.file}: {n} problem{'s' if n != 1 else ''}; nothing was started\n" + "\n".join(lines)


class CorpusError(ActorlabError, ValueError):
    """A folder that cannot be searched, or holds nothing to search: which, why, and what to do."""

    def __init__(self, folder: str, why: str, remedy: str) -> None:
        super().__init__(folder, why, remedy)
        self.folder, self.why, self.remedy = folder, why, remedy

    def __str__(self) -> str:
        return f"{self.folder}: {self.why}; nothing was indexed: {self.remedy}"
