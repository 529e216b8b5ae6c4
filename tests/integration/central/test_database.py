"""The schema and its migrations on a real PostgreSQL."""

from __future__ import annotations

from importlib import resources

import psycopg

from central.database.embedded import EmbeddedPostgres
from central.database.migrate import migrate, migration_names
from central.database.pool import Pool

COLUMNS = b"""
select table_name, column_name, data_type, is_nullable, column_default
from information_schema.columns where table_schema = 'public' order by 1, 2
"""
INDEXES = b"select tablename, indexdef from pg_indexes where schemaname = 'public' order by 1, 2"


async def test_migrations_lead_to_the_schema(
    postgres_server: EmbeddedPostgres, database: str
) -> None:
    """schema.sql and all migrations in order give the same tables and indexes."""
    schema = resources.files("central.database").joinpath("schema.sql").read_bytes()
    address = postgres_server.conninfo("postgres")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("create database from_schema")
    try:
        with psycopg.connect(postgres_server.conninfo("from_schema")) as connection:
            connection.execute(schema)
            expected = [connection.execute(query).fetchall() for query in (COLUMNS, INDEXES)]
        with psycopg.connect(database) as connection:
            actual = [connection.execute(query).fetchall() for query in (COLUMNS, INDEXES)]
    finally:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("drop database from_schema with (force)")

    assert expected == actual


async def test_migrating_twice_changes_nothing(pool: Pool) -> None:
    """A migration is applied once."""
    async with pool.connection() as connection:
        assert await migrate(connection) == []

    assert migration_names()
