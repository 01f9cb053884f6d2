"""Soak: a node under a seeded nemesis, and a checker of what everybody saw. `python -m tools.soak --help`."""
