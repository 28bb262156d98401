"""Logging: structlog on stderr, for a person on a terminal and as JSON lines otherwise.

Events are past tense in snake_case; values go into fields. Nothing secret is ever a field.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

LEVELS = ("debug", "info", "warning", "error")


class _Stderr:
    """Standard error as it is at the moment; a line that cannot be written (a full disk, a closed pipe) is dropped."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.flush()


def configure(level: str = "info", **bound: Any) -> FilteringBoundLogger:
    """Set structlog up for this process and return its logger, with `bound` in every line."""
    import structlog  # only here: the commands that only read a dump need not wait for it

    rendering: list[Any]
    if sys.stderr.isatty():
        # Plain, because the default prints the local variables of every frame.
        plain = structlog.dev.plain_traceback
        rendering = [structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ, exception_formatter=plain)]
    else:
        rendering = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stderr())),
    )
    logger: FilteringBoundLogger = structlog.get_logger(**bound)
    return logger
