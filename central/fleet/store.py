"""Stores, tokens, agents and their stream heads in PostgreSQL."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from central.database.pool import Connection, row_of, rows_of, run
from central.feed import store as feed
from shared.sqlfile import load_queries
from shared.wire.enrol import EdgeKind, HelloRequest, LaneHead
from shared.wire.feed import StoreEntry, Topic
from shared.wire.lan import PeerEntry
from shared.wire.stream import Lane

ONLINE_S: Final = 90
"""An agent that was heard within this many seconds counts as online."""
_QUERIES = load_queries("central.fleet")


def secret_sha256(secret: str) -> bytes:
    """How tokens and credentials are kept: they are random and long, so a plain hash will do."""
    return hashlib.sha256(secret.encode("utf-8")).digest()


async def put_store(connection: Connection, entry: StoreEntry) -> None:
    """Add or change a store and tell its agents."""
    await run(connection, _QUERIES["put_store"], msgspec.structs.asdict(entry))
    await feed.put(connection, entry.store_id, Topic.STORE, {entry.store_id: entry})


async def store_known(connection: Connection, store_id: str) -> bool:
    """Whether a store exists."""
    return await row_of(connection, _QUERIES["store_known"], {"store_id": store_id}) is not None


async def put_token(
    connection: Connection, token: str, *, store_id: str, kind: str, valid_s: int
) -> None:
    """Keep the hash of a one-time token."""
    await run(
        connection,
        _QUERIES["put_token"],
        {
            "token_sha256": secret_sha256(token),
            "store_id": store_id,
            "kind": kind,
            "valid_s": valid_s,
        },
    )


async def lock_token(connection: Connection, token: str) -> DictRow | None:
    """The token's row (store_id, kind, expired, used), locked until the transaction ends."""
    return await row_of(connection, _QUERIES["token"], {"token_sha256": secret_sha256(token)})


async def mark_token_reused(connection: Connection, token: str) -> None:
    """Remember that a spent token was tried."""
    await run(connection, _QUERIES["mark_token_reused"], {"token_sha256": secret_sha256(token)})


async def next_edge_id(connection: Connection) -> int:
    """A number no agent has had."""
    row = await row_of(connection, _QUERIES["next_edge_id"])
    assert row is not None, "a sequence always answers"
    return int(row["edge_id"])


async def put_edge(connection: Connection, token: str, values: dict[str, Any]) -> None:
    """Add an agent and spend its token."""
    await run(connection, _QUERIES["put_edge"], values)
    await run(
        connection,
        _QUERIES["mark_token_used"],
        {"edge_id": values["edge_id"], "token_sha256": secret_sha256(token)},
    )


async def announce_peers(connection: Connection, store_id: str) -> None:
    """Tell the agents of a store about each other; call it whenever one of them changes."""
    rows = await rows_of(connection, _QUERIES["peers"], {"store_id": store_id})
    await feed.put(
        connection,
        store_id,
        Topic.PEER,
        {
            str(row["edge_id"]): PeerEntry(
                edge_id=row["edge_id"],
                kind=EdgeKind(row["kind"]),
                device_public_key=bytes(row["device_public_key"]),
                state=row["state"],
            )
            for row in rows
        },
    )


async def may_carry(connection: Connection, hub_id: int, till_id: int) -> bool:
    """Whether this hub may bring that till's records: both are in service in one store."""
    parameters = {"hub_id": hub_id, "till_id": till_id}
    return await row_of(connection, _QUERIES["may_carry"], parameters) is not None


async def put_head(connection: Connection, values: dict[str, Any]) -> None:
    """Begin a stream."""
    await run(connection, _QUERIES["put_head"], values)


async def find_edge(connection: Connection, edge_id: int) -> DictRow | None:
    """An agent by its number."""
    return await row_of(connection, _QUERIES["edge"], {"edge_id": edge_id})


async def touch(
    connection: Connection, edge_id: int, hello: HelloRequest, *, heard_at_ms: int | None = None
) -> None:
    """Keep what an agent said of itself; ``heard_at_ms``: when, if not now."""
    await run(
        connection,
        _QUERIES["touch"],
        {
            "edge_id": edge_id,
            "heard_at_ms": heard_at_ms,
            "agent_version": hello.agent_version,
            "bundle_version": hello.bundle_version,
            "bundle_error": hello.bundle_error,
            "queue_depth": hello.queue_depth,
            "oldest_queued_at_ms": hello.oldest_queued_at_ms,
            "started_at_ms": hello.started_at_ms,
            "components": Jsonb(msgspec.to_builtins(hello.components)),
        },
    )


async def heads(connection: Connection, edge_id: int) -> list[LaneHead]:
    """Central's heads of an agent's streams."""
    return [
        LaneHead(lane=Lane(row["lane"]), epoch=row["epoch"], seq=row["seq"], hash=row["hash"])
        for row in await rows_of(connection, _QUERIES["heads"], {"edge_id": edge_id})
    ]


async def list_edges(connection: Connection) -> list[DictRow]:
    """Every agent: its store, what it last said, and whether it was heard of lately."""
    return await rows_of(connection, _QUERIES["list_edges"], {"online_s": ONLINE_S})
