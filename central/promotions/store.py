"""Bundles in PostgreSQL; a stored bundle never changes."""

from __future__ import annotations

from psycopg.rows import DictRow

from central.database.pool import Connection, row_of, rows_of, run
from central.feed import store as feed
from shared.errors import NotFoundError
from shared.sqlfile import load_queries
from shared.wire.feed import BundleEntry, Topic

_QUERIES = load_queries("central.promotions")


async def lock(connection: Connection) -> None:
    """Wait for the turn to publish."""
    await run(connection, _QUERIES["lock"])


async def latest_bundle(connection: Connection) -> DictRow | None:
    """The bundle in force, if anything was published."""
    return await row_of(connection, _QUERIES["latest"])


async def list_bundles(connection: Connection) -> list[DictRow]:
    """The newest hundred bundles without their bytes."""
    return await rows_of(connection, _QUERIES["list"])


async def get_bundle(connection: Connection, version: int) -> DictRow:
    """One bundle with its bytes and document.

    Raises:
        NotFoundError: this version was never published.
    """
    row = await row_of(connection, _QUERIES["get"], {"version": version})
    if row is None:
        raise NotFoundError(f"bundle version {version} was never published")
    return row


async def put_bundle(
    connection: Connection,
    entry: BundleEntry,
    *,
    programme: str,
    bundle: bytes,
    document: bytes,
    published_by: str,
) -> None:
    """Store a bundle and announce it to every shop."""
    await run(
        connection,
        _QUERIES["put"],
        {
            "version": entry.version,
            "programme": programme,
            "sha256": entry.sha256,
            "bytes": bundle,
            "document": document,
            "published_by": published_by,
        },
    )
    await feed.put(connection, feed.EVERY_STORE, Topic.BUNDLE, {"rules": entry})
