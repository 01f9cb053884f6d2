"""Checks and benchmarks of the project itself; nothing here is installed."""
