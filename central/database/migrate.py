"""Bring a database to the present schema: numbered files, forward only, each once, all or none."""

from __future__ import annotations

from importlib import resources

from central.database.pool import Connection, rows_of, run
from shared.sqlfile import load_queries

_QUERIES = load_queries("central.database")


def migration_names() -> list[str]:
    """Every migration's file name, in the order they apply."""
    folder = resources.files("central.database").joinpath("migrations")
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(".sql"))


async def migrate(connection: Connection) -> list[str]:
    """Apply what is missing, in the connection's transaction; the names applied."""
    await run(connection, _QUERIES["lock_migrations"])
    await run(connection, _QUERIES["create_journal"])
    known = {row["name"] for row in await rows_of(connection, _QUERIES["applied"])}
    missing = [name for name in migration_names() if name not in known]
    for name in missing:
        text = resources.files("central.database").joinpath("migrations", name).read_text("utf-8")
        await connection.execute(text.encode())
        await run(connection, _QUERIES["mark_applied"], {"name": name})
    return missing
