"""Dask actors: a local cluster of two worker processes; asked and told from the client."""

from __future__ import annotations

import time
from typing import Any

import playing

STARTED = time.perf_counter()


class Echo:
    n = 0
    kept: Any = None

    def echo(self, message: Any) -> Any:
        return message

    def take(self, message: Any) -> None:
        self.n += 1

    def count(self) -> int:
        return self.n

    def keep(self, table: Any) -> float:
        self.kept = table
        return playing.read(table)


def main() -> None:
    from dask.distributed import Client, LocalCluster

    works = playing.wanted()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):

        def actor() -> Any:
            return client.submit(Echo, actor=True, pure=False).result()

        echo = actor()
        echo.count().result()
        playing.say("start", time.perf_counter() - STARTED)
        if "base" in works:
            playing.say("base", playing.memory("pss") / 1e6)
        if n := works.get("call"):
            playing.say_latency("call", playing.timed(lambda: echo.echo(playing.MESSAGE).result(), n))
        if n := works.get("tell"):
            started = time.perf_counter()
            sent = [echo.take(playing.MESSAGE) for _ in range(n)]
            for one in sent:
                one.result()
            playing.say("tell", n / (time.perf_counter() - started), n=n, note="it has calls only")
        if n := works.get("array"):
            data, started = playing.array(), time.perf_counter()
            for _ in range(n):
                echo.take(data).result()
            playing.say("array", n * playing.ARRAY_BYTES / (time.perf_counter() - started) / 1e9, n=n)
        if n := works.get("fan"):
            others = [actor() for _ in range(100)]
            playing.say_latency(
                "fan", playing.timed(lambda: [one.result() for one in [ref.echo(1) for ref in others]], n)
            )
        if n := works.get("spawn"):
            started = time.perf_counter()
            made = client.gather([client.submit(Echo, actor=True, pure=False) for _ in range(n)])
            playing.say("spawn", n / (time.perf_counter() - started), n=n)
            del made
        if n := works.get("idle"):
            before = playing.memory("uss")
            made = client.gather([client.submit(Echo, actor=True, pure=False) for _ in range(n)])
            playing.say("idle", (playing.memory("uss") - before) / n, n=n)
            del made
        if n := works.get("context"):
            readers = [actor() for _ in range(n)]
            added, table = playing.Added(), playing.context()
            for reader in readers:
                reader.keep(table).result()
            del table
            playing.say("context", added.bytes() / 1e6, n=n, note=added.said())


if __name__ == "__main__":
    main()
