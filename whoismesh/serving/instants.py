"""Times as texts. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def instant(seconds: object) -> str:
    """Return seconds since 1970 as RFC 3339, or "" where they are none.

    >>> instant(1500000000.5)
    '2017-07-14T02:40:00Z'
    """
    if not isinstance(seconds, int | float) or not seconds:
        return ""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return ""
