"""Checks of single fields as they come from a peer: the kind, the size, the range. Each returns the value or raises.

A check takes what msgpack unpacked and returns what the message holds. It raises MessageError and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from whoismesh.addresses import Range
from whoismesh.errors import AddressError, MessageError
from whoismesh.packing import MAX_ITEMS
from whoismesh.registries import ORIGINS_BUDGET, REGISTRIES

CRAWL_ID_BYTES = 16
MAX_TEXT = 1_000
#: One result: a network record is under 1 kB; the rest is room for odd names.
MAX_PAYLOAD_BYTES = 64 * 1024
MAX_COUNT = 2**53
#: A public key as text (https://rfc.zeromq.org/spec/32).
KEY_CHARACTERS = 40
Z85 = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#")

Check = Callable[[Any], Any]

#: The family of an address by its length in bytes.
_FAMILY = {4: 4, 16: 6}
#: Together they read a range in half the time of Range.from_bytes, which says what is wrong with one.
_new, _integer = tuple.__new__, int.from_bytes


def wrong(expected: str, value: object) -> MessageError:
    """Return the error for a value that is not what was expected."""
    if isinstance(value, (list, dict)):
        # Not shown: what a peer nests a thousand deep exhausts the stack, and a long one takes its time.
        return MessageError(f"expected {expected}, got a {type(value).__name__} of {len(value)}")
    return MessageError(f"expected {expected}, got {repr(value)[:60]}")


def count(value: Any) -> int:
    """Check a whole number of 0 to MAX_COUNT."""
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise wrong("a count", value)
    return value


def number(value: Any) -> float:
    """Check a number of 0 to MAX_COUNT, whole or not."""
    if type(value) not in (int, float) or not 0 <= value <= MAX_COUNT:  # NaN is not, either
        raise wrong(f"a number of 0 to {MAX_COUNT}", value)
    return float(value)


def public_key(value: Any) -> str:
    """Check a public key in Z85, 40 characters, or nothing."""
    if type(value) is not str or not (value == "" or (len(value) == KEY_CHARACTERS and Z85.issuperset(value))):
        raise wrong(f"a key of {KEY_CHARACTERS} characters (Z85), or none", value)
    return value


def flag(value: Any) -> bool:
    """Check a truth value."""
    if type(value) is not bool:
        raise wrong("true or false", value)
    return value


def text(value: Any) -> str:
    """Check a text of at most MAX_TEXT characters."""
    if type(value) is not str or len(value) > MAX_TEXT:
        raise wrong(f"a text of at most {MAX_TEXT} characters", value)
    return value


def crawl_id(value: Any) -> bytes:
    """Check the id of a crawl; empty before it is known."""
    if type(value) is not bytes or len(value) not in (0, CRAWL_ID_BYTES):
        raise wrong(f"a crawl id of {CRAWL_ID_BYTES} bytes", value)
    return value


def payload(value: Any) -> bytes:
    """Check opaque bytes, at most MAX_PAYLOAD_BYTES."""
    if type(value) is not bytes or len(value) > MAX_PAYLOAD_BYTES:
        raise wrong(f"at most {MAX_PAYLOAD_BYTES} bytes", value)
    return value


def registry(value: Any) -> str:
    """Check the name of a registry."""
    if value not in REGISTRIES:
        raise wrong("a registry", value)
    return str(value)


def asked(value: Any) -> str:
    """Check the name of who is asked within a budget: a registry, or "origins"."""
    return str(value) if value == ORIGINS_BUDGET else registry(value)


def address_range(value: Any) -> Range:
    """Check two addresses of one family as byte strings, first not above last."""
    if type(value) is not list or len(value) != 2 or type(value[0]) is not bytes or type(value[1]) is not bytes:
        raise wrong("a range as two byte strings", value)
    first, last = value
    family = _FAMILY.get(len(first))
    if family is None or len(last) != len(first) or first > last:
        try:
            return Range.from_bytes(first, last)
        except AddressError as error:
            raise MessageError(str(error)) from None
    return _new(Range, (family, _integer(first), _integer(last)))


def maybe(check: Check) -> Check:
    """Return a check that lets nil pass."""
    return lambda value: None if value is None else check(value)


def list_of(check: Check, most: int = MAX_ITEMS) -> Check:
    """Return a check of a list whose items pass `check`; the message holds a tuple."""

    def checked(value: Any) -> tuple[Any, ...]:
        if type(value) is not list or len(value) > most:
            raise wrong(f"a list of at most {most}", value)
        return tuple(check(item) for item in value)

    return checked


def map_of(check_key: Check, check: Check, most: int = 1_000) -> Check:
    """Return a check of a map whose keys and values pass."""

    def checked(value: Any) -> dict[Any, Any]:
        if type(value) is not dict or len(value) > most:
            raise wrong(f"a map of at most {most}", value)
        return {check_key(key): check(item) for key, item in value.items()}

    return checked


Built = TypeVar("Built")


def record(cls: Callable[..., Built], *checks: Check) -> Callable[[Any], Built]:
    """Return a check of a list of exactly these fields, built into `cls`."""

    def checked(value: Any) -> Built:
        if type(value) is not list or len(value) != len(checks):
            raise wrong(f"{len(checks)} fields", value)
        return cls(*(check(item) for check, item in zip(checks, value, strict=True)))

    return checked
