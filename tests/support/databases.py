"""Real PostgreSQL for tests: one server a session, one migrated template, one clone a test."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from central.database.embedded import EmbeddedPostgres
from central.database.migrate import migrate
from central.database.pool import Pool, open_pool

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """A server that forgets everything at the end of the session."""
    with tempfile.TemporaryDirectory(prefix="kpl") as folder:
        server = EmbeddedPostgres(Path(folder), durable=False)
        server.start()
        try:
            yield server
        finally:
            server.stop()
            server.wipe()


@pytest.fixture(scope="session")
def template_database(postgres_server: EmbeddedPostgres) -> str:
    """The name of a database with every migration applied."""
    import asyncio

    async def build() -> None:
        async with open_pool(postgres_server.conninfo()) as pool, pool.connection() as connection:
            await migrate(connection)

    asyncio.run(build())
    return "kopilka"


@pytest.fixture
def database(postgres_server: EmbeddedPostgres, template_database: str) -> Iterator[str]:
    """The address of a database of this test's own, migrated and empty."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres_server.conninfo("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name} template {template_database}".encode())
    yield postgres_server.conninfo(name)
    with psycopg.connect(postgres_server.conninfo("postgres"), autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)".encode())


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    """A pool over this test's own database."""
    async with open_pool(database, size_max=8) as opened:
        yield opened
