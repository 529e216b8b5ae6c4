"""How the whole agent is, put together for tills, operators and the command ``status``."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from edge_agent.bundles.service import BundleService
from edge_agent.supervisor import Supervisor
from edge_agent.uplink.link import LinkState
from edge_agent.uplink.loops import Identity
from edge_agent.uplink.streams import Queue
from shared.clock import Clock
from shared.status import Health, Status, worst

_STATM: Final = Path("/proc/self/statm")


class StatusReport:
    """Asks every part of the agent."""

    def __init__(
        self,
        *,
        identity: Identity,
        store_id: str,
        bundles: BundleService,
        link: LinkState,
        supervisor: Supervisor,
        queue: Callable[[], Awaitable[Queue]],
        clock: Clock,
        more: Callable[[], list[Status]] = list,
    ) -> None:
        self._identity = identity
        self._store_id = store_id
        self._bundles = bundles
        self._link = link
        self._supervisor = supervisor
        self._queue = queue
        self._clock = clock
        self._more = more

    def statuses(self) -> list[Status]:
        """How each part is."""
        return [
            self._bundle_status(),
            self._link.status(),
            *self._more(),
            *self._supervisor.statuses(),
        ]

    async def collect(self) -> dict[str, Any]:
        """The answer of GET /v1/status."""
        queue = await self._queue()
        active, previous = self._bundles.active, self._bundles.previous
        statuses = self.statuses()
        return {
            "agent_version": self._identity.agent_version,
            "edge_id": self._identity.edge_id,
            "store_id": self._store_id,
            "started_at_ms": self._identity.started_at_ms,
            "now_ms": self._clock.now_ms(),
            "health": worst(statuses).value,
            "bundle_version": None if active is None else active.header.version,
            "bundle_version_previous": None if previous is None else previous.header.version,
            "bundle_error": self._bundles.last_error,
            "queue_depth": queue.depth,
            "oldest_queued_at_ms": queue.oldest_at_ms,
            "link": {
                "online": self._link.online,
                "last_contact_at_ms": self._link.last_contact_at_ms,
                "last_error": self._link.last_error,
            },
            "rss_bytes": _rss_bytes(),
            "components": [_to_json(status) for status in statuses],
        }

    def _bundle_status(self) -> Status:
        error = self._bundles.last_error
        if self._bundles.active is None:
            return Status(component="bundle", health=Health.NOT_READY, message=error or "")
        health = Health.OK if error is None else Health.WARN
        return Status(component="bundle", health=health, message=error or "")


def _rss_bytes() -> int | None:
    """Resident memory; None where the system does not tell."""
    try:
        return int(_STATM.read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, ValueError, IndexError):
        return None


def _to_json(status: Status) -> dict[str, Any]:
    return {
        "component": status.component,
        "health": status.health.value,
        "message": status.message,
        "last_attempt_at_ms": status.last_attempt_at_ms,
        "last_success_at_ms": status.last_success_at_ms,
    }
