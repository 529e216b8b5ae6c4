"""The agents of this store in SQLite, as central tells them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import apsw
import msgspec

from shared.sqlfile import load_queries
from shared.wire.enrol import EdgeKind
from shared.wire.lan import PeerEntry

_QUERIES: Final = load_queries("edge_agent.lan")
_PEER: Final = msgspec.msgpack.Decoder(PeerEntry)


def put_peers(connection: apsw.Connection, rows: Sequence[tuple[str, bytes]]) -> None:
    """Keep what central says of agents, each by its key and as the bytes it came in."""
    connection.executemany(
        _QUERIES["put_peer"], [{"edge_id": int(key), "entry": entry} for key, entry in rows]
    )


def forget_peers(connection: apsw.Connection, keys: Sequence[str]) -> None:
    """They are no agents of this store any more."""
    connection.executemany(_QUERIES["forget_peer"], [{"edge_id": int(key)} for key in keys])


def peer_entries(connection: apsw.Connection, keys: Sequence[str]) -> dict[str, bytes]:
    """The bytes that are kept of these agents."""
    found = {key: connection.execute(_QUERIES["peer"], {"edge_id": int(key)}).get for key in keys}
    return {key: entry for key, entry in found.items() if isinstance(entry, bytes)}


def peer_of(connection: apsw.Connection, edge_id: int) -> PeerEntry | None:
    """What is known of an agent."""
    found = connection.execute(_QUERIES["peer"], {"edge_id": edge_id}).get
    return _PEER.decode(found) if isinstance(found, bytes) else None


def hub_of(connection: apsw.Connection) -> PeerEntry | None:
    """The hub of this store: of its active ones the one that was enrolled last."""
    rows: list[Any] = connection.execute(_QUERIES["peers"]).fetchall()
    for (entry,) in rows:
        peer = _PEER.decode(entry)
        if peer.kind is EdgeKind.HUB and peer.state == "active":
            return peer
    return None
