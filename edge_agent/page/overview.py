"""How the agent is: its parts, its queue, its devices and its programme, for whoever looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import apsw
import msgspec

from edge_agent.database.reader import Reader
from edge_agent.outbox.held import held_counts
from edge_agent.outbox.store import oldest_pending_at_ms, streams_of
from edge_agent.page.bundles import Bundles
from edge_agent.page.words import (
    COMPONENTS,
    HEALTHS,
    KINDS,
    LANES,
    NEEDS_HEAD_OFFICE,
    STATES,
    WAITS_FOR_LINE,
    by_part,
    verdict_of,
)
from edge_agent.tills.policy import Till
from shared.sqlfile import load_queries
from shared.status import Health
from shared.tongues import Tongue
from shared.wire.lan import PeerEntry

PROMOTIONS_SHOWN_MAX: Final = 500
_PORT: Final = "port_"
"""How the parts that are serial ports are called."""
_QUERIES: Final = load_queries("edge_agent.page")
_PEER: Final = msgspec.msgpack.Decoder(PeerEntry)
Ago = Callable[[int | None], str]


class Overview:
    """What the first pages show. ``tills``: who has a token of its own now."""

    def __init__(
        self, reader: Reader, bundles: Bundles, tills: Callable[[], Sequence[Till]]
    ) -> None:
        self._reader = reader
        self._bundles = bundles
        self._tills = tills

    async def state(self, status: Mapping[str, Any], tongue: Tongue, ago: Ago) -> dict[str, Any]:
        """The first page, of what GET /v1/status answers."""

        def read(reader: apsw.Connection) -> tuple[Any, dict[int, tuple[int, int | None]], Any]:
            counts: Any = reader.execute(_QUERIES["counts"]).fetchone()
            relayed: Any = reader.execute(_QUERIES["relayed"]).fetchone()
            return counts, _queue(reader), relayed

        (products, customers), queue, (batches, till_count) = await self._reader.run(read)
        health, verdict = verdict_of(status["components"], online=status["link"]["online"])
        return {
            "status": status,
            "health": health.value,
            "verdict": verdict,
            "contact": ago(status["link"]["last_contact_at_ms"]),
            "oldest": ago(status["oldest_queued_at_ms"]),
            "running": tongue.span(max(status["now_ms"] - status["started_at_ms"], 0) // 1000),
            "products": products,
            "customers": customers,
            "components": [
                _part(each, ago) | _waits_for_line(each, online=status["link"]["online"])
                for each in by_part(status["components"])
                if not each["component"].startswith(_PORT)
            ],
            "queue": [
                {"name": LANES[lane], "count": count, "oldest": ago(oldest)}
                for lane, (count, oldest) in sorted(queue.items())
            ],
            "relayed": {"batches": batches, "tills": till_count},
        }

    async def devices(self, status: Mapping[str, Any], ago: Ago) -> dict[str, Any]:
        """Other agents of the shop, ports of this one, and tills with tokens."""

        def read(reader: apsw.Connection) -> list[PeerEntry]:
            peers: list[Any] = reader.execute(_QUERIES["peers"]).fetchall()
            return [_PEER.decode(entry) for (entry,) in peers]

        peers = await self._reader.run(read)
        return {
            "peers": [
                {
                    "edge_id": peer.edge_id,
                    "kind": KINDS.get(peer.kind, peer.kind),
                    "state": STATES.get(peer.state, peer.state),
                    "is_self": peer.edge_id == status["edge_id"],
                }
                for peer in peers
            ],
            "ports": [
                _part(each, ago) | {"name": each["component"].removeprefix(_PORT)}
                for each in by_part(status["components"])
                if each["component"].startswith(_PORT)
            ],
            "tills": [
                {
                    "name": till.name,
                    "made": ago(till.made_at_ms),
                    "revoked": till.revoked_at_ms is not None,
                }
                for till in self._tills()
            ],
        }

    def programme(self) -> dict[str, Any]:
        """The programme in force: its groups with their promotions."""
        active, previous = self._bundles.active, self._bundles.previous
        groups: list[dict[str, Any]] = []
        left = PROMOTIONS_SHOWN_MAX
        total = 0
        for group in [] if active is None else active.program.groups:
            total += len(group.promotions)
            shown = group.promotions[: max(left, 0)]
            left -= len(shown)
            if shown:
                groups.append({"id": group.id, "promotions": shown})
        return {
            "version": None if active is None else active.header.version,
            "previous": None if previous is None else previous.header.version,
            "groups": groups,
            "total": total,
            "hidden": total - sum(len(each["promotions"]) for each in groups),
        }


def _part(each: Mapping[str, Any], ago: Ago) -> dict[str, Any]:
    return {
        "name": COMPONENTS.get(each["component"], each["component"]),
        "health": each["health"],
        "word": HEALTHS[Health(each["health"])],
        "message": each["message"],
        "success": ago(each["last_success_at_ms"]),
    }


def _waits_for_line(each: Mapping[str, Any], *, online: bool) -> dict[str, Any]:
    """A part that fails for want of the line alone is not broken."""
    failed = each["health"] == Health.ERROR
    if online or not failed or each["component"] not in NEEDS_HEAD_OFFICE:
        return {}
    return {"health": Health.WARN.value, "word": WAITS_FOR_LINE}


def _queue(reader: apsw.Connection) -> dict[int, tuple[int, int | None]]:
    """By lane: how many records wait for central, and since when the oldest does."""
    found: dict[int, tuple[int, int | None]] = dict.fromkeys(LANES, (0, None))
    for head in streams_of(reader):
        _add(found, head.lane, head.seq - head.acked_seq, oldest_pending_at_ms(reader, head))
    for lane, (count, oldest) in held_counts(reader).items():
        _add(found, lane, count, oldest)
    return found


def _add(
    found: dict[int, tuple[int, int | None]], lane: int, count: int, oldest: int | None
) -> None:
    before, since = found[lane]
    times = [at_ms for at_ms in (since, oldest) if at_ms is not None]
    found[lane] = before + count, min(times, default=None)
