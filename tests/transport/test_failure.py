"""An exception crosses to another process: as itself where it can, as RemoteError where it cannot."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import traceback

import pytest

from actorlab.errors import ActorDied, CallTimeout, MailboxFull, RemoteError
from actorlab.transport.failure import MAX_TEXT, RemoteTraceback, decode_exception, encode_exception


def raised(exc: BaseException) -> BaseException:
    try:
        raise exc
    except BaseException as caught:
        return caught


def crossed(exc: BaseException, handled: bool = True) -> BaseException:
    return decode_exception(encode_exception(raised(exc), handled))


class Worded(Exception):
    """As people write them: other arguments than it hands on."""

    def __init__(self, code: int, hint: str) -> None:
        super().__init__(f"code {code}: {hint}")
        self.code = code


class Doubling(Exception):
    """Unpickles, but into another text."""

    def __init__(self, text: str) -> None:
        super().__init__(f"about {text}")


class KeywordOnly(Exception):
    def __init__(self, *, why: str) -> None:
        super().__init__(why)
        self.why = why


class ReduceRaises(Exception):
    def __reduce__(self):
        raise ValueError("no")


class ReduceExits(Exception):
    def __reduce__(self):
        raise SystemExit(3)


class LoadRaises(Exception):
    def __reduce__(self):
        return os.stat, ("/nonexistent/of/course",)


class LoadsAsSomethingElse(Exception):
    def __reduce__(self):
        return dict, ()


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class WithLock(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


def test_an_exception_arrives_as_itself_with_its_arguments():
    exc = crossed(KeyError("tea", 3))
    assert type(exc) is KeyError
    assert exc.args == ("tea", 3)


def test_attributes_and_notes_arrive_too():
    sent = ValueError("x")
    sent.add_note("while brewing")
    sent.cup = 4  # type: ignore[attr-defined]
    exc = crossed(sent)
    assert exc.cup == 4  # type: ignore[attr-defined]
    assert exc.__notes__ == ["while brewing"]


def test_the_callers_traceback_shows_where_it_was_raised():
    exc = crossed(ZeroDivisionError("by tea"))
    assert isinstance(exc.__cause__, RemoteTraceback)
    printed = "".join(traceback.format_exception(exc))
    assert "in the process where it was raised" in printed
    assert "in raised" in printed


def test_a_chain_of_causes_arrives_as_text():
    try:
        try:
            raise OSError("pot is cold")
        except OSError as cold:
            raise ValueError("no tea") from cold
    except ValueError as error:
        assert "pot is cold" in str(decode_exception(encode_exception(error)).__cause__)


def test_each_hop_adds_its_traceback():
    twice = decode_exception(encode_exception(raised(crossed(ValueError("x")))))
    assert type(twice) is ValueError
    assert str(twice.__cause__).count("in the process where it was raised") == 2  # its own, and the hop before
    assert str(twice.__cause__).count("ValueError: x") == 2


@pytest.mark.parametrize("sent", [Worded(7, "hot"), Doubling("tea"), KeywordOnly(why="cold")])
def test_a_class_whose_init_takes_other_arguments_arrives_as_itself(sent):
    exc = crossed(sent)
    assert type(exc) is type(sent)
    assert exc.args == sent.args
    assert str(exc) == str(sent)
    assert vars(exc).items() >= vars(sent).items()


def test_an_oserror_keeps_its_number():
    exc = crossed(FileNotFoundError(2, "no such pot", "/pot"))
    assert (exc.errno, exc.filename) == (2, "/pot")  # type: ignore[attr-defined]


@pytest.mark.parametrize("sent", [ReduceRaises("a"), ReduceExits("a"), LoadRaises("a"), LoadsAsSomethingElse("a")])
def test_a_class_whose_pickling_is_broken_arrives_as_itself_without_it(sent):
    exc = crossed(sent)
    assert (type(exc), exc.args) == (type(sent), sent.args)


def test_unpicklable_arguments_make_a_remote_error():
    exc = crossed(ValueError(threading.Lock()))
    assert isinstance(exc, RemoteError)
    assert exc.type_name == "ValueError"
    assert "_thread.lock" in exc.text
    assert "in raised" in exc.traceback


def test_an_unpicklable_attribute_makes_a_remote_error():
    exc = crossed(WithLock("tea"))
    assert isinstance(exc, RemoteError)
    assert str(exc).endswith("WithLock: tea")


def test_an_exception_whose_str_raises_makes_a_remote_error():
    exc = crossed(Mute("x"))
    assert isinstance(exc, RemoteError)
    assert "its __str__ raised RuntimeError" in exc.text


@pytest.mark.parametrize(
    "sent", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), StopIteration(4)]
)
def test_what_would_be_a_command_at_the_caller_arrives_as_remote_error(sent):
    exc = crossed(sent)
    assert isinstance(exc, RemoteError)
    assert exc.type_name.endswith(type(sent).__qualname__)


def test_an_exception_group_arrives_whole():
    exc = crossed(ExceptionGroup("both", [ValueError("a"), KeyError("b")]))
    assert isinstance(exc, ExceptionGroup)
    assert [type(e) for e in exc.exceptions] == [ValueError, KeyError]


def test_a_local_class_arrives_by_value():
    class Local(Exception):
        pass

    assert type(crossed(Local("x"))) is Local


def test_a_class_that_is_missing_at_the_caller_arrives_as_remote_error():
    source = (
        "import sys, types\n"
        "from actorlab.transport.failure import encode_exception\n"
        "module = types.ModuleType('only_here'); sys.modules['only_here'] = module\n"
        "exec('class Gone(Exception): pass', module.__dict__)\n"
        "try: raise module.Gone('far away')\n"
        "except Exception as e: sys.stdout.buffer.write(encode_exception(e))\n"
    )
    data = subprocess.run([sys.executable, "-c", source], capture_output=True, check=True, timeout=60).stdout
    exc = decode_exception(data)
    assert isinstance(exc, RemoteError)
    assert (exc.type_name, exc.text) == ("only_here.Gone", "far away")


def test_a_huge_exception_arrives_as_a_short_remote_error():
    exc = crossed(ValueError("x" * 10_000_000))
    assert isinstance(exc, RemoteError)
    assert len(exc.text) < MAX_TEXT + 100
    assert len(exc.traceback) < MAX_TEXT + 100


@pytest.mark.parametrize("inner", [MailboxFull("b", 10), CallTimeout("b", 1.0), ActorDied("b", "killed", "never")])
def test_a_call_error_of_a_handlers_own_call_does_not_tell_its_caller_to_retry(inner):
    exc = crossed(inner)
    assert type(exc) is type(inner)
    assert exc.delivery == "handled"  # type: ignore[attr-defined]
    assert str(exc) == str(inner)


def test_a_refusal_keeps_its_delivery():
    assert crossed(MailboxFull("b", 10), handled=False).delivery == "never"  # type: ignore[attr-defined]
