"""The plan against a naive supervisor, and against a world that does things in any order.

The oracle is OTP's supervisor as one would write it down from its rules: a list, loops, everything at once and to the
end. It shares no code with the plan. Where nothing happens meanwhile, both must do the same, step by step. What may
happen meanwhile is the second test's: whatever the order, nothing runs twice, is lost, or stays unanswered.
"""

from __future__ import annotations

import random
from collections import Counter

import pykka
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorlab.supervision import (
    Backoff,
    Begin,
    Death,
    DeleteChild,
    Dropped,
    DynamicSupervisor,
    Exit,
    Exited,
    Ready,
    Refuse,
    Reply,
    RestartChild,
    Retired,
    Retry,
    RetryAfter,
    ShutdownAll,
    Start,
    StartChild,
    StartFailed,
    StartIgnored,
    StartOk,
    State,
    Stop,
    Stopped,
    Supervisor,
    TerminateChild,
    child,
    plan,
)

FIRST, FACTOR, MOST = 1, 2, 8
BACKOFF = Backoff(FIRST, FACTOR, MOST, jitter=0)
REASONS = ["normal", "shutdown", ("shutdown", 1), "boom", "killed"]
PERIOD = 5.0


class Clerk(pykka.ThreadingActor):
    """Never started here."""


def fate(seed, name, attempt):
    """What the `attempt`-th start of a child comes to: the same for whoever asks."""
    draw = random.Random(f"{seed}/{name}/{attempt}").random()
    return "ok" if attempt == 1 or draw < 0.75 else "ignore" if draw < 0.82 else "fail"


# --- the oracle


class Oracle:
    """OTP's rules, written down naively."""

    def __init__(self, seed, strategy, auto, limit, dynamic, kids):
        self.seed, self.strategy, self.auto, self.limit, self.dynamic = seed, strategy, auto, limit, dynamic
        self.kids = [self.kid(*k) for k in kids]
        self.attempts, self.restarts, self.timers, self.log = Counter(), [], [], []
        self.now, self.exited = 0.0, False

    @staticmethod
    def kid(name, restart, significant):
        return {"name": name, "restart": restart, "significant": significant, "status": "stopped", "failures": 0}

    def find(self, name):
        return next((k for k in self.kids if k["name"] == name), None)

    def try_start(self, kid):
        self.attempts[kid["name"]] += 1
        self.log.append(f"start {kid['name']}")
        outcome = fate(self.seed, kid["name"], self.attempts[kid["name"]])
        if outcome != "fail":
            kid["failures"] = 0
        if outcome == "ok":
            kid["status"] = "running"
        return outcome

    def down(self, kid, status="stopped"):
        if kid["restart"] == "temporary" or self.dynamic:
            self.kids.remove(kid)
            self.log.append(f"dropped {kid['name']}")
        else:
            kid["status"] = status
            self.log.append(f"retired {kid['name']}")

    def stop_all_and_exit(self, reason):
        for kid in reversed(self.kids):
            if kid["status"] == "running":
                self.log.append(f"stop {kid['name']}")
            if kid["status"] in ("running", "restarting"):
                kid["status"] = "stopped"
        self.log.append(f"exit {reason}")
        self.exited = True

    def too_many(self):
        self.restarts.append(self.now)
        return sum(1 for t in self.restarts if self.now - t <= PERIOD) > self.limit

    def begin(self):
        for kid in list(self.kids):
            outcome = self.try_start(kid)
            if outcome == "fail":
                return self.stop_all_and_exit(("shutdown", ("failed_to_start_child", kid["name"], "fail")))
            if outcome == "ignore":
                self.down(kid, "ignored")
        self.log.append("ready")

    def wait(self, kid, held):
        kid["status"] = "restarting"
        kid["failures"] += 1
        delay = min(FIRST * FACTOR ** (kid["failures"] - 1), MOST)
        self.log.append(f"retry {delay:g} {kid['name']}")
        self.timers.append((kid["name"], self.attempts[kid["name"]], held))

    def incident(self, deaths):
        again, quit_ = [], False
        for name, reason in deaths:
            kid = self.find(name)
            clean = reason in ("normal", "shutdown") or reason[0] == "shutdown"
            if kid["restart"] == "permanent" or (kid["restart"] == "transient" and not clean):
                kid["status"] = "restarting"
                again.append(kid)
            else:
                self.down(kid)
                quit_ = quit_ or kid["significant"]
        if quit_:
            left = [k for k in self.kids if k["significant"] and k["status"] in ("running", "restarting")]
            if self.auto == "any_significant" or (self.auto == "all_significant" and not left):
                return self.stop_all_and_exit("shutdown")
        if not again:
            return
        if self.too_many():
            return self.stop_all_and_exit("shutdown")
        ordered = [k for k in self.kids if k in again]
        if self.strategy == "one_for_one":
            self.restart_each(ordered)
        else:
            self.restart_group(self.kids.index(ordered[0]))

    def restart_each(self, kids):
        for kid in kids:
            outcome = self.try_start(kid)
            if outcome == "ignore":
                self.down(kid, "ignored")
            elif outcome == "fail":
                if self.too_many():
                    return self.stop_all_and_exit("shutdown")
                self.wait(kid, [])

    def restart_group(self, first):
        if self.strategy == "one_for_all":
            first = 0
        members = self.kids[first:]
        taken_down = [k for k in reversed(members) if k["status"] == "running"]
        self.log += [f"stop {k['name']}" for k in taken_down]
        for kid in taken_down:
            kid["status"] = "restarting"
            if kid["restart"] == "temporary":
                self.kids.remove(kid)
                self.log.append(f"dropped {kid['name']}")
        self.bring_up([k for k in members if k in self.kids])

    def bring_up(self, members):
        members = [k for k in members if k["status"] != "running"]
        names = [k["name"] for k in members]  # whatever they waited for, they wait no longer
        self.timers = [(n, -1 if n in names else attempt, held) for n, attempt, held in self.timers]
        for i, kid in enumerate(members):
            outcome = self.try_start(kid)
            if outcome == "ignore":
                self.down(kid, "ignored")
            elif outcome == "fail":
                if self.too_many():
                    return self.stop_all_and_exit("shutdown")
                for later in members[i + 1 :]:
                    later["status"] = "restarting"
                return self.wait(kid, [k["name"] for k in members[i + 1 :]])

    def timer(self):
        name, attempt, _ = self.timers.pop(0)
        kid = self.find(name)
        if kid and kid["status"] == "restarting" and self.attempts[name] == attempt:
            if self.strategy == "one_for_one":
                self.restart_each([kid])
            else:
                self.restart_group(self.kids.index(kid))

    def start_child(self, name, restart, significant):
        kid = self.find(name)
        if kid:
            down = kid["status"] in ("stopped", "ignored")
            return self.log.append(f"refuse {'already_present' if down else 'already_started'}")
        kid = self.kid(name, restart, significant)
        self.kids.append(kid)
        outcome = self.try_start(kid)
        if outcome == "ok":
            self.log.append(f"reply {name}")
        elif outcome == "ignore":
            self.log.append(f"reply {name}")
            self.down(kid, "ignored")
        else:
            self.log += ["refuse start_failed", f"dropped {name}"]
            self.kids.remove(kid)

    def terminate(self, name):
        kid = self.find(name)
        if not kid:
            return self.log.append("refuse not_found")
        if kid["status"] == "running":
            self.log.append(f"stop {name}")
            self.down(kid)
            return self.log.append(f"reply {name}")
        if kid["status"] != "restarting":
            return self.log.append(f"reply {name}")
        place = self.kids.index(kid)
        self.down(kid)
        self.log.append(f"reply {name}")
        waiting = [t for t in self.timers if t[0] == name and t[1] == self.attempts[name]]
        if any(held for _, _, held in waiting):
            self.bring_up([k for k in self.kids[place:] if k is not kid])

    def restart_or_delete(self, name, command):
        kid = self.find(name)
        if not kid:
            return self.log.append("refuse not_found")
        if self.dynamic:
            return self.log.append("refuse only_static")
        if kid["status"] in ("running", "restarting"):
            return self.log.append(f"refuse {kid['status']}")
        if command == "delete":
            self.kids.remove(kid)
            self.log += [f"dropped {name}", f"reply {name}"]
        else:
            outcome = self.try_start(kid)
            if outcome == "fail":
                self.log += ["refuse start_failed", f"retired {name}"]
                kid["status"] = "stopped"
            else:
                self.log.append(f"reply {name}")
                if outcome == "ignore":
                    self.down(kid, "ignored")


# --- the plan, carried out at once


class AtOnce:
    """Carries each action out, to its end, before the next."""

    def __init__(self, seed, spec):
        self.seed, self.state, self.log = seed, State(spec, random=lambda: 0.5), []
        self.now, self.timers, self.attempts = 0.0, [], Counter()
        self.not_begun, self.exited = set(), False

    def do(self, event):
        for action in plan(self.state, event, self.now):
            match action:
                case Start(launches, in_order):
                    self.not_begun |= {launch[:2] for launch in launches}
                    for launch in launches:
                        if launch[:2] in self.not_begun and not self.begin(*launch[:2]) and in_order:
                            break
                    self.not_begun -= {launch[:2] for launch in launches}
                case Stop(halts):
                    for halt in halts:
                        if halt[:2] not in self.not_begun:
                            self.log.append(f"stop {halt.child}")
                    for halt in halts:
                        self.not_begun.discard(halt[:2])
                        self.do(Stopped(*halt[:2]))
                case RetryAfter(seconds, children):
                    self.log.append(f"retry {seconds:g} {' '.join(c for c, _ in children)}")
                    self.timers.append(children)
                case Ready():
                    self.log.append("ready")
                case Retired(name):
                    self.log.append(f"retired {name}")
                case Dropped(name):
                    self.log.append(f"dropped {name}")
                case Reply(_, name):
                    self.log.append(f"reply {name}")
                case Refuse(_, _, why):
                    self.log.append(f"refuse {why}")
                case Exit(reason):
                    self.log.append(f"exit {reason}")
                    self.exited = True

    def begin(self, name, incarnation):
        self.not_begun.discard((name, incarnation))
        self.attempts[name] += 1
        self.log.append(f"start {name}")
        outcome = fate(self.seed, name, self.attempts[name])
        if outcome == "ok":
            self.do(StartOk(name, incarnation, object()))
        elif outcome == "ignore":
            self.do(StartIgnored(name, incarnation))
        else:
            self.do(StartFailed(name, incarnation, "fail"))
        return outcome != "fail"


CASES = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32),
        "strategy": st.sampled_from(["one_for_one", "rest_for_one", "one_for_all", "dynamic"]),
        "auto": st.sampled_from(["never", "never", "any_significant", "all_significant"]),
        "limit": st.sampled_from([0, 1, 3, 20, 20]),
        "size": st.integers(0, 8),
    }
)
QUICK = settings(max_examples=500, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


def draw_kid(rng, name, auto):
    restart = rng.choice(["permanent", "permanent", "transient", "temporary"])
    return name, restart, auto != "never" and restart != "permanent" and rng.random() < 0.7


def spec_of(kid):
    name, restart, significant = kid
    return child(Clerk, name=name, restart=restart, significant=significant)


def supervisor_of(case, kids):
    if case["strategy"] == "dynamic":
        return DynamicSupervisor(max_restarts=case["limit"], max_seconds=PERIOD, backoff=BACKOFF)
    return Supervisor(
        strategy=case["strategy"], auto_shutdown=case["auto"], max_restarts=case["limit"], max_seconds=PERIOD,
        backoff=BACKOFF, children=[spec_of(kid) for kid in kids],
    )  # fmt: skip


def set_up(case):
    if case["strategy"] == "dynamic":
        case = {**case, "auto": "never", "size": 0}
    rng = random.Random(case["seed"])
    kids = [draw_kid(rng, f"k{n}", case["auto"]) for n in range(case["size"])]
    return case, rng, kids


@QUICK
@given(CASES)
def test_the_plan_does_what_the_naive_supervisor_does(case):
    case, rng, kids = set_up(case)
    dynamic = case["strategy"] == "dynamic"
    strategy = "one_for_one" if dynamic else case["strategy"]
    oracle = Oracle(case["seed"], strategy, case["auto"], case["limit"], dynamic, kids)
    doer = AtOnce(case["seed"], supervisor_of(case, kids))
    oracle.begin()
    doer.do(Begin())
    for _ in range(150):
        assert doer.log == oracle.log
        if oracle.exited:
            break
        assert [(c.id, c.status) for c in doer.state.roster] == [(k["name"], k["status"]) for k in oracle.kids]
        doer.log.clear()
        oracle.log.clear()
        oracle.now = doer.now = oracle.now + rng.choice([0, 0.5, 1, 1, 2, 5, 5.01])
        running = [k["name"] for k in oracle.kids if k["status"] == "running"]
        name = f"k{rng.randrange(12)}"
        match rng.choice(["incident"] * 4 + ["timer"] * 3 + ["start", "start", "terminate", "restart", "delete"]):
            case "incident" if running:
                dead = rng.sample(running, rng.choice([1, 1, 1, min(3, len(running)), len(running)]))
                deaths = [(n, rng.choice(REASONS)) for n in dead]
                incarnation = {c.id: c.incarnation for c in doer.state.roster}
                oracle.incident(deaths)
                doer.do(Exited(tuple(Death(n, incarnation[n], reason) for n, reason in deaths)))
            case "timer" if doer.timers:
                oracle.timer()
                doer.do(Retry(doer.timers.pop(0)))
            case "start":
                kid = draw_kid(rng, name, case["auto"])
                oracle.start_child(*kid)
                doer.do(StartChild(spec_of(kid)))
            case "terminate":
                oracle.terminate(name)
                doer.do(TerminateChild(name))
            case "restart":
                oracle.restart_or_delete(name, "restart")
                doer.do(RestartChild(name))
            case "delete":
                oracle.restart_or_delete(name, "delete")
                doer.do(DeleteChild(name))


# --- the plan in a world where everything takes its time


class World:
    """Starts and stops end when the test says, in any order the contract of the actions allows."""

    def __init__(self, spec, rng):
        self.state, self.rng, self.now = State(spec, random=rng.random), rng, 0.0
        self.alive = {}  # name → incarnation, from its first instruction to its last
        self.starting, self.stopping = [], []  # lists of (name, incarnation) still to do, one an action
        self.timers, self.asked, self.answered, self.exits = [], Counter(), Counter(), 0

    def do(self, event):
        request = getattr(event, "request", None)
        if request is not None:
            self.asked[request] += 1
        for action in plan(self.state, event, self.now):
            assert not self.exits or isinstance(action, Refuse)
            match action:
                case Start(launches, in_order):
                    todo = [launch[:2] for launch in launches]
                    planned = {name for batch in self.starting for name, _ in batch}
                    for name, _ in todo:
                        assert name not in self.alive and name not in planned, "started twice"
                    self.starting += [todo] if in_order else [[one] for one in todo]
                    for batch in self.starting:
                        self.alive[batch[0][0]] = batch[0][1]
                case Stop(halts, parallel):
                    todo = []
                    for halt in halts:
                        one = halt[:2]
                        unbegun = [b for b in self.starting if one in b[1:]]
                        if unbegun:
                            unbegun[0].remove(one)
                        else:
                            assert self.alive.get(halt.child) == halt.incarnation, "stopped what does not live"
                        todo.append(one)
                    self.stopping += [[one] for one in todo] if parallel else [todo]
                case RetryAfter(_, children):
                    self.timers.append(children)
                case Retired(name) | Dropped(name):
                    assert name not in self.alive
                case Reply(request) | Refuse(request):
                    if request is not None:
                        self.answered[request] += 1
                case Exit():
                    assert not self.alive
                    self.exits += 1

    def die(self, names, reason):
        """One incident. A start that dies with it voids the rest of its action."""
        deaths = tuple(Death(name, self.alive.pop(name), reason) for name in names)
        for batch in list(self.starting):
            if batch[0][0] in names:
                self.starting.remove(batch)
        self.do(Exited(deaths))

    def end_a_start(self, outcome):
        batch = self.rng.choice(self.starting)
        name, incarnation = batch.pop(0)
        if outcome == "fail" or not batch:
            self.starting.remove(batch)
        if outcome != "ok":
            del self.alive[name]
        if outcome != "fail" and batch:
            self.alive[batch[0][0]] = batch[0][1]
        if outcome == "ok":
            self.do(StartOk(name, incarnation, object()))
        elif outcome == "ignore":
            self.do(StartIgnored(name, incarnation))
        else:
            self.do(StartFailed(name, incarnation, "fail"))

    def end_a_stop(self):
        batch = self.rng.choice(self.stopping)
        name, incarnation = batch.pop(0)
        if not batch:
            self.stopping.remove(batch)
        for starting in list(self.starting):
            if starting[0] == (name, incarnation):  # killed while starting; its Start goes on without it
                starting.pop(0)
                if starting:
                    self.alive[starting[0][0]] = starting[0][1]
                else:
                    self.starting.remove(starting)
        if self.alive.get(name) == incarnation:
            del self.alive[name]
        self.do(Stopped(name, incarnation))


def one_step(world, case, rng, request):
    name = f"k{rng.randrange(12)}"
    match rng.choice(
        ["start"] * 6 + ["stop"] * 5 + ["die"] * 2 + ["timer"] * 2 + ["add", "terminate", "restart", "delete"]
    ):
        case "start" if world.starting:
            world.end_a_start(rng.choice(["ok"] * 8 + ["ignore", "fail"]))
        case "stop" if world.stopping:
            world.end_a_stop()
        case "die" if world.alive:
            many = rng.choice([1, 1, 2, len(world.alive)])
            world.die(rng.sample(sorted(world.alive), min(many, len(world.alive))), rng.choice(REASONS))
        case "timer" if world.timers:
            world.do(Retry(world.timers.pop(rng.randrange(len(world.timers)))))
        case "add":
            world.do(StartChild(spec_of(draw_kid(rng, name, case["auto"])), request))
        case "terminate":
            world.do(TerminateChild(name, request))
        case "restart":
            world.do(RestartChild(name, request))
        case "delete":
            world.do(DeleteChild(name, request))


def come_to_rest(world):
    for _ in range(10_000):
        if world.stopping:
            world.end_a_stop()
        elif world.starting:
            world.end_a_start("ok")
        elif world.timers:
            world.do(Retry(world.timers.pop(0)))
        else:
            return
    raise AssertionError("it never comes to rest")


@QUICK
@given(CASES)
def test_in_any_order_nothing_runs_twice_is_lost_or_stays_unanswered(case):
    case, rng, kids = set_up({**case, "limit": rng_limit(case["limit"])})
    world = World(supervisor_of(case, kids), rng)
    world.do(Begin())
    for step in range(150):
        world.now += rng.random()
        one_step(world, case, rng, request=step)
        if rng.random() < 0.01:
            world.do(ShutdownAll())
        if rng.random() < 0.1:
            come_to_rest(world)
            check_rest(world)
    world.do(ShutdownAll())
    come_to_rest(world)
    check_rest(world)
    assert world.exits == 1


def rng_limit(limit):
    """Mostly generous: a supervisor that gave up has little left to show."""
    return limit if limit < 3 else 10 * limit


def check_rest(world):
    state = world.state
    assert world.asked == world.answered, "each request is answered exactly once"
    assert not (state.sweep or state.deferred or state.starts or state.stops or state.held or state.stopping)
    assert {c.id: c.incarnation for c in state.roster if c.status == "running"} == world.alive
    assert {c.status for c in state.roster} <= {"running", "stopped", "ignored"}
    assert world.exits == state.over
