"""A customer's limit as a right that one shop holds at a time, for shops where it is strict.

Nobody is given rights beforehand: most customers never come near a limit. When a shop asks for the
first time in a period, the customer gets what the limit leaves, less what was counted by then, and
it is lent to that shop for the visit as points are.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Final

from central.accounts import lending, store, visiting
from central.accounts.books import AMOUNT_MAX, Purse, transfer_id_of
from central.accounts.lending import Holder
from central.accounts.needs import Needs
from central.accounts.visiting import Visit
from central.database.arrays import as_arrays
from central.database.pool import Connection, row_of, run
from shared.engine.program import Limits
from shared.errors import NotFoundError
from shared.sqlfile import load_queries
from shared.uses import last_day_of, limit_parts, measured, period_of

_QUERIES: Final = load_queries("central.limits")


async def put_in_force(connection: Connection, limits: Mapping[str, Limits]) -> None:
    """The limits of customers are those of the programme now in force."""
    rows = [
        (name, mine.per, measure.value, min(bound, AMOUNT_MAX))
        for name, each in sorted(limits.items())
        for mine in [each.per_customer]
        if mine is not None
        for measure, bound in measured(mine).items()
    ]
    await run(connection, _QUERIES["drop_customer_limits"])
    await run(
        connection,
        _QUERIES["put_customer_limits"],
        as_arrays(
            {
                "promotions": [name for name, _, _, _ in rows],
                "pers": [per for _, per, _, _ in rows],
                "measures": [measure for _, _, measure, _ in rows],
                "amounts": [bound for _, _, _, bound in rows],
            }
        ),
    )


async def first_visit(
    connection: Connection, holder: Holder, purse: Purse, amount: int, *, now_ms: int
) -> Visit | None:
    """Fund a limit that nobody has asked for yet, and lend it; None: it was funded before.

    Raises:
        NotFoundError: there is no such limit, or not in this period.
    """
    parts = limit_parts(purse.asset)
    today = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC).date()
    row = None
    if parts is not None:
        promotion, measure, period = parts
        asked = {"promotion": promotion, "measure": measure}
        row = await row_of(connection, _QUERIES["customer_limit"], asked)
    if row is None or parts is None or parts[2] not in _periods(row["per"], today):
        raise NotFoundError("there is no such limit now", code="unknown_limit")
    counted = await row_of(
        connection,
        _QUERIES["counted"],
        {"owner": purse.owner, "promotion": promotion, "measure": measure, "period": period},
    )
    assert counted is not None, "an aggregate always gives a row"
    owner = counted["owner"]
    cause = transfer_id_of("limit", owner, purse.asset)
    books = await store.load(connection, Needs(purses={Purse(owner, purse.asset)}, causes={cause}))
    left = row["amount"] - counted["amount"]
    if cause in books.transfer_ids or left <= 0:
        return None
    lending.fund(
        books,
        owner,
        purse.asset,
        left,
        cause=cause,
        expires_on=last_day_of(period),
        reason="limit.funded",
    )
    visit = visiting.lend_for_visit(books, holder, owner, purse.asset, amount, now_ms=now_ms)
    await store.save(connection, books, now_ms=now_ms)
    return visit


def _periods(per: str, today: dt.date) -> set[str]:
    """The periods that somewhere it is now."""
    days = [today + dt.timedelta(days=offset) for offset in (-1, 0, 1)]
    return {period_of(per, day.isoformat()) for day in days}
