"""Structured logging: JSON lines, events as past-tense dotted names, never personal data."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger

_PRIVATE_KEYS = frozenset(
    {
        "phone",
        "email",
        "card",
        "name",
        "first_name",
        "last_name",
        "birthday",
        "token",
        "password",
        "secret",
    }
)


def _mask_private(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Mask values of keys that may hold personal data or secrets: the last net, not the first."""
    for key in event.keys() & _PRIVATE_KEYS:
        event[key] = "***"
    return event


class _Sink:
    """Where lines go. One that cannot be written is lost: no work may end for want of a log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def configure_logs(*, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every event as one JSON line to ``stream`` (standard error by default), for journald."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _mask_private,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(
            file=cast("TextIO", _Sink(stream or sys.stderr))
        ),
        cache_logger_on_first_use=True,
    )


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger that stamps its events with the module they come from."""
    logger: FilteringBoundLogger = structlog.get_logger(module=name)
    return logger
