"""Laws of lean_dataclass: what it makes cannot be told from what the standard library makes of the same class."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

import actorlab
from actorlab import lean_dataclass

Make = Callable[..., Any]


def classes(dataclass: Make) -> dict[str, Any]:
    """Make one class of each kind we use by `dataclass`."""

    @dataclass(frozen=True, slots=True)
    class Frozen:
        """One that cannot change."""

        a: int
        b: str = "b"
        many: tuple[int, ...] = field(default_factory=tuple)
        secret: str | None = field(default=None, repr=False, compare=False)
        KIND: ClassVar[str] = "kind"

        def doubled(self) -> int:
            return 2 * self.a

    @dataclass(slots=True)
    class Open:
        """One that can."""

        a: int
        many: list[int] = field(default_factory=list)

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Keywords:
        """Keywords only; what it has besides, it finds out itself."""

        a: int = 1
        b: int
        both: int = field(init=False, compare=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "both", self.a + self.b)

    @dataclass(frozen=True, slots=True)
    class Nothing:
        """Has no field."""

    @dataclass(frozen=True, slots=True)
    class One:
        """Has one."""

        only: Any
        fixed: int = field(init=False, default=7)

    @dataclass(frozen=True, slots=True)
    class Self:
        """Says for itself how it is shown and compared."""

        a: int

        def __repr__(self) -> str:
            return "me"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Self)

        def __hash__(self) -> int:
            return 5

    @dataclass(frozen=True, slots=True)
    class Equal:
        """Says for itself how it is compared, not how it is hashed."""

        a: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Equal)

    @dataclass(frozen=True, slots=True)
    class Heir(Frozen):
        """Inherits, and adds."""

        c: int = 3

    @dataclass(frozen=True, slots=True, order=True)
    class Ordered:
        """Has an order."""

        a: int

    return {name: made for name, made in locals().items() if isinstance(made, type)}


THEIRS = classes(dataclasses.dataclass)
OURS = classes(lean_dataclass.dataclass)
SAMPLES: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "Frozen": [((1,), {}), ((1, "b", (), "x"), {}), ((2,), {"many": (3,)})],
    "Open": [((1,), {}), ((1, [2]), {}), ((), {"a": 1})],
    "Keywords": [((), {"b": 2}), ((), {"a": 2, "b": 2})],
    "Nothing": [((), {})],
    "One": [((1,), {}), (((),), {}), ((float("nan"),), {})],
    "Self": [((1,), {}), ((2,), {})],
    "Equal": [((1,), {}), ((2,), {})],
    "Heir": [((1,), {}), ((1, "b", (), None, 4), {})],
    "Ordered": [((1,), {}), ((2,), {})],
}
globals().update({f"Ours{name}": made for name, made in OURS.items()})
for _name, _made in OURS.items():
    _made.__module__, _made.__qualname__ = __name__, f"Ours{_name}"  # where pickle looks for it

KINDS = pytest.mark.parametrize("name", sorted(THEIRS))


def instances(of: dict[str, Any], name: str) -> list[Any]:
    return [of[name](*args, **kwargs) for args, kwargs in SAMPLES[name]]


@KINDS
def test_it_has_the_same_signature_fields_slots_and_pattern(name: str) -> None:
    ours, theirs = OURS[name], THEIRS[name]
    assert inspect.signature(ours) == inspect.signature(theirs) or "<factory>" in str(inspect.signature(theirs))
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    assert [str(one) for one in dataclasses.fields(ours)] == [str(one) for one in dataclasses.fields(theirs)]
    assert ours.__slots__ == theirs.__slots__
    assert ours.__match_args__ == theirs.__match_args__
    assert ours.__doc__ == theirs.__doc__


@KINDS
def test_it_is_shown_compared_and_hashed_alike(name: str) -> None:
    ours, theirs = instances(OURS, name), instances(THEIRS, name)
    assert [repr(one).replace("Ours", "classes.<locals>.") for one in ours] == [repr(one) for one in theirs]
    for i in range(len(ours)):
        for j in range(len(ours)):
            assert (ours[i] == ours[j]) is (theirs[i] == theirs[j])
            assert (ours[i] != ours[j]) is (theirs[i] != theirs[j])
    assert all(one != other for one, other in zip(ours, theirs, strict=True))
    if theirs[0].__hash__ is None:
        assert ours[0].__hash__ is None
    else:
        alike = [hash(one) == hash(other) for one in theirs for other in theirs]
        assert [hash(one) == hash(other) for one in ours for other in ours] == alike


@KINDS
def test_it_survives_pickle_copy_and_replace(name: str) -> None:
    for one in instances(OURS, name):
        values = [getattr(one, field.name) for field in dataclasses.fields(one)]
        for other in (pickle.loads(pickle.dumps(one)), copy.copy(one), dataclasses.replace(one)):
            assert type(other) is type(one)
            again = [getattr(other, field.name) for field in dataclasses.fields(other)]
            assert again == values or repr(again) == repr(values)


@KINDS
def test_what_is_frozen_can_be_neither_set_nor_deleted(name: str) -> None:
    for one, other in zip(instances(OURS, name), instances(THEIRS, name), strict=True):
        for attribute in ("a", "only", "unheard_of"):
            assert outcome(setattr, one, attribute, 9) == outcome(setattr, other, attribute, 9)
            assert outcome(delattr, one, attribute) == outcome(delattr, other, attribute)


def outcome(act: Callable[..., None], *args: Any) -> type[BaseException] | None:
    """Return what kind of error came of it. AttributeError is FrozenInstanceError's own parent."""
    try:
        act(*args)
    except Exception as error:
        return AttributeError if isinstance(error, AttributeError | TypeError) else type(error)
    return None


def test_an_heir_that_is_no_dataclass_may_have_attributes_of_its_own() -> None:
    class Heir(OURS["Frozen"]):  # type: ignore[misc]
        pass

    heir = Heir(1)
    heir.mine = 2
    assert heir.mine == 2 and heir.doubled() == 2
    del heir.mine
    with pytest.raises(FrozenInstanceError, match="'a'"):
        heir.a = 2
    with pytest.raises(FrozenInstanceError, match="'a'"):
        del heir.a


def test_wrong_arguments_are_refused_in_the_same_words() -> None:
    for args, kwargs in (((), {}), ((1, 2, 3, 4, 5), {}), ((1,), {"d": 1})):
        said = []
        for made in (OURS["Frozen"], THEIRS["Frozen"]):
            with pytest.raises(TypeError) as refused:
                made(*args, **kwargs)
            said.append(str(refused.value).rpartition(".")[2])
        assert said[0] == said[1]


def test_one_that_holds_itself_is_shown_without_end() -> None:
    one = OURS["Open"](1)
    one.many.append(one)
    assert repr(one) == "OursOpen(a=1, many=[...])"


def test_who_inherits_from_a_frozen_one_is_frozen_too() -> None:
    with pytest.raises(TypeError, match="non-frozen"):

        @dataclasses.dataclass
        class Heir(OURS["Frozen"]):  # type: ignore[misc]
            pass


def test_every_class_of_ours_is_made_by_it() -> None:
    root = Path(actorlab.__file__).parent
    takes = re.compile(r"^\s*from dataclasses import .*\bdataclass\b|dataclasses\.dataclass\b", re.MULTILINE)
    takers = [path.relative_to(root) for path in root.rglob("*.py") if takes.search(path.read_text("utf-8"))]
    assert takers == [Path("lean_dataclass.py")]
