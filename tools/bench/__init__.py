"""Benchmarks: each figure beside a peer measured in the same run, with the machine and the commit.

python -m tools.bench [names] [--runs 5] [--json FILE] [--list]
"""
