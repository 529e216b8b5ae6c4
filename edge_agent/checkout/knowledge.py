"""Look up in SQLite what the shop knows of the things one receipt names."""

from __future__ import annotations

import apsw

from edge_agent.catalogue.store import coupons_of, products_of
from edge_agent.checkout.filling import Known
from edge_agent.checkout.store import rights_of
from edge_agent.loyalty.store import balances_of, customer_by_card, customer_by_id
from shared.crypto.tags import card_tag
from shared.wire.feed import CustomerEntry
from shared.wire.receipt import Customer, Receipt


def look_up(connection: apsw.Connection, receipt: Receipt, card: str | None, now_ms: int) -> Known:
    """What is known of the receipt's goods, coupons and customer; the id counts before the card."""
    entry = find_customer(connection, receipt.customer, card)
    return Known(
        products=products_of(connection, (line.sku for line in receipt.lines)),
        coupons=coupons_of(connection, (coupon.code for coupon in receipt.coupons)),
        customer=entry,
        balances_centi={} if entry is None else balances_of(connection, entry.customer_id),
        rights=() if entry is None else tuple(rights_of(connection, entry.customer_id, now_ms)),
    )


def find_customer(
    connection: apsw.Connection, customer: Customer | None, card: str | None
) -> CustomerEntry | None:
    """The member of this id, or of this card."""
    if customer is not None and customer.id is not None:
        return customer_by_id(connection, customer.id)
    return None if card is None else customer_by_card(connection, card_tag(card))
