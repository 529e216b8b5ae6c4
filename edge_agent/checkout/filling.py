"""Complete a till's receipt with what this shop knows; what the till says itself wins. Pure.

The one choice that matters is points. An account shows its balance as central last told it, and
conditions read that. But the account that the receipt asks to spend from shows what may be spent
here without asking: the right of its leases, if that is less. So no till is told a price that the
leases cannot carry, and a programme that rewards a balance still works for a visitor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from edge_agent.checkout.notices import notices_of
from shared.crypto.tags import card_tag
from shared.wire.facts import Incident
from shared.wire.feed import CouponEntry, CustomerEntry, ProductEntry
from shared.wire.problem import Finding
from shared.wire.receipt import Coupon, Customer, Receipt, ReceiptLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the shop knows of the things one receipt names; coupons by code in upper case.

    ``spendable_centi``: by account, what this receipt may take of the customer's points.
    """

    products: Mapping[str, ProductEntry] = field(default_factory=dict)
    coupons: Mapping[str, CouponEntry] = field(default_factory=dict)
    customer: CustomerEntry | None = None
    balances_centi: Mapping[str, int] = field(default_factory=dict)
    spendable_centi: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A complete receipt, what about its customer did not fit, and what to tell the cashier."""

    receipt: Receipt
    incidents: tuple[Incident, ...]
    notices: tuple[Finding, ...] = ()


def fill_in(raw: Mapping[str, Any], receipt: Receipt, card: str | None, known: Known) -> Filled:
    """The receipt as it will be priced; ``raw`` is its JSON, which tells what the till said.

    A card nobody knows here, and a blocked member, make the sale anonymous: the sale goes on, and
    the incident names the card by its tag.
    """
    customer, incidents = _customer(raw, receipt, card, known)
    day = datetime.fromisoformat(receipt.time).date().isoformat()
    lines = [
        _line(line, said, known.products.get(line.sku))
        for line, said in zip(receipt.lines, raw["lines"], strict=True)
    ]
    coupons = [
        _coupon(coupon, said, known.coupons.get(coupon.code.upper()), day)
        for coupon, said in zip(receipt.coupons, raw.get("coupons") or (), strict=True)
    ]
    return Filled(
        receipt=replace(receipt, customer=customer, coupons=coupons, lines=lines),
        incidents=incidents,
        notices=notices_of(
            coupons,
            incidents,
            customer_unknown=customer is not None and known.customer is None,
        ),
    )


def _line(line: ReceiptLine, said: Mapping[str, Any], product: ProductEntry | None) -> ReceiptLine:
    if product is None:
        return line
    return replace(
        line,
        category=product.category if line.category is None else line.category,
        brand=product.brand if line.brand is None else line.brand,
        attributes={**product.attributes, **line.attributes},
        flags=product.flags if said.get("flags") is None else line.flags,
        weighed=product.weighed if said.get("weighed") is None else line.weighed,
        min_price_minor=(
            product.min_price_minor if line.min_price_minor is None else line.min_price_minor
        ),
        max_discount_ppm=(
            product.max_discount_ppm if line.max_discount_ppm is None else line.max_discount_ppm
        ),
    )


def _coupon(coupon: Coupon, said: Mapping[str, Any], entry: CouponEntry | None, day: str) -> Coupon:
    """A code that neither the till nor the shop knows is ``unknown``, as is one not yet valid."""
    series = coupon.series
    if series is None and entry is not None:
        series = entry.series
    state = coupon.state
    if said.get("state") is None:
        if entry is None:
            state = "unknown" if series is None else "valid"
        elif entry.valid_to_date is not None and day > entry.valid_to_date:
            state = "expired"
        elif entry.valid_from_date is not None and day < entry.valid_from_date:
            state = "unknown"
    return replace(coupon, series=series, state=state)


def _customer(
    raw: Mapping[str, Any], receipt: Receipt, card: str | None, known: Known
) -> tuple[Customer | None, tuple[Incident, ...]]:
    customer, entry = receipt.customer, known.customer
    if customer is None:
        return None, ()
    if entry is None:
        if card is not None and customer.id is None:
            return None, (Incident(code="unknown_card", detail=card_tag(card).hex()),)
        return customer, ()
    if entry.blocked:
        return None, (Incident(code="customer_blocked", detail=entry.customer_id),)
    said = raw["customer"]
    balances = {**known.balances_centi, **customer.points_centi}
    if receipt.spend is not None:
        account = receipt.spend.account
        right_centi = known.spendable_centi.get(account, 0)
        balances[account] = max(min(balances.get(account, right_centi), right_centi), 0)
    return replace(
        customer,
        id=entry.customer_id,
        segments=entry.segments if said.get("segments") is None else customer.segments,
        level=entry.level if customer.level is None else customer.level,
        card_category=(
            entry.card_category if customer.card_category is None else customer.card_category
        ),
        points_centi=balances,
    ), ()
