"""Configuration: a TOML file, checked to the last key, as a node's options, a supervision tree and a job.

`load` is the door; everything else is for the command line and for documentation. The schema is in schema.py.
"""

from .explain import explain
from .json_schema import json_schema
from .load import Config, Job, load
from .tree import OutlineRow, outline

__all__ = ["Config", "Job", "OutlineRow", "explain", "json_schema", "load", "outline"]
