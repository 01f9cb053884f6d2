"""Histories: what was seen in one round, and the rules it must keep, as Jepsen's checkers do.

Pure. A history is a set of events from many processes with a common clock; `check` says which promises it breaks. What
a process did in the moment it was killed is unknown and may go either way; everything else may not.

    send    id to how redeliver?          a client is about to send; ids are "<sender>#<number>", numbers rising
    done    id outcome value?             ok | never | unknown | handled: what the sender was told
    life    to worker                     an incarnation begins in this process, which is worker number `worker`
    process of worker                     process `of` is worker number `worker`, or has taken it in as a guest
    place   to worker                     a receiver lives in that worker
    begin   id to                         a receiver has a message in hand
    end     id to                         and is done with it, well or badly
    watch   watcher monitor target        a watcher asked for the Down of a target
    down    watcher monitor               and was told
    own     name owner                    somebody has a name
    disown  name owner                    and is about to lose it
    moved   owner                         an owner of a name goes on in this process: its worker was recycled or drained
    link    watcher target                a watcher that traps exits is about to link itself to a target
    exit    watcher target                and was told of its end; "" for one that it never linked itself to
    publish version                       the pool's only publisher is about to publish what says `version` throughout
    published version                     and has
    reading reader                        somebody is about to read what is current
    read    reader version whole          and has; `whole`: all of it says that version
    kill    victim                        the nemesis is about to kill process `victim`
    gone    target                        a watched target is known to have ended
    standing watcher                      a watcher lives when all is over
    letter  to reason message             a message that a receiver will not handle is a dead letter
    books   to accepted handled failed dead_lettered depth     of a receiver, when all is over
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that was done or seen, at a time (ns, shared by all processes) in a process."""

    at: int
    pid: int
    what: str
    fields: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise (its number) that a history breaks, and how."""

    promise: int
    text: str

    def __str__(self) -> str:
        return f"P{self.promise}: {self.text}"


@dataclass(slots=True)
class History:
    """The events of a round in the order of time, and by what they are."""

    events: list[Event]
    of: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    sends: dict[str, Event] = field(default_factory=dict)
    begins: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    outcomes: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    killed: dict[int, int] = field(default_factory=dict)  # pid → when it was about to be killed, at the earliest
    homes: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))  # receiver → workers it lived in
    workers: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))  # pid → numbers of those there

    @classmethod
    def of_events(cls, events: Iterable[Event]) -> History:
        """Put events in order."""
        history = cls(sorted(events, key=lambda event: event.at))
        for event in history.events:
            history.of[event.what].append(event)
            match event.what:
                case "send":
                    history.sends[event["id"]] = event
                case "begin":
                    history.begins[event["id"]].append(event)
                case "life":
                    history.workers[event.pid].add(event["worker"])
                    history.homes[event["to"]].add(event["worker"])
                case "process":
                    history.workers[event["of"]].add(event["worker"])
                case "place":
                    history.homes[event["to"]].add(event["worker"])
                case "done":
                    history.outcomes[event["id"]].append(event)
                case "kill":
                    history.killed.setdefault(event["victim"], event.at)
        return history

    def outcome(self, message: str) -> str:
        """What the sender of a message was told, "" if nothing."""
        told = self.outcomes.get(message)
        return str(told[0]["outcome"]) if told else ""

    def deaths(self, receiver: str) -> int:
        """How many processes were killed in the workers that a receiver lived in."""
        return sum(not self.workers[pid].isdisjoint(self.homes[receiver]) for pid in self.killed)

    def died_inside(self, send: Event) -> bool:
        """Whether a message was sent inside a worker whose process was killed: by reference, so it went with it.

        That process, or one to which the worker was handed over with what waited there.
        """
        there = self.workers[send.pid] & self.homes[send["to"]]
        if not there or send.pid in self.killed:
            return bool(there)
        return any(at > send.at and not there.isdisjoint(self.workers[pid]) for pid, at in self.killed.items())


def number_of(message: str) -> tuple[str, int]:
    """Return the sender of a message and its place among the sender's.

    >>> number_of("thread.1#7")
    ('thread.1', 7)
    """
    sender, _, number = message.rpartition("#")
    return sender, int(number)


def life_of(life: str) -> str:
    """Return whose life it is.

    >>> life_of("watcher.1.4711.0")
    'watcher.1'
    """
    return life.rsplit(".", 2)[0]


def one_at_a_time(history: History) -> list[Violation]:
    """P1: between two begins of a receiver there is an end, or the death of the process, or a new life."""
    found = []
    open_: dict[str, Event] = {}
    for event in history.events:
        if event.what == "begin":
            before = open_.get(event["to"])
            if before is not None and before.pid == event.pid:
                found.append(Violation(1, f"{event['to']} began {event['id']} with {before['id']} in hand"))
            open_[event["to"]] = event
        elif event.what in ("end", "life"):
            open_.pop(event["to"], None)
    return found


def in_order(history: History) -> list[Violation]:
    """P2: what one sender sent to one receiver begins in the order it was sent; a message may only be begun again."""
    found = []
    last: dict[tuple[str, str], int] = {}
    for event in history.of["begin"]:
        sender, number = number_of(event["id"])
        pair = (sender, event["to"])
        if number < last.get(pair, -1):
            found.append(Violation(2, f"{event['to']} began {event['id']} after {sender}#{last[pair]}"))
        last[pair] = max(number, last.get(pair, -1))
    return found


def refused_means_not_sent(history: History) -> list[Violation]:
    """P3, P6: what was refused (`never`) is not handled; an answer, or `handled`, means that it was."""
    found = []
    for message, told in history.outcomes.items():
        outcome = told[0]["outcome"]
        begun = history.begins.get(message, ())
        if outcome == "never" and begun:
            found.append(Violation(3, f"{message} was refused ({told[0].fields.get('error', '')}), and was handled"))
        send = history.sends.get(message)
        asks = send is not None and send["how"] in ("call", "request")
        if not begun and (outcome == "handled" or (outcome == "ok" and asks)):
            found.append(Violation(6, f"{message} was answered ({outcome}), and nobody handled it"))
        if outcome == "ok" and asks and told[0].fields.get("value") != message:
            found.append(Violation(6, f"{message} was answered with {told[0].fields.get('value')!r}"))
    return found


def at_most_once(history: History) -> list[Violation]:
    """P4: nothing is handled more often than its actor allows, and nothing that nobody sent."""
    found = []
    for message, begun in history.begins.items():
        send = history.sends.get(message)
        if send is None:
            found.append(Violation(4, f"{message} was handled, and nobody sent it"))
        elif len(begun) > 1 + send.fields.get("redeliver", 0):
            found.append(Violation(4, f"{message} was handled {len(begun)} times"))
        elif any(event["to"] != send["to"] for event in begun):
            found.append(Violation(4, f"{message} to {send['to']} was handled by {begun[0]['to']}"))
    return found


def accepted_is_accounted_for(history: History) -> list[Violation]:
    """P4: what was accepted is handled, or one of the receiver's dead letters.

    Without a limit on its mailbox's patience that is one a death: the message in hand. What was sent inside a process
    that was killed is gone with it.
    """
    found = []
    books = {event["to"]: event for event in history.of["books"]}
    lost: dict[str, list[str]] = defaultdict(list)
    for message, send in history.sends.items():
        if history.outcome(message) != "ok" or history.begins.get(message) or send["to"] not in books:
            continue
        if history.died_inside(send):
            continue
        lost[send["to"]].append(message)
    for receiver, messages in lost.items():
        drops = books[receiver].fields.get("drops", False)
        allowed = books[receiver]["dead_lettered"] if drops else history.deaths(receiver)
        if len(messages) > min(allowed, books[receiver]["dead_lettered"]):
            text = f"{len(messages)} messages accepted for {receiver} are lost, of {allowed} that may be"
            found.append(Violation(4, f"{text}: {messages[:5]}"))
    return found


def books_balance(history: History) -> list[Violation]:
    """P5: at rest a receiver has nothing queued, and has accepted what senders were told it had, give or take what
    they were told nothing certain of. What was sent inside a killed process is known by number only, not exactly."""
    found = []
    sure: Counter[str] = Counter()
    perhaps: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    for message, send in history.sends.items():
        receiver, outcome = send["to"], history.outcome(message)
        if history.died_inside(send):
            inside[receiver] += 1
        elif outcome in ("ok", "handled") or history.begins.get(message):
            sure[receiver] += 1
        else:
            perhaps[receiver] += 1  # what its own door refused is in its books as well, as a dead letter
    letters: dict[str, Counter[str]] = defaultdict(Counter)
    for letter in history.of["letter"]:
        letters[letter["to"]][letter["reason"]] += 1
    for event in history.of["books"]:
        receiver, accepted = event["to"], event["accepted"]
        if event["depth"]:
            found.append(Violation(5, f"{receiver} rests with {event['depth']} messages queued"))
        least, most = sure[receiver], sure[receiver] + perhaps[receiver] + inside[receiver]
        if not least <= accepted <= most:
            text = f"{receiver} has {accepted} in its books; its senders know of {least} to {most}"
            found.append(Violation(5, f"{text} ({event.fields}; dead letters {dict(letters[receiver])})"))
    return found


def settled_once(history: History, patience_ns: int) -> list[Violation]:
    """P6: every send is told once what became of it, in time, unless its process was killed."""
    found = []
    for message, send in history.sends.items():
        told = history.outcomes.get(message, [])
        if len(told) > 1:
            found.append(Violation(6, f"{message} was settled {len(told)} times"))
        elif not told and send.pid not in history.killed:
            found.append(Violation(6, f"{message} ({send['how']} to {send['to']}) was never settled"))
        elif told and told[0].at - send.at > patience_ns:
            took_s = (told[0].at - send.at) / 1e9
            found.append(Violation(6, f"{message} ({send['how']} to {send['to']}) was settled after {took_s:.1f} s"))
    return found


def down_once(history: History) -> list[Violation]:
    """P7: one Down a monitor, after all that its target sent before, and none of it later."""
    found = []
    targets: dict[tuple[str, int], str] = {}
    asked: dict[tuple[str, int], int] = {}
    downs: dict[tuple[str, int], list[Event]] = defaultdict(list)
    gone = {event["target"] for event in history.of["gone"]}
    standing = {event["watcher"] for event in history.of["standing"]}
    for event in history.of["watch"]:
        targets[event["watcher"], event["monitor"]] = event["target"]
        asked[event["watcher"], event["monitor"]] = event.at
    for event in history.of["down"]:
        downs[event["watcher"], event["monitor"]].append(event)
    last_words: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for send in history.sends.values():
        last_words[number_of(send["id"])[0], send["to"]].append(send)
    for (watcher, monitor), told in downs.items():
        if len(told) > 1:
            found.append(Violation(7, f"{watcher} was told {len(told)} times that monitor {monitor} is down"))
        target = targets.get((watcher, monitor))
        if target is None:
            found.append(Violation(7, f"{watcher} was told of monitor {monitor}, which it never set"))
            continue
        name, asked_at = life_of(watcher), asked[watcher, monitor]
        for send in last_words.get((target, name), ()):
            begun = history.begins.get(send["id"], [])
            if begun and begun[0].at > told[0].at:
                found.append(Violation(7, f"{watcher} was told that {target} is down before it got {send['id']}"))
            elif not begun and history.outcome(send["id"]) == "ok" and watcher in standing and send.at > asked_at:
                found.append(Violation(7, f"{watcher} was told that {target} is down, and never got {send['id']}"))
    for (watcher, monitor), target in targets.items():
        if watcher in standing and target in gone and not downs.get((watcher, monitor)):
            found.append(Violation(7, f"{watcher} was never told that {target} is down"))
    return found


def exit_once(history: History) -> list[Violation]:
    """P7, for links: one Exit for each target that somebody who traps exits linked himself to, when that has ended."""
    found = []
    gone = {event["target"] for event in history.of["gone"]}
    standing = {event["watcher"] for event in history.of["standing"]}
    linked = {(event["watcher"], event["target"]) for event in history.of["link"]}
    exits = Counter((event["watcher"], event["target"]) for event in history.of["exit"])
    for (watcher, target), told in exits.items():
        if (watcher, target) not in linked:
            found.append(Violation(7, f"{watcher} got an Exit of {target or 'a stranger'}, and has no link to it"))
        elif told > 1:
            found.append(Violation(7, f"{watcher} got {told} Exits of {target}"))
    for watcher, target in linked:
        if watcher in standing and target in gone and not exits[watcher, target]:
            found.append(Violation(7, f"{watcher} never got the Exit of {target}"))
    return found


def read_whole(history: History) -> list[Violation]:
    """P10: what is read is whole, was published, and is not older than what was current when the reader began."""
    found = []
    begun: dict[str, int] = {}  # reader → what was current, surely, when it began
    published, may_be = 0, 0
    for event in history.events:
        match event.what:
            case "publish":
                may_be = max(may_be, event["version"])
            case "published":
                published = max(published, event["version"])
            case "reading":
                begun[event["reader"]] = published
            case "read":
                reader, version = event["reader"], event["version"]
                if not event["whole"]:
                    found.append(Violation(10, f"{reader} read version {version} in part"))
                elif version > may_be:
                    found.append(Violation(10, f"{reader} read version {version}, which nobody had published"))
                elif version < begun.get(reader, 0):
                    found.append(Violation(10, f"{reader} read version {version} after {begun[reader]} was published"))
    return found


def one_owner(history: History) -> list[Violation]:
    """P8: a name has one owner: what two surely held, they did not hold at one time."""
    found = []
    ends = {event["owner"]: event.at for event in history.of["disown"]}
    held: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    places: dict[str, list[tuple[int, int]]] = defaultdict(list)  # owner → when it came to which process
    for event in (*history.of["own"], *history.of["moved"]):
        places[event["owner"]].append((event.at, event.pid))
    last_at = history.events[-1].at if history.events else 0
    for event in history.of["own"]:
        until = ends.get(event["owner"], last_at)
        stays = sorted(places[event["owner"]])
        for (_, pid), (left_at, _) in zip(stays, [*stays[1:], (last_at, 0)], strict=True):
            if (killed_at := history.killed.get(pid, last_at)) <= left_at:
                until = min(until, killed_at)
        if until > event.at:
            held[event["name"]].append((event.at, until, event["owner"]))
    for name, spans in held.items():
        spans.sort()
        until, owner = spans[0][1], spans[0][2]
        for begin, end, other in spans[1:]:
            if begin < until:
                found.append(Violation(8, f"{name} was owned by {owner} and by {other} at one time"))
            if end > until:
                until, owner = end, other
    return found


def check(history: History, patience_s: float) -> list[Violation]:
    """Return every violation in a history; `patience_s` is how long a send may take until it is settled."""
    return [
        *one_at_a_time(history),
        *in_order(history),
        *refused_means_not_sent(history),
        *at_most_once(history),
        *accepted_is_accounted_for(history),
        *books_balance(history),
        *settled_once(history, int(patience_s * 1e9)),
        *down_once(history),
        *exit_once(history),
        *one_owner(history),
        *read_whole(history),
    ]
