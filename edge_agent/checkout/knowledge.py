"""Look up in SQLite what the shop knows of the things one receipt names."""

from __future__ import annotations

from collections.abc import Mapping

import apsw

from edge_agent.catalogue.store import coupons_of, products_of
from edge_agent.checkout.filling import Known
from edge_agent.leases.payment import Promises
from edge_agent.leases.policy import Standing
from edge_agent.leases.store import spendable_of
from edge_agent.loyalty.store import balances_of, customer_by_card, customer_by_id
from shared.crypto.tags import card_tag
from shared.wire.assets import AssetKind, asset_parts
from shared.wire.feed import CustomerEntry
from shared.wire.receipt import Customer, Receipt


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
    return Known(
        products=products_of(connection, (line.sku for line in receipt.lines)),
        coupons=coupons_of(connection, (coupon.code for coupon in receipt.coupons)),
        customer=entry,
        balances_centi={} if entry is None else balances_of(connection, entry.customer_id),
        spendable_centi=(
            {}
            if entry is None
            else points_spendable(
                connection, entry.customer_id, standing, elsewhere, receipt.receipt_id
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
    promises = Promises(connection, receipt_id)
    found: dict[str, int] = {}
    for asset in {*here, *elsewhere}:
        kind, account = asset_parts(asset)
        key = (customer_id, asset)
        if kind == AssetKind.POINTS and not promises.doubtful(key):
            # The hub and this till's own part are never mixed for one receipt.
            found[account] = max(here.get(asset, 0), elsewhere.get(asset, 0)) + promises.amount(key)
    return found


def find_customer(
    connection: apsw.Connection, customer: Customer | None, card: str | None
) -> CustomerEntry | None:
    """The member of this id, or of this card."""
    if customer is not None and customer.id is not None:
        return customer_by_id(connection, customer.id)
    return None if card is None else customer_by_card(connection, card_tag(card))
