"""The Savina suite of actor benchmarks, each with its result verified; on actorlab, Pykka and xoscar.

After Imam and Sarkar, 2014.

    python savina.py actorlab|pykka|xoscar pingpong=40000 counting=100000 …

An actor here is a plain class whose `on(message)` sends with `self.send(ref, message)`; three short adaptors make it an
actor of each framework, all in one process. So what is compared is what the frameworks do between two handlers. A line
a benchmark: messages a second.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import playing

Spawn = Callable[..., Coroutine[Any, Any, Any]]


class Part:
    """An actor, whatever it runs on: `me` is its reference, `send` and `done` are given by the framework."""

    me: Any
    send: Callable[[Any, Any], None]
    done: Callable[[Any], None]

    def on(self, message: Any) -> None:
        raise NotImplementedError


class Starter(Part):
    """Sends what sets a benchmark going, so that all of it happens between actors."""

    def on(self, message: Any) -> None:
        for ref, first in message:
            self.send(ref, first)


# -- ping-pong: two actors, one message at a time ------------------------------------------------------------------


class Ping(Part):
    def __init__(self, pong: Any, n: int) -> None:
        self.pong, self.n, self.got = pong, n, 0

    def on(self, message: Any) -> None:
        if message == "pong":
            self.got += 1
        if self.got == self.n:
            self.done(self.got)
        else:
            self.send(self.pong, self.me)


class Pong(Part):
    def on(self, message: Any) -> None:
        self.send(message, "pong")


async def pingpong(spawn: Spawn, n: int) -> tuple[list[tuple[Any, Any]], Callable[[Any], bool], int]:
    ping = await spawn(Ping, await spawn(Pong), n)
    return [(ping, "start")], lambda result: result == n, 2 * n


# -- counting: one actor floods another ----------------------------------------------------------------------------


class Producer(Part):
    def __init__(self, counter: Any, n: int) -> None:
        self.counter, self.n = counter, n

    def on(self, message: Any) -> None:
        if message == "start":
            send, counter = self.send, self.counter
            for _ in range(self.n):
                send(counter, 1)
            send(counter, self.me)
        else:
            self.done(message)


class Counter(Part):
    def __init__(self) -> None:
        self.count = 0

    def on(self, message: Any) -> None:
        if message == 1:
            self.count += 1
        else:
            self.send(message, self.count)


async def counting(spawn: Spawn, n: int) -> Any:
    producer = await spawn(Producer, await spawn(Counter), n)
    return [(producer, "start")], lambda result: result == n, n


# -- thread ring: a token goes round --------------------------------------------------------------------------------


class Link(Part):
    def __init__(self) -> None:
        self.next: Any = None

    def on(self, message: Any) -> None:
        if not isinstance(message, int):
            self.next = message
        elif message:
            self.send(self.next, message - 1)
        else:
            self.done("round")


async def threadring(spawn: Spawn, n: int) -> Any:
    links = [await spawn(Link) for _ in range(100)]
    joins = [(link, links[(i + 1) % 100]) for i, link in enumerate(links)]
    return [*joins, (links[0], n)], lambda result: result == "round", n


# -- fork-join: actors made for one message each; a few actors with many -------------------------------------------


class Gather(Part):
    def __init__(self, n: int) -> None:
        self.n, self.total = n, 0

    def on(self, message: Any) -> None:
        self.n -= 1
        self.total += message
        if not self.n:
            self.done(self.total)


class Fork(Part):
    def __init__(self, gather: Any, n: int) -> None:
        self.gather, self.left, self.total = gather, n, 0

    def on(self, message: Any) -> None:
        self.total += message
        self.left -= 1
        if not self.left:
            self.send(self.gather, self.total)


async def forkjoin_create(spawn: Spawn, n: int) -> Any:
    gather = await spawn(Gather, n)
    forks = [await spawn(Fork, gather, 1) for _ in range(n)]
    return [(fork, 1) for fork in forks], lambda result: result == n, 2 * n


async def forkjoin_throughput(spawn: Spawn, n: int) -> Any:
    gather = await spawn(Gather, 60)
    forks = [await spawn(Fork, gather, n // 60) for _ in range(60)]
    messages = [(fork, 1) for _ in range(n // 60) for fork in forks]
    return messages, lambda result: result == n // 60 * 60, n // 60 * 60


# -- chameneos: creatures meet in pairs and change colour -----------------------------------------------------------


class Mall(Part):
    def __init__(self, meetings: int, creatures: int) -> None:
        self.left, self.creatures, self.waiting, self.met = meetings, creatures, None, 0

    def on(self, message: Any) -> None:
        kind, who, colour = message
        if kind == "bye":
            self.met += colour
            self.creatures -= 1
            if not self.creatures:
                self.done(self.met)
        elif not self.left:
            self.send(who, None)
        elif self.waiting is None:
            self.waiting = who, colour
        else:
            other, its = self.waiting
            self.waiting = None
            self.left -= 1
            self.send(who, its)
            self.send(other, colour)
            if not self.left and self.waiting is not None:
                self.send(self.waiting[0], None)


class Creature(Part):
    def __init__(self, mall: Any, colour: int) -> None:
        self.mall, self.colour, self.met = mall, colour, 0

    def on(self, message: Any) -> None:
        if message is None:
            self.send(self.mall, ("bye", self.me, self.met))
            return
        if message != "start":
            self.met += 1
            self.colour = self.colour if message == self.colour else 3 - self.colour - message
        self.send(self.mall, ("meet", self.me, self.colour))


async def chameneos(spawn: Spawn, n: int) -> Any:
    mall = await spawn(Mall, n, 100)
    creatures = [await spawn(Creature, mall, i % 3) for i in range(100)]
    return [(one, "start") for one in creatures], lambda result: result == 2 * n, 4 * n


# -- big: everybody asks anybody -----------------------------------------------------------------------------------


class Big(Part):
    def __init__(self, sink: Any, n: int, seed: int) -> None:
        self.sink, self.left, self.chance, self.others = sink, n, random.Random(seed), []
        self.answered = 0

    def on(self, message: Any) -> None:
        if isinstance(message, list):
            self.others = message
        elif message == "pong" or message == "start":
            self.answered += message == "pong"
            if not self.left:
                self.send(self.sink, self.answered)
                return
            self.left -= 1
            self.send(self.chance.choice(self.others), self.me)
        else:
            self.send(message, "pong")


async def big(spawn: Spawn, n: int) -> Any:
    sink = await spawn(Gather, 50)
    members = [await spawn(Big, sink, n // 50, seed) for seed in range(50)]
    known = [(member, members) for member in members]
    pings = n // 50 * 50
    return [*known, *((member, "start") for member in members)], lambda result: result == pings, 2 * pings


# -- bounded buffer: producers and consumers around a manager ------------------------------------------------------


class Buffer(Part):
    """Lets a maker go on only while all of them could still put one in."""

    def __init__(self, capacity: int, makers: int, expected: int) -> None:
        self.capacity, self.expected, self.total = capacity, expected, 0
        self.threshold = capacity - makers
        self.items: deque[int] = deque()
        self.idle: deque[Any] = deque()
        self.held: deque[Any] = deque()
        self.fullest = 0

    def on(self, message: Any) -> None:
        kind, who, item = message
        if kind == "put":
            if self.idle:
                self.send(self.idle.popleft(), item)
            else:
                self.items.append(item)
            self.fullest = max(self.fullest, len(self.items))
            if len(self.items) < self.threshold:
                self.send(who, "more")
            else:
                self.held.append(who)
            return
        self.total += item
        self.expected -= bool(item)
        if not self.expected:
            self.done((self.total, self.fullest <= self.capacity))
        elif self.items:
            self.send(who, self.items.popleft())
            if self.held:
                self.send(self.held.popleft(), "more")
        else:
            self.idle.append(who)


class Maker(Part):
    def __init__(self, buffer: Any, n: int) -> None:
        self.buffer, self.left = buffer, n

    def on(self, message: Any) -> None:
        if self.left:
            self.left -= 1
            self.send(self.buffer, ("put", self.me, 7))


class Eater(Part):
    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer

    def on(self, message: Any) -> None:
        self.send(self.buffer, ("take", self.me, 0 if message == "start" else message))


async def boundedbuffer(spawn: Spawn, n: int) -> Any:
    each = n // 20
    buffer = await spawn(Buffer, 50, 20, each * 20)
    parts = [await spawn(Maker, buffer, each) for _ in range(20)] + [await spawn(Eater, buffer) for _ in range(20)]
    return [(part, "start") for part in parts], lambda result: result == (each * 20 * 7, True), each * 20 * 4


# -- dining philosophers, with an arbiter --------------------------------------------------------------------------


class Arbiter(Part):
    def __init__(self, seats: int) -> None:
        self.forks, self.leaving, self.seats, self.meals = [False] * seats, seats, seats, 0

    def on(self, message: Any) -> None:
        kind, who, seat = message
        left, right = seat, (seat + 1) % self.seats
        if kind == "hungry":
            if self.forks[left] or self.forks[right]:
                self.send(who, "denied")
            else:
                self.forks[left] = self.forks[right] = True
                self.meals += 1
                self.send(who, "eat")
        elif kind == "done":
            assert self.forks[left] and self.forks[right]
            self.forks[left] = self.forks[right] = False
        else:
            self.leaving -= 1
            if not self.leaving:
                self.done(-1 if any(self.forks) else self.meals)


class Philosopher(Part):
    def __init__(self, arbiter: Any, seat: int, rounds: int) -> None:
        self.arbiter, self.seat, self.left = arbiter, seat, rounds

    def on(self, message: Any) -> None:
        if message == "eat":
            self.left -= 1
            self.send(self.arbiter, ("done", self.me, self.seat))
        self.send(self.arbiter, ("hungry" if self.left else "leave", self.me, self.seat))


async def philosophers(spawn: Spawn, n: int) -> Any:
    arbiter = await spawn(Arbiter, 20)
    seated = [await spawn(Philosopher, arbiter, seat, n // 20) for seat in range(20)]
    meals = n // 20 * 20
    return [(one, "start") for one in seated], lambda result: result == meals, 3 * meals


# -- sleeping barber -----------------------------------------------------------------------------------------------


class Room(Part):
    def __init__(self, capacity: int, barber: Any) -> None:
        self.capacity, self.barber, self.waiting, self.asleep = capacity, barber, deque[Any](), True

    def on(self, message: Any) -> None:
        if message == "next":
            if self.waiting:
                self.send(self.barber, (self.waiting.popleft(), self.me))
            else:
                self.asleep = True
        elif len(self.waiting) >= self.capacity:
            self.send(message, "full")
        else:
            self.waiting.append(message)
            if self.asleep:
                self.asleep = False
                self.send(self.barber, (self.waiting.popleft(), self.me))


class Barber(Part):
    def on(self, message: Any) -> None:
        customer, room = message
        self.send(customer, "cut")
        self.send(room, "next")


class Customer(Part):
    def __init__(self, room: Any, sink: Any, cuts: int) -> None:
        self.room, self.sink, self.left = room, sink, cuts

    def on(self, message: Any) -> None:
        if message == "cut":
            self.left -= 1
            if not self.left:
                self.send(self.sink, 1)
                return
        self.send(self.room, self.me)


async def barber(spawn: Spawn, n: int) -> Any:
    room = await spawn(Room, 20, await spawn(Barber))
    sink = await spawn(Gather, 40)
    customers = [await spawn(Customer, room, sink, n // 40) for _ in range(40)]
    return [(one, "start") for one in customers], lambda result: result == 40, n // 40 * 40 * 4


# -- banking: transfers that a teller hands out, and accounts that ask each other ----------------------------------


class Teller(Part):
    def __init__(self, n: int) -> None:
        self.left, self.accounts, self.chance, self.sums = n, [], random.Random(1), []

    def on(self, message: Any) -> None:
        if isinstance(message, list):
            self.accounts = message
        elif message == "start":
            for _ in range(self.left):
                a, b = self.chance.sample(range(len(self.accounts)), 2)
                self.send(self.accounts[a], ("debit", self.accounts[b], self.me))
        elif message == "settled":
            self.left -= 1
            if not self.left:
                for account in self.accounts:
                    self.send(account, ("balance", self.me, None))
        else:
            self.sums.append(message)
            if len(self.sums) == len(self.accounts):
                self.done(sum(self.sums))


class Account(Part):
    """Debits itself, credits the other, and takes no other debit until that has answered."""

    def __init__(self) -> None:
        self.balance, self.busy, self.put_off = 1000, False, deque[Any]()

    def on(self, message: Any) -> None:
        kind, who, teller = message
        if kind == "debit":
            if self.busy:
                self.put_off.append(message)
                return
            self.busy = True
            self.balance -= 1
            self.send(who, ("credit", self.me, teller))
        elif kind == "credit":
            self.balance += 1
            self.send(who, ("credited", None, teller))
        elif kind == "credited":
            self.busy = False
            self.send(teller, "settled")
            if self.put_off:
                self.on(self.put_off.popleft())
        else:
            self.send(who, self.balance)


async def banking(spawn: Spawn, n: int) -> Any:
    teller = await spawn(Teller, n)
    accounts = [await spawn(Account) for _ in range(100)]
    return [(teller, accounts), (teller, "start")], lambda result: result == 100 * 1000, 4 * n


# -- concurrent dictionary -----------------------------------------------------------------------------------------


class Dictionary(Part):
    def __init__(self, writers: int) -> None:
        self.data, self.left, self.writes = dict[int, int](), writers, 0

    def on(self, message: Any) -> None:
        kind, who, key = message
        if kind == "write":
            self.data[key] = self.data.get(key, 0) + 1
            self.writes += 1
            self.send(who, self.data[key])
        elif kind == "read":
            self.send(who, self.data.get(key, 0))
        else:
            self.left -= 1
            if not self.left:
                self.done(self.writes == sum(self.data.values()))


class Worker(Part):
    def __init__(self, dictionary: Any, n: int, seed: int) -> None:
        self.dictionary, self.left, self.chance = dictionary, n, random.Random(seed)

    def on(self, message: Any) -> None:
        if not self.left:
            self.send(self.dictionary, ("end", self.me, 0))
            return
        self.left -= 1
        kind = "write" if self.chance.random() < 0.1 else "read"
        self.send(self.dictionary, (kind, self.me, self.chance.randrange(512)))


async def dictionary(spawn: Spawn, n: int) -> Any:
    data = await spawn(Dictionary, 20)
    workers = [await spawn(Worker, data, n // 20, seed) for seed in range(20)]
    return [(worker, "start") for worker in workers], lambda result: result is True, n // 20 * 20 * 2


BENCHMARKS = (
    pingpong, counting, threadring, forkjoin_create, forkjoin_throughput, chameneos, big, boundedbuffer, philosophers,
    barber, banking, dictionary,
)  # fmt: skip


# -- the frameworks ------------------------------------------------------------------------------------------------


def finish(benchmark: Any, result: Any, good: Callable[[Any], bool], messages: int, elapsed: float) -> None:
    if not good(result):
        raise AssertionError(f"{benchmark.__name__}: {result!r} is wrong")
    playing.say(benchmark.__name__, messages / elapsed, n=messages)


def at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def on_threads_of(start: Callable[..., Any], stop_all: Callable[[], None], amounts: dict[str, int]) -> None:
    """Play on a framework whose `tell` may be called from anywhere."""
    for benchmark in BENCHMARKS:
        if benchmark.__name__ not in amounts:
            continue
        outcome: list[Any] = []
        over = threading.Event()

        def done(result: Any, outcome: list[Any] = outcome, over: threading.Event = over) -> None:
            outcome.append(result)
            over.set()

        async def spawn(part: type[Part], *args: Any, done: Any = done) -> Any:
            return start(part, args, done)

        began = time.perf_counter()
        messages, good, number = at_once(benchmark(spawn, amounts[benchmark.__name__]))
        starter = start(Starter, (), done)
        if benchmark is not forkjoin_create:
            began = time.perf_counter()
        starter.tell(messages)
        if not over.wait(120):
            raise TimeoutError(benchmark.__name__)
        finish(benchmark, outcome[0], good, number, time.perf_counter() - began)
        stop_all()


def actorlab(amounts: dict[str, int]) -> None:
    import actorlab as al

    class Shell(al.Actor):
        def __init__(self, part: type[Part], args: tuple[Any, ...], done: Any) -> None:
            inner = self.inner = part(*args)
            inner.me, inner.done, inner.send = self.ref, done, _tell
            self.on = inner.on

        def on_receive(self, message: Any) -> None:
            self.on(message)

    def _tell(ref: Any, message: Any) -> None:
        ref.tell(message)

    started: list[Any] = []
    room = al.Mailbox(capacity=2_000_000)
    with al.Node(workers=0) as node:

        def start(part: type[Part], args: tuple[Any, ...], done: Any) -> Any:
            started.append(node.spawn(Shell, part, args, done, mailbox=room))
            return started[-1]

        def stop_all() -> None:
            for ref in started:
                ref.stop(block=False)
            started.clear()

        on_threads_of(start, stop_all, amounts)


def pykka(amounts: dict[str, int]) -> None:
    import pykka

    class Shell(pykka.ThreadingActor):
        use_daemon_thread = True

        def __init__(self, part: type[Part], args: tuple[Any, ...], done: Any) -> None:
            super().__init__()
            self.inner = part(*args)
            self.inner.me, self.inner.done = self.actor_ref, done
            self.inner.send = lambda ref, message: ref.tell(message)

        def on_receive(self, message: Any) -> None:
            self.inner.on(message)

    on_threads_of(
        lambda part, args, done: Shell.start(part, args, done),
        lambda: pykka.ActorRegistry.stop_all(block=False),
        amounts,
    )


async def xoscar(amounts: dict[str, int]) -> None:
    """All actors are in one sub-process, made and started by an actor there: that is where its local calls are fast."""
    import xoscar as xo
    from xoscar.backends.allocate_strategy import ProcessIndex
    from xoscar_stage import Stage

    address = "127.0.0.1:12798"
    pool = await xo.create_actor_pool(address, n_process=1, subprocess_start_method="spawn")
    await pool.start()
    stage = await xo.create_actor(Stage, address=address, allocate_strategy=ProcessIndex(1))
    for benchmark in BENCHMARKS:
        if n := amounts.get(benchmark.__name__):
            result, number, elapsed = await stage.play(benchmark.__name__, n)
            finish(benchmark, result, lambda good: good is True, number, elapsed)
    await pool.stop()


if __name__ == "__main__":
    framework = sys.argv.pop(1)
    if framework == "xoscar":
        asyncio.run(xoscar(playing.wanted()))
    else:
        {"actorlab": actorlab, "pykka": pykka}[framework](playing.wanted())
