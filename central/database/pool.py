"""The pool of connections: every statement of central goes through one of these.

Rows come as dictionaries. A transaction is ``async with pool.connection() as connection``: it is
committed when the block ends and rolled back when it raises.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from shared.errors import UnavailableError

Connection = psycopg.AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]


@asynccontextmanager
async def open_pool(conninfo: str, *, size_max: int = 12) -> AsyncIterator[Pool]:
    """A pool of at most ``size_max`` connections, closed at the end.

    Raises:
        UnavailableError: PostgreSQL does not answer within ten seconds.
    """
    pool: Pool = AsyncConnectionPool(
        conninfo,
        connection_class=psycopg.AsyncConnection[DictRow],
        kwargs={"row_factory": dict_row},
        min_size=1,
        max_size=size_max,
        open=False,
    )
    try:
        await pool.open(wait=True, timeout=10)
    except psycopg.Error as error:
        await pool.close()
        raise UnavailableError(
            "the database does not answer", hint="Check that PostgreSQL runs."
        ) from error
    try:
        yield pool
    finally:
        await pool.close()


async def rows_of(
    connection: Connection, query: str, parameters: dict[str, Any] | None = None
) -> list[DictRow]:
    """Run one statement and give all its rows."""
    cursor = await connection.execute(query.encode(), parameters)
    return await cursor.fetchall()


async def row_of(
    connection: Connection, query: str, parameters: dict[str, Any] | None = None
) -> DictRow | None:
    """Run one statement and give its first row, if there is one."""
    cursor = await connection.execute(query.encode(), parameters)
    return await cursor.fetchone()


async def run(connection: Connection, query: str, parameters: dict[str, Any] | None = None) -> int:
    """Run one statement that gives no rows; how many rows it touched."""
    cursor = await connection.execute(query.encode(), parameters)
    return cursor.rowcount


async def run_many(connection: Connection, query: str, parameters: list[dict[str, Any]]) -> None:
    """Run one statement once for each set of parameters, in one round trip."""
    if parameters:
        await connection.cursor().executemany(query.encode(), parameters)
