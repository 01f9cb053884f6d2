"""Contest: the same work done by actorlab and by its peers, side by side, on this machine.

Each peer is a *player*: a script of its own that runs in an environment of its own (`environment`), is told which works
to do and how much of each, and prints a line of JSON for each. Players take turns, so that a machine that grows slower
grows slower for all. `python -m tools.bench.contest` is the command.
"""
