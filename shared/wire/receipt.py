"""A receipt as the engine reads it and as records carry it: integers only, decoded once.

Money is in minor units, quantities in thousandths, points in hundredths, rates in millionths. The
JSON form with decimal strings is read by ``shared.wire.receipt_json``. Fields are append-only.
"""

from __future__ import annotations

import msgspec


class Coupon(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A code the customer showed; only state ``valid`` counts; promotions name the series."""

    code: str
    series: str | None = None
    state: str = "valid"


class Payment(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A planned payment; ``bin`` are the first digits of a bank card."""

    type: str
    bin: str = ""
    amount_minor: int | None = None


class SpendRequest(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Points the customer wants to spend from an account; ``points_centi`` None means all."""

    account: str
    points_centi: int | None = None


class Manual(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The cashier's own discount; ``lines`` None means all lines."""

    percent_ppm: int
    lines: list[int] | None = None
    permission: str | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What has been used of one promotion, by period: times, pieces and money."""

    times: dict[str, int] = {}
    quantity_milli: dict[str, int] = {}
    discount_minor: dict[str, int] = {}


class Customer(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What is known of the customer at the moment of pricing; no field says who they are."""

    id: str | None = None
    segments: list[str] = []
    level: str | None = None
    card_category: str | None = None
    gender: str | None = None
    birthday: str | None = None
    children: list[str] = []
    registered: str | None = None
    purchases: int = 0
    last_purchase: str | None = None
    spent_minor: dict[str, int] = {}
    attributes: dict[str, str] = {}
    favourites: list[str] = []
    organisation: str | None = None
    control: bool = False
    points_centi: dict[str, int] = {}
    chips: dict[str, int] = {}
    counters: dict[str, int] = {}
    points_today_centi: dict[str, int] = {}
    usage: dict[str, Usage] = {}


class Soft(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Floors of a preliminary receipt."""

    min_price_minor: int | None = None
    max_discount_ppm: int | None = None


class ReceiptLine(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One position; ``price_minor`` is the shelf price of one unit."""

    line: int
    sku: str
    quantity_milli: int
    price_minor: int
    category: str | None = None
    brand: str | None = None
    attributes: dict[str, str] = {}
    flags: list[str] = []
    weighed: bool = False
    min_price_minor: int | None = None
    max_discount_ppm: int | None = None
    soft: Soft | None = None
    prices_minor: dict[str, int] = {}
    base_quantity_milli: int = 1000

    @property
    def countable(self) -> bool:
        """Whether the line is whole pieces, each of which may be treated by itself."""
        return not self.weighed and self.quantity_milli % 1000 == 0


class Receipt(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The goods and circumstances of one sale; ``time`` is ISO 8601 with the store's offset."""

    receipt_id: str
    store: str
    time: str
    lines: list[ReceiptLine]
    register: str = ""
    channel: str = "pos"
    online: bool = True
    customer: Customer | None = None
    coupons: list[Coupon] = []
    payments: list[Payment] = []
    spend: SpendRequest | None = None
    chips: dict[str, int] = {}
    manual: Manual | None = None
    external_minor: dict[str, int] = {}
    claims: dict[str, int] = {}
    usage: dict[str, Usage] = {}
