"""The corpus job: a supervised team of search agents over a folder of real text, on shared memory.

Highest floor, beside config; nothing of actorlab imports it but a job's `run = "actorlab.corpus:run"`.
"""

from .actors import Answer, Coordinator, Ingest, Searcher
from .bm25 import Index, share
from .files import Corpus, TextFile, find_text, shards
from .index import Tables, ingest, join
from .job import run
from .protocols import Report
from .ranking import Hit, merge
from .scan import Scan

__all__ = [
    "Answer",
    "Coordinator",
    "Corpus",
    "Hit",
    "Index",
    "Ingest",
    "Report",
    "Scan",
    "Searcher",
    "Tables",
    "TextFile",
    "find_text",
    "ingest",
    "join",
    "merge",
    "run",
    "shards",
    "share",
]
