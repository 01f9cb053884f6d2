"""Names: what may be one, and how a namespace is put in front of it.

Pure; used by every backend and by the client. A name is 1 to 200 bytes of UTF-8 without control characters. A name
in a namespace other than `default` travels as `namespace U+001F name`; since neither half may hold a control
character, two different pairs never meet in one string.
"""

from __future__ import annotations

from ..errors import InvalidName
from ..lean_dataclass import dataclass

MAX_NAME_BYTES = 200
DEFAULT_NAMESPACE = "default"
SEPARATOR = "\x1f"

_CONTROL = frozenset(chr(code) for code in (*range(32), 127))


@dataclass(frozen=True, slots=True)
class Via:
    """A name in a namespace. Nothing but a name: it is looked up each time it is used."""

    name: str
    namespace: str = DEFAULT_NAMESPACE

    @property
    def key(self) -> str:
        """The one string that backends know it by.

        >>> via("till").key, via("till", "shop").key
        ('till', 'shop\\x1ftill')
        """
        return self.name if self.namespace == DEFAULT_NAMESPACE else self.namespace + SEPARATOR + self.name

    def __str__(self) -> str:
        return self.name if self.namespace == DEFAULT_NAMESPACE else f"{self.namespace}:{self.name}"


def via(name: str, namespace: str = DEFAULT_NAMESPACE) -> Via:
    """Return `name` in `namespace`. Raises InvalidName.

    >>> str(via("till", namespace="shop"))
    'shop:till'
    """
    for half, what in ((name, "name"), (namespace, "namespace")):
        _check_text(half, what)
    made = Via(name, namespace)
    key_bytes(made.key)
    return made


def split(key: str) -> Via:
    """Return the name and namespace that `key` stands for.

    >>> split("till"), split(via("till", "shop").key)
    (Via(name='till', namespace='default'), Via(name='till', namespace='shop'))
    """
    namespace, separator, name = key.partition(SEPARATOR)
    return Via(name, namespace) if separator else Via(key)


def key_bytes(key: str) -> bytes:
    """Return a name's UTF-8 bytes, or raise InvalidName.

    >>> key_bytes("café")
    b'caf\\xc3\\xa9'
    """
    if not isinstance(key, str):
        raise InvalidName(repr(key), f"a name is a string, not {type(key).__name__}")
    namespace, separator, name = key.partition(SEPARATOR)
    if separator:
        _check_text(namespace, "namespace")
        _check_text(name, "name")
        if namespace == DEFAULT_NAMESPACE:
            raise InvalidName(key, "a name in the default namespace is written without it")
    else:
        _check_text(key, "name")
    encoded = key.encode()
    if len(encoded) > MAX_NAME_BYTES:
        raise InvalidName(key[:40] + "…", f"it has {len(encoded)} bytes in UTF-8, the limit is {MAX_NAME_BYTES}")
    return encoded


def _check_text(text: str, what: str) -> None:
    if not isinstance(text, str):
        raise InvalidName(repr(text), f"a {what} is a string, not {type(text).__name__}")
    if not text:
        raise InvalidName(text, f"a {what} has at least one character")
    if not _CONTROL.isdisjoint(text):
        raise InvalidName(text, f"a {what} has no control characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidName(ascii(text), f"a {what} is text that UTF-8 can hold") from None
