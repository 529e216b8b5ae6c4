"""Keep coupon codes and tell the shops."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from central.database.arrays import as_arrays
from central.database.pool import Connection, row_of, rows_of, run, run_many
from central.database.retry import LostRaceError
from central.feed import store as feed
from shared.errors import InputError
from shared.sqlfile import load_queries
from shared.wire.feed import CouponEntry, Topic

PAST_KEPT_DAYS: Final = 45
FORGET_MAX: Final = 2_000
"""Codes in one transaction: a long one would hold back every reader of the feed."""
_QUERIES: Final = load_queries("central.coupons")


async def put_coupons(connection: Connection, coupons: list[CouponEntry]) -> None:
    """Store public codes (upper case) and announce them to every shop.

    Raises:
        InputError: ``personal_coupon``: one of them is a customer's own.
    """
    codes = as_arrays({"codes": [coupon.code for coupon in coupons]})
    personal = await row_of(connection, _QUERIES["personal_among"], codes)
    if personal is not None:
        raise InputError(
            f"the code {personal['code']} is a customer's own",
            code="personal_coupon",
            hint="Choose another code.",
        )
    await run_many(
        connection, _QUERIES["put"], [msgspec.structs.asdict(coupon) for coupon in coupons]
    )
    await _announce(connection, coupons)


async def known_coupons(connection: Connection, codes: Iterable[str]) -> dict[str, CouponEntry]:
    """What is known under these codes (upper case)."""
    rows = await rows_of(connection, _QUERIES["known"], as_arrays({"codes": list(codes)}))
    return {row["code"]: CouponEntry(**row) for row in rows}


async def add_personal(connection: Connection, coupons: Sequence[CouponEntry]) -> None:
    """Store new personal codes and announce them to every shop.

    Raises:
        LostRaceError: somebody has just stored one of them.
    """
    columns = {
        name: [getattr(coupon, name) for coupon in coupons]
        for name in CouponEntry.__struct_fields__
    }
    if await run(connection, _QUERIES["issue"], as_arrays(columns)) != len(coupons):
        raise LostRaceError("somebody has just stored one of these codes")
    await _announce(connection, coupons)


async def give_to(connection: Connection, alias: str, owner: str) -> list[CouponEntry]:
    """Give one customer's codes to another and announce them; which they are."""
    rows = await rows_of(connection, _QUERIES["give_to"], {"alias": alias, "owner": owner})
    coupons = [CouponEntry(**row) for row in sorted(rows, key=lambda row: str(row["code"]))]
    await _announce(connection, coupons)
    return coupons


async def issued_before(connection: Connection, causes: Iterable[bytes]) -> set[bytes]:
    """Which of these issues were made, though their codes may be forgotten by now."""
    rows = await rows_of(connection, _QUERIES["issued_before"], as_arrays({"ids": list(causes)}))
    return {bytes(row["transfer_id"]) for row in rows}


async def forget_past(connection: Connection, today: str) -> int:
    """Forget personal codes long past their last day (a bounded number); how many.

    Until then shops say that they have expired, after that they are unknown.
    """
    day = dt.date.fromisoformat(today) - dt.timedelta(days=PAST_KEPT_DAYS)
    rows = await rows_of(
        connection, _QUERIES["forget_past"], {"day": day.isoformat(), "limit": FORGET_MAX}
    )
    await feed.delete(
        connection, feed.EVERY_STORE, Topic.COUPON, [str(row["code"]) for row in rows]
    )
    return len(rows)


async def _announce(connection: Connection, coupons: Sequence[CouponEntry]) -> None:
    await feed.put(
        connection, feed.EVERY_STORE, Topic.COUPON, {coupon.code: coupon for coupon in coupons}
    )
