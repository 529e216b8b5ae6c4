"""Complete a till's receipt with what this shop knows; what the till says itself wins. Pure.

The one choice that matters is points. An account shows its balance as central last told it, and
conditions read that. But the account that the receipt asks to spend from shows what may be spent
here without asking: the right of its leases, if that is less. So no till is told a price that the
leases cannot carry, and a programme that rewards a balance still works for a visitor.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from edge_agent.checkout.notices import notices_of
from shared.coupons import VALID
from shared.crypto.tags import card_tag
from shared.wire.facts import Incident
from shared.wire.feed import CouponEntry, CustomerEntry, ProductEntry
from shared.wire.problem import Finding
from shared.wire.receipt import Coupon, Customer, Receipt, ReceiptLine


class CouponRight(enum.Enum):
    """Where the right to use a personal coupon is."""

    HERE = enum.auto()
    USED = enum.auto()
    """It was here, and is used up."""
    ELSEWHERE = enum.auto()
    """In another store, promised to another receipt, or used up where this shop did not see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the shop knows of the things one receipt names; coupons by code in upper case.

    ``spendable_centi``: by account, what this receipt may take of the customer's points.
    ``coupon_rights``: how it is with the rights to the customer's own coupons, by code.
    """

    products: Mapping[str, ProductEntry] = field(default_factory=dict)
    coupons: Mapping[str, CouponEntry] = field(default_factory=dict)
    customer: CustomerEntry | None = None
    balances_centi: Mapping[str, int] = field(default_factory=dict)
    spendable_centi: Mapping[str, int] = field(default_factory=dict)
    coupon_rights: Mapping[str, CouponRight] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A complete receipt, what about its customer did not fit, and what to tell the cashier.

    ``personal``: codes in it, in capitals, that work once and are its customer's own.
    """

    receipt: Receipt
    incidents: tuple[Incident, ...]
    notices: tuple[Finding, ...] = ()
    personal: tuple[str, ...] = ()


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
        _coupon(coupon, said, known, day)
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
        personal=tuple(
            code
            for code in dict.fromkeys(coupon.code.upper() for coupon in coupons)
            if code in known.coupons and known.coupons[code].customer_id is not None
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


def _coupon(coupon: Coupon, said: Mapping[str, Any], known: Known, day: str) -> Coupon:
    """A code that neither the till nor the shop knows is ``unknown``, as is one not yet valid.

    A till is not believed that a personal code is valid: whether its right is here, it cannot know.
    """
    entry = known.coupons.get(coupon.code.upper())
    personal = entry is not None and entry.customer_id is not None
    series = coupon.series
    if series is None and entry is not None:
        series = entry.series
    state = coupon.state
    if said.get("state") is None or (personal and state == VALID):
        if entry is None:
            state = "unknown" if series is None else "valid"
        elif entry.valid_to_date is not None and day > entry.valid_to_date:
            state = "expired"
        elif entry.valid_from_date is not None and day < entry.valid_from_date:
            state = "unknown"
        elif personal:
            state = _state_of_personal(entry, known)
    return replace(coupon, series=series, state=state)


def _state_of_personal(entry: CouponEntry, known: Known) -> str:
    """Somebody else's coupon is one that this customer does not have."""
    customer = known.customer
    if customer is None or customer.blocked or customer.customer_id != entry.customer_id:
        return "unknown"
    right = known.coupon_rights.get(entry.code, CouponRight.ELSEWHERE)
    return {CouponRight.HERE: VALID, CouponRight.USED: "used"}.get(right, "reserved")


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
