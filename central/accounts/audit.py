"""The standing auditor: every minute what has moved, every night everything.

It keeps a copy of the balances of its own, made of transfers alone, and compares. One kopeck of
difference is an error in the log (``ledger.drift``) and a row that stays until a person clears it.
"""

from __future__ import annotations

from typing import Any, Final

from psycopg.rows import DictRow

from central.database.pool import Connection, row_of, rows_of, run
from shared.logs import get_logger
from shared.sqlfile import load_queries

SUMMED_ACCOUNTS_MAX: Final = 2_000_000
"""Up to so many accounts are added up every minute (about a second); beyond that every statement
that changes balances is, by the guard in the database, and the whole at night."""
_QUERIES: Final = load_queries("central.accounts", "audit.sql")
_LOG = get_logger(__name__)


async def count_on(connection: Connection) -> int:
    """One turn: compare what has moved since the last; how many differences are open."""
    if await row_of(connection, _QUERIES["audit_turn"]) is not None:
        await row_of(connection, _QUERIES["count_on"])
    size = await row_of(connection, _QUERIES["size"])
    if size is not None and size["accounts"] <= SUMMED_ACCOUNTS_MAX:
        await run(connection, _QUERIES["check_sums"])
    return await _alarm(connection)


async def check_all(connection: Connection) -> int:
    """Compare everything; how many differences are open."""
    for name in ("check_sums", "check_accounts", "check_leases", "mark_full"):
        await run(connection, _QUERIES[name])
    return await _alarm(connection)


async def open_drift(connection: Connection) -> list[DictRow]:
    """Differences (subject, expected, actual, found_at) that nobody has cleared, at most 100."""
    return await rows_of(connection, _QUERIES["open_drift"])


async def clear_drift(connection: Connection) -> int:
    """A person has looked into every difference; how many there were."""
    return await run(connection, _QUERIES["clear_drift"])


async def audit(connection: Connection) -> dict[str, Any]:
    """Compare everything; what was found, with the sums beside it."""
    await check_all(connection)
    row = await row_of(connection, _QUERIES["sums"])
    assert row is not None, "an aggregate always gives a row"
    return dict(row)


async def _alarm(connection: Connection) -> int:
    found = await open_drift(connection)
    for row in found:
        _LOG.error(
            "ledger.drift", subject=row["subject"], expected=row["expected"], actual=row["actual"]
        )
    return len(found)
