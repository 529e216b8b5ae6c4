"""Look up in SQLite what the shop knows of the things one receipt names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import apsw

from edge_agent.catalogue.store import coupons_of, products_of, store_of
from edge_agent.checkout.filling import CouponRight, Known
from edge_agent.leases.payment import Promises
from edge_agent.leases.policy import Standing, spendable
from edge_agent.leases.store import books_of, rights_of, spendable_of
from edge_agent.limits.policy import KnownUses, limit_assets, with_budgets
from edge_agent.limits.store import used_by
from edge_agent.loyalty.store import balances_of, customer_by_card, customer_by_id
from shared.crypto.tags import card_tag
from shared.engine.program import Limits
from shared.sqlfile import load_queries
from shared.uses import BUDGET_DISCOUNT, BUDGET_TIMES, Measure
from shared.wire.assets import AssetKind, asset_of, asset_parts
from shared.wire.feed import CouponEntry, CustomerEntry, UseEntry
from shared.wire.receipt import Customer, Receipt

_QUERIES: Final = load_queries("edge_agent.checkout")
_ASKED_SINGLY_MAX: Final = 3
"""Promotions whose rights are looked for at once; of more, those are found first that have any."""


def look_up(
    connection: apsw.Connection,
    receipt: Receipt,
    card: str | None,
    standing: Standing,
    elsewhere: Mapping[str, int],
) -> Known:
    """What is known of the receipt's goods, coupons and customer; the id counts before the card.

    ``elsewhere``: what the hub would set aside for this customer, by asset.
    """
    entry = find_customer(connection, receipt.customer, card)
    coupons = coupons_of(connection, (coupon.code for coupon in receipt.coupons))
    own = [] if entry is None else own_codes(coupons.values(), entry)
    return Known(
        products=products_of(connection, (line.sku for line in receipt.lines)),
        coupons=coupons,
        customer=entry,
        balances_centi={} if entry is None else balances_of(connection, entry.customer_id),
        spendable_centi=(
            {}
            if entry is None
            else points_spendable(
                connection, entry.customer_id, standing, elsewhere, receipt.receipt_id
            )
        ),
        coupon_rights=(
            {}
            if entry is None or not own
            else coupon_rights(
                connection, entry.customer_id, own, standing, elsewhere, receipt.receipt_id
            )
        ),
    )


def points_spendable(
    connection: apsw.Connection,
    customer_id: str,
    standing: Standing,
    elsewhere: Mapping[str, int],
    receipt_id: str = "",
) -> dict[str, int]:
    """The customer's points that a sale here may take now, by account, in hundredths.

    What is promised for the same receipt already counts as free for it. A receipt for which the
    hub may have set something aside, without this till knowing, takes nothing.
    """
    here = spendable_of(connection, customer_id, standing)
    assets = {*here, *elsewhere}
    if not assets:
        return {}
    promises = Promises(connection, receipt_id)
    found: dict[str, int] = {}
    for asset in assets:
        kind, account = asset_parts(asset)
        key = (customer_id, asset)
        if kind == AssetKind.POINTS and not promises.doubtful(key):
            # The hub and this till's own part are never mixed for one receipt.
            found[account] = max(here.get(asset, 0), elsewhere.get(asset, 0)) + promises.amount(key)
    return found


def own_codes(coupons: Iterable[CouponEntry], customer: CustomerEntry) -> list[str]:
    """Those of these codes that are the customer's own."""
    return [entry.code for entry in coupons if entry.customer_id == customer.customer_id]


def lacking_coupons(
    connection: apsw.Connection, receipt: Receipt, customer: CustomerEntry, standing: Standing
) -> tuple[str, ...]:
    """Rights (assets) to the customer's own coupons on this receipt that are not here, nor were."""
    coupons = coupons_of(connection, (coupon.code for coupon in receipt.coupons))
    codes = own_codes(coupons.values(), customer)
    if not codes:
        return ()
    owner, receipt_id = customer.customer_id, receipt.receipt_id
    rights = coupon_rights(connection, owner, codes, standing, {}, receipt_id)
    return tuple(
        asset_of(AssetKind.COUPON, code)
        for code, right in rights.items()
        if right is CouponRight.ELSEWHERE
    )


def coupon_rights(
    connection: apsw.Connection,
    customer_id: str,
    codes: Iterable[str],
    standing: Standing,
    elsewhere: Mapping[str, int],
    receipt_id: str,
) -> dict[str, CouponRight]:
    """Where the rights to the customer's own coupons are; as ``points_spendable``."""
    promises = Promises(connection, receipt_id)
    found: dict[str, CouponRight] = {}
    for code in codes:
        asset = asset_of(AssetKind.COUPON, code)
        key = (customer_id, asset)
        rights = rights_of(connection, customer_id, asset, standing)
        here = max(spendable(rights, standing), elsewhere.get(asset, 0)) + promises.amount(key)
        if here >= 1 and not promises.doubtful(key):
            found[code] = CouponRight.HERE
        elif any(book.spent_amount for book in books_of(connection, customer_id, asset)):
            found[code] = CouponRight.USED
        else:
            found[code] = CouponRight.ELSEWHERE
    return found


def look_up_uses(
    connection: apsw.Connection,
    receipt: Receipt,
    offered: Mapping[str, Limits],
    standing: Standing,
    elsewhere: Mapping[str, Mapping[str, int]],
    customers: Mapping[str, int],
    counted: Sequence[UseEntry] = (),
) -> KnownUses:
    """What is known of the use of limited promotions; ``receipt``: with its customer filled in.

    ``elsewhere``: what the hub would set aside of budgets, by promotion and asset; ``customers``:
    of the customer's rights, by asset. ``counted``: what other edges of the shop have counted.
    """
    customer = receipt.customer
    mine: dict[str, dict[Measure, int]] = {}
    counts = any(each.per_customer is not None for each in offered.values())
    strict = counts and limits_are_strict(connection, receipt.store)
    if counts and customer is not None and customer.id is not None:
        day = datetime.fromisoformat(receipt.time).date().isoformat()
        if strict:
            rights = _limit_rights(connection, receipt, offered, standing, customers)
            mine = {
                name: {
                    measure: max(bound - rights[asset], 0)
                    for measure, (asset, bound) in bounds.items()
                }
                for name, bounds in limit_assets(offered, day).items()
            }
        else:
            mine = used_by(connection, customer.id, offered, day, standing.edge_id, counted)
    budgets = with_budgets(offered)
    rights_to: dict[str, dict[str, int]] = {}
    if budgets:
        rights_to = _budgets_spendable(connection, budgets, standing, elsewhere, receipt.receipt_id)
    return KnownUses(mine=mine, rights=rights_to, strict=strict)


def limits_are_strict(connection: apsw.Connection, store_id: str) -> bool:
    """Whether a customer's limits hold in this store whatever line is cut."""
    store = store_of(connection, store_id)
    return store is not None and store.strict_limits


def unproven_points_max(connection: apsw.Connection, store_id: str) -> int | None:
    """Points of an account that a receipt may take at most without a proof, in hundredths."""
    store = store_of(connection, store_id)
    return None if store is None else store.unproven_points_max_centi


def lacking_limits(
    connection: apsw.Connection,
    receipt: Receipt,
    offered: Mapping[str, Limits],
    standing: Standing,
) -> tuple[str, ...]:
    """Rights (assets) to the customer's limits of which nothing is here."""
    rights = _limit_rights(connection, receipt, offered, standing, {})
    return tuple(asset for asset, right in rights.items() if right == 0)


def _limit_rights(
    connection: apsw.Connection,
    receipt: Receipt,
    offered: Mapping[str, Limits],
    standing: Standing,
    elsewhere: Mapping[str, int],
) -> dict[str, int]:
    """What this receipt may take of its customer's limits, by asset; as ``points_spendable``."""
    customer = receipt.customer
    assert customer is not None, "rights are somebody's"
    assert customer.id is not None, "of somebody who is known"
    day = datetime.fromisoformat(receipt.time).date().isoformat()
    here = spendable_of(connection, customer.id, standing)
    promises = Promises(connection, receipt.receipt_id)
    found: dict[str, int] = {}
    for its in limit_assets(offered, day).values():
        for asset, _ in its.values():
            key = (customer.id, asset)
            right = max(here.get(asset, 0), elsewhere.get(asset, 0)) + promises.amount(key)
            found[asset] = 0 if promises.doubtful(key) else right
    return found


def _budgets_spendable(
    connection: apsw.Connection,
    promotions: Sequence[str],
    standing: Standing,
    elsewhere: Mapping[str, Mapping[str, int]],
    receipt_id: str,
) -> dict[str, dict[str, int]]:
    """What this receipt may take of budgets, by promotion and asset; as ``points_spendable``."""
    held_here = set(promotions)
    if len(promotions) > _ASKED_SINGLY_MAX:
        rows: Any = connection.execute(
            _QUERIES["owners_with_rights"], {"owners": json.dumps(promotions)}
        )
        held_here = {owner for (owner,) in rows}
    promises = Promises(connection, receipt_id)
    found: dict[str, dict[str, int]] = {}
    for promotion in promotions:
        here = spendable_of(connection, promotion, standing) if promotion in held_here else {}
        there = elsewhere.get(promotion, {})
        found[promotion] = {
            asset: max(here.get(asset, 0), there.get(asset, 0)) + promises.amount(key)
            for asset in (BUDGET_TIMES, BUDGET_DISCOUNT)
            for key in [(promotion, asset)]
            if not promises.doubtful(key)
        }
    return found


def find_customer(
    connection: apsw.Connection, customer: Customer | None, card: str | None
) -> CustomerEntry | None:
    """The member of this id, or of this card."""
    if customer is not None and customer.id is not None:
        return customer_by_id(connection, customer.id)
    return None if card is None else customer_by_card(connection, card_tag(card))
