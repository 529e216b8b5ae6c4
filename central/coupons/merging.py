"""A customer was merged into another: what coupons they had are the other's."""

from __future__ import annotations

from central.accounts.books import Purse
from central.accounts.service import recall
from central.coupons import store
from central.database.pool import Connection
from shared.wire.assets import AssetKind, asset_of


async def merge_customers(connection: Connection, alias: str, owner: str, *, now_ms: int) -> int:
    """Give one customer's coupons to another, after ``accounts.merge_customers``; how many.

    Shops know the leases under the old name, under which nobody shows the codes any more: they are
    asked back and lent again under the new one.
    """
    coupons = await store.give_to(connection, alias, owner)
    for coupon in coupons:
        purse = Purse(owner, asset_of(AssetKind.COUPON, coupon.code))
        await recall(connection, purse, now_ms=now_ms)
    return len(coupons)
