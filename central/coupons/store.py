"""Keep coupon codes and tell the shops."""

from __future__ import annotations

import msgspec

from central.database.pool import Connection, run_many
from central.feed import store as feed
from shared.sqlfile import load_queries
from shared.wire.feed import CouponEntry, Topic

_QUERIES = load_queries("central.coupons")


async def put_coupons(connection: Connection, coupons: list[CouponEntry]) -> None:
    """Store codes (upper case) and announce them to every shop."""
    await run_many(
        connection, _QUERIES["put"], [msgspec.structs.asdict(coupon) for coupon in coupons]
    )
    await feed.put(
        connection, feed.EVERY_STORE, Topic.COUPON, {coupon.code: coupon for coupon in coupons}
    )
