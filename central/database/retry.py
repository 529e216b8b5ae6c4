"""Do a transaction again when it lost a race: bounded, and only then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from psycopg import errors

from central.database.pool import Connection, Pool
from shared.errors import UnavailableError
from shared.logs import get_logger

ATTEMPTS_MAX: Final = 6
"""Each attempt begins after the winner has ended, so more than two in a row are rare."""
_LOG = get_logger(__name__)
_T = TypeVar("_T")


class LostRaceError(Exception):
    """Another transaction was there first; the whole transaction begins anew."""


async def in_transaction(pool: Pool, work: Callable[[Connection], Awaitable[_T]]) -> _T:
    """Do ``work`` in a transaction of its own, again after a deadlock or a lost race.

    ``work`` must change nothing but the database.

    Raises:
        UnavailableError: it lost ``ATTEMPTS_MAX`` times in a row.
    """
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            async with pool.connection() as connection:
                return await work(connection)
        except (errors.DeadlockDetected, errors.SerializationFailure, LostRaceError) as error:
            _LOG.warning("transaction.lost_race", attempt=attempt, reason=type(error).__name__)
    raise UnavailableError("the database is too busy with the same rows", retry_after_s=1)
