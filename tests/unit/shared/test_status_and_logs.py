"""Component health and log lines."""

from __future__ import annotations

import errno
import io
import json

import structlog

from shared.logs import configure_logs, get_logger
from shared.status import Health, Status, worst


def test_the_whole_is_as_well_as_its_worst_part() -> None:
    """One broken part makes the whole broken; nothing at all is well."""
    parts = [Status(component=name, health=name) for name in Health]

    assert worst(parts) == Health.ERROR
    assert worst([]) == Health.OK


def test_private_values_never_reach_a_log_line() -> None:
    """Values under keys that may hold personal data or secrets are masked."""
    stream = io.StringIO()
    configure_logs(stream=stream)
    try:
        get_logger("test").info("customer.looked_up", phone="+79990000001", store_id="S1")
    finally:
        structlog.reset_defaults()

    line = json.loads(stream.getvalue())
    assert (line["phone"], line["store_id"], line["event"]) == ("***", "S1", "customer.looked_up")


def test_a_log_that_cannot_be_written_ends_no_work() -> None:
    """On a full disk a line is lost, and what it tells of goes on."""

    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(errno.ENOSPC, "full")

    configure_logs(stream=Full())
    try:
        get_logger("test").error("disk.full")
    finally:
        structlog.reset_defaults()
