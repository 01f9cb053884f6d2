"""What a message looks like as bytes, and what is refused with which words."""

from __future__ import annotations

import functools
import pickle
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from actorlab.errors import NotSendable
from actorlab.transport import wire


@dataclass
class Order:
    item: object
    lock: object = None


def script(source: str) -> str:
    """Run `source` as a script of its own, so that its classes live in `__main__`; return what it prints."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_plain_data_is_one_plain_pickle():
    message = ("add", (2, "abc"), {"k": 1.5})
    assert wire.dumps(message) == pickle.dumps(message, 5)
    assert wire.loads(memoryview(wire.dumps(message))) == message


def test_a_lambda_and_a_local_class_travel_by_value():
    class Local:
        n = 7

    double, local = wire.loads(wire.dumps((lambda x: 2 * x, Local())))
    assert double(21) == 42
    assert local.n == 7


def test_objects_of_a_script_load_where_main_is_empty():
    printed = script(
        """
        import subprocess, sys
        from actorlab.transport import wire
        class Job:
            def __init__(self, n): self.n = n
            def run(self): return helper(self.n)
        def helper(n): return n + 1
        data = wire.dumps((Job(41), helper))
        loader = ("import sys; from actorlab.transport import wire;"
                  "job, f = wire.loads(sys.stdin.buffer.read()); print(job.run(), f(1));"
                  "back = wire.dumps(job); assert wire.loads(back).n == 41")
        done = subprocess.run([sys.executable, "-c", loader], input=data, capture_output=True, check=True)
        print(done.stdout.decode())
        """
    )
    assert printed == "42 2"


def test_a_scripts_object_that_comes_back_is_of_the_scripts_own_class():
    printed = script(
        """
        from actorlab.transport import wire
        class Job: pass
        print(type(wire.loads(wire.dumps(Job()))) is Job)
        """
    )
    assert printed == "True"


def test_a_text_that_mentions_main_arrives_unchanged():
    message = ["if __name__ == '__main__': main()", b"__main__", 0x93, Order]
    assert wire.loads(wire.dumps(message)) == message


@pytest.mark.parametrize(
    ("message", "names", "path"),
    [
        (("add", (Order("tea", threading.Lock()),), {}), ("method", "args", "kwargs"), "args[0].lock: cannot pickle"),
        ({"a": [1, 2, {"b": threading.Lock()}]}, (), "['a'][2]['b']: cannot pickle"),
        (threading.Lock(), (), "cannot pickle '_thread.lock' object"),
        (functools.partial(print, threading.Lock()), (), "args[0]: cannot pickle"),
        ([(i for i in range(3))], (), "[0]: cannot pickle 'generator' object"),
        (ValueError("x", threading.Lock()), (), "args[1]: cannot pickle"),
    ],
)
def test_a_refusal_names_the_way_to_the_culprit(message, names, path):
    with pytest.raises(NotSendable) as refused:
        wire.dumps(message, "a call of Shop.add", names)
    assert refused.value.args[1].startswith(path)
    assert "a call of Shop.add" in str(refused.value)


def test_a_refusal_names_what_a_lambda_captured():
    lock = threading.Lock()
    with pytest.raises(NotSendable, match="<captured lock>"):
        wire.dumps([lambda: lock])


def test_a_reduce_that_raises_is_a_refusal_whatever_it_raises():
    class Sour:
        def __reduce__(self):
            raise ZeroDivisionError("sour")

    with pytest.raises(NotSendable, match="sour"):
        wire.dumps({"fruit": Sour()})


def test_nesting_too_deep_is_a_refusal():
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(NotSendable, match="nested too deeply"):
        wire.dumps(nested)
    while nested:  # else freeing it recurses
        nested = nested.pop()


def test_the_search_for_a_culprit_is_bounded():
    class Endless:
        def __init__(self, depth: int) -> None:
            self.depth, self.lock = depth, threading.Lock()

        def __getattr__(self, name: str) -> object:
            raise RuntimeError("hands off")

    with pytest.raises(NotSendable):
        wire.dumps([Endless(i) for i in range(5_000)])


def test_a_small_message_is_encoded_inline():
    message = ("add", (np.arange(3),), {})
    data = wire.encode(message, "m", 1000)
    assert isinstance(data, bytes)
    assert wire.loads(data)[1][0].tolist() == [0, 1, 2]


def test_a_message_above_the_inline_limit_is_large():
    large = wire.encode("x" * 2000, "m", 1000)
    assert isinstance(large, wire.Large)
    assert large.buffers == ()
    assert large.size_bytes > 2000
    assert wire.loads(large.meta) == "x" * 2000


def test_large_buffers_are_views_of_the_senders_memory_and_small_ones_are_not():
    big, small = np.arange(100_000), np.arange(10)
    large = wire.encode((small, big), "m", 1 << 30)
    assert isinstance(large, wire.Large)
    assert [view.nbytes for view in large.buffers] == [big.nbytes]
    assert np.shares_memory(np.frombuffer(large.buffers[0], dtype=big.dtype), big)
    assert len(large.meta) < 1000
    a, b = wire.loads(large.meta, buffers=large.buffers)
    assert a.tolist() == small.tolist()
    assert (b == big).all()


def test_an_arrow_tables_columns_stay_out_of_the_pickle():
    table = pa.table({"n": np.arange(50_000)})
    large = wire.encode(table, "m", 1000)
    assert isinstance(large, wire.Large)
    assert wire.loads(large.meta, buffers=large.buffers).equals(table)
    assert len(large.meta) < 5_000


def test_by_value_and_out_of_band_go_together():
    big = np.arange(100_000)
    large = wire.encode((lambda: 5, big), "m", 1000)
    assert isinstance(large, wire.Large)
    assert len(large.buffers) == 1
    f, array = wire.loads(large.meta, buffers=large.buffers)
    assert f() == 5
    assert array[-1] == 99_999


def test_a_script_class_with_a_large_buffer_goes_by_value():
    printed = script(
        """
        import subprocess, sys, numpy as np
        from actorlab.transport import wire
        class Job:
            def __init__(self): self.a = np.ones(100_000)
        large = wire.encode(Job(), "m", 1000)
        print(len(large.buffers), b"__reduce__" in large.meta or b"cloudpickle" in large.meta)
        """
    )
    assert printed == "1 True"


@pytest.mark.parametrize("n", [10, wire.LONG_BYTES - 1, wire.LONG_BYTES, 1_000_003])
def test_in_pieces_a_pickle_is_the_same_and_a_long_bytes_in_it_the_senders_own(n):
    data, rest = bytes(range(256)) * (n // 256) + bytes(n % 256), ["x" * n, bytearray(n), list(range(n % 5_000))]
    for obj in (data, ("take", (data, 1), {}), {"deep": [rest, data]}):
        large = wire.encode(obj, "m", 5, likely_large=True)
        assert large.meta == pickle.dumps(obj, 5)
        assert any(piece is data for piece in large.pieces) == (n >= wire.LONG_BYTES)


def test_what_may_change_after_it_was_sent_is_copied_into_the_pickle():
    data = bytearray(b"a" * 200_000)
    large = wire.encode(data, "m", 1000, likely_large=True)
    data[:] = b"b" * 200_000
    assert {type(piece) for piece in large.pieces} == {bytes}
    assert wire.loads(large.meta) == b"a" * 200_000


def test_a_long_bytes_among_the_arguments_is_seen_before_it_is_copied():
    long, short = bytes(wire.LONG_BYTES), bytes(wire.LONG_BYTES - 1)
    assert wire.loads(wire.dumps_small(("take", (short,), {}), 5)) == ("take", (short,), {})
    for obj in (long, (long, ()), ("take", (1, long), {})):
        with pytest.raises(wire.SawLargeBuffer):
            wire.dumps_small(obj, 5)
    assert any(piece is long for piece in wire.encode(long, "the reply", 1000).pieces)


def test_a_script_class_beside_a_long_bytes_goes_by_value():
    printed = script(
        """
        import subprocess, sys
        from actorlab.transport import wire
        class Job:
            pass
        large = wire.encode((bytes(100_000), Job()), "m", 1000)
        print(len(large.pieces), b"cloudpickle" in large.meta)
        """
    )
    assert printed == "1 True"


def test_encode_refuses_what_dumps_refuses():
    with pytest.raises(NotSendable, match=r"\[1\]: cannot pickle"):
        wire.encode((np.ones(100_000), threading.Lock()), "m", 1000)


def test_importing_wire_does_not_import_cloudpickle():
    assert script("import sys, actorlab.transport.wire; print('cloudpickle' in sys.modules)") == "False"
