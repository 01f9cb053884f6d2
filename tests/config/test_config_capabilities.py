"""A configuration that asks for what this system cannot give is refused under the key that asks."""

from __future__ import annotations

import pytest

from actorlab.config import load
from actorlab.errors import ConfigError


@pytest.mark.parametrize(
    ("lacks", "text", "key", "instead"),
    [
        ("affinity", "[node.worker]\ncpus = 'each'", "node.worker.cpus", "use 'any'"),
        ("affinity", "[node.worker]\ncpus = [[0], [1]]", "node.worker.cpus", "use 'any'"),
        ("forkserver", "[node]\nstart_method = 'fork'", "node.start_method", "use 'auto' or 'spawn'"),
        ("pidfd", "[node]\nstart_method = 'forkserver'", "node.start_method", "use 'auto' or 'spawn'"),
        ("memfd", "[node]\npools.a = { backend = 'memfd' }", "node.pools.a.backend", "or 'file' and a directory"),
    ],
)
def test_what_cannot_be_had_is_refused_where_it_is_asked_for(without, tmp_path, lacks, text, key, instead):
    file = tmp_path / "app.toml"
    file.write_text(text)
    load(file)
    without(lacks)
    with pytest.raises(ConfigError) as refused:
        load(file)
    [(path, why)] = refused.value.problems
    assert path == key and "this system lacks" in why and why.endswith(instead)
