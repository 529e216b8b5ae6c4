"""What the till API is asked, as structures: ``/openapi.json`` is generated from them.

They describe and are never decoded into: bodies are read by ``shared.wire.receipt_json`` and its
like, which find every fault at once. Tests hold the two together, key by key.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared import limits

Identifier = Annotated[str, Meta(min_length=1, max_length=limits.IDENTIFIER_CHARS_MAX)]
Text = Annotated[str, Meta(max_length=limits.IDENTIFIER_CHARS_MAX)]
Date = Annotated[str, Meta(examples=["2026-11-23"], extra_json_schema={"format": "date"})]
Time = Annotated[
    str,
    Meta(
        description="ISO 8601 with the shop's offset from UTC",
        examples=["2026-11-23T12:00:00+03:00"],
        extra_json_schema={"format": "date-time"},
    ),
]
MoneyIn = (
    Annotated[str, Meta(pattern=r"^[0-9]{1,10}(\.[0-9]{1,2})?$", examples=["89.90"])]
    | (Annotated[float, Meta(ge=0, lt=1e10)])
)
"""A decimal may be a number too; as text it cannot lose a digit on its way."""
PercentIn = (
    Annotated[str, Meta(pattern=r"^[0-9]{1,3}(\.[0-9]{1,4})?$", examples=["5"])]
    | (Annotated[float, Meta(ge=0, le=100)])
)
QuantityIn = (
    Annotated[str, Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,3})?$", examples=["2", "0.754"])]
    | Annotated[float, Meta(gt=0, lt=1e6)]
)
BalanceIn = (
    Annotated[str, Meta(pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,2})?$")]
    | (Annotated[float, Meta(gt=-1e12, lt=1e12)])
)
Whole = Annotated[int, Meta(ge=0)]
Money = Annotated[str, Meta(pattern=r"^-?\d+\.\d\d$", examples=["89.90"])]
Points = Annotated[str, Meta(pattern=r"^-?\d+\.\d\d$", examples=["150.00"])]
Quantity = Annotated[str, Meta(pattern=r"^-?\d+(\.\d{1,3})?$", examples=["2", "0.754"])]


class In(Struct, kw_only=True, forbid_unknown_fields=True):
    """A body: keys that nobody knows are refused, for a misspelt one would change a price."""


class SoftFloors(In):
    """Floors of a preliminary receipt."""

    min_price: MoneyIn | None = None
    max_discount: PercentIn | None = None


class Line(In):
    """One position; ``price`` is the shelf price of one unit."""

    line: Annotated[int, Meta(ge=1)]
    sku: Identifier
    qty: QuantityIn
    price: MoneyIn
    category: Text | None = None
    brand: Text | None = None
    attrs: dict[str, str | int | float | bool] | None = None
    flags: list[str] | None = None
    weighed: bool | None = None
    min_price: MoneyIn | None = None
    max_discount: PercentIn | None = None
    soft: SoftFloors | None = None
    prices: dict[str, MoneyIn] | None = None
    base_qty: QuantityIn | None = None


class CouponShown(In):
    """A coupon that the customer shows; without a state the shop looks it up."""

    code: Text | None = None
    series: Text | None = None
    state: Literal["valid", "used", "expired", "reserved", "unknown"] | None = None


class PaymentPlanned(In):
    """How the customer is going to pay."""

    type: Identifier
    bin: Text | None = None
    amount: MoneyIn | None = None


class SpendWanted(In):
    """Points that the customer wants to pay with: a number, or as many as may be."""

    account: Identifier
    points: Literal["max"] | MoneyIn


class ManualDiscount(In):
    """A discount that the cashier gives; without lines, on all of them."""

    percent: PercentIn
    lines: list[Whole] | None = None
    permission: Text | None = None


class ExternalDiscount(In):
    """What a partner's service takes off."""

    amount: MoneyIn | None = None


UsageTold = dict[str, MoneyIn]
"""By period (``day``), or with ``qty_`` and ``discount_`` before it."""


class CustomerTold(In):
    """Who buys: ``card`` or ``id`` is enough; what else the till knows wins over the shop.

    ``proof``: what ``identify`` gave for a code of the app.
    """

    card: Text | None = None
    proof: Text | None = None
    id: Text | None = None
    segments: list[str] | None = None
    level: Text | None = None
    card_category: Text | None = None
    gender: Text | None = None
    birthday: Date | None = None
    children: list[Date] | None = None
    registered: Date | None = None
    purchases: Whole | None = None
    last_purchase: Date | None = None
    spent: dict[str, MoneyIn] | None = None
    attributes: dict[str, str | int | float | bool] | None = None
    favourites: list[str] | None = None
    organisation: Text | None = None
    control: bool | None = None
    points: dict[str, BalanceIn] | None = None
    chips: dict[str, Whole] | None = None
    counters: dict[str, Whole] | None = None
    points_today: dict[str, MoneyIn] | None = None
    usage: dict[str, UsageTold] | None = None


class ReceiptTold(In):
    """The whole receipt as it stands, never a change of it."""

    time: Time
    lines: Annotated[list[Line], Meta(max_length=limits.RECEIPT_LINES_MAX)]
    receipt_id: Text | None = None
    store: Text | None = None
    register: Text | None = None
    channel: Literal["pos", "sco", "selfscan", "online"] | None = None
    online: bool | None = None
    customer: CustomerTold | None = None
    coupons: Annotated[list[CouponShown], Meta(max_length=limits.RECEIPT_COUPONS_MAX)] | None = None
    payments: list[PaymentPlanned] | None = None
    spend: SpendWanted | None = None
    chips: dict[str, Whole] | None = None
    manual: ManualDiscount | None = None
    external: dict[str, ExternalDiscount] | None = None
    claims: dict[str, Whole] | None = None
    usage: dict[str, UsageTold] | None = None


class SaleMade(In):
    """A receipt that is to be frozen or was sold; ``to_pay`` is what the till took."""

    receipt: ReceiptTold
    calculation_id: Identifier | None = None
    to_pay: MoneyIn | None = None


class ReturnedLine(In):
    """How much of a line comes back."""

    line: Annotated[int, Meta(ge=1)]
    qty: QuantityIn


ReturnedLines = (
    Annotated[list[ReturnedLine], Meta(min_length=1)]
    | (
        Annotated[
            dict[Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,9}$")], QuantityIn], Meta(min_length=1)
        ]
    )
)
"""Also an object from line number to quantity."""


class CashierTold(In):
    """Who stands at the till, and what they may do there."""

    id: Identifier
    rights: Annotated[list[str], Meta(max_length=50)] | None = None


class GoodsAsked(In):
    """Goods that are to come back without a receipt, as the lines of one."""

    goods: Annotated[list[Line], Meta(min_length=1, max_length=limits.RECEIPT_LINES_MAX)]
    cashier: CashierTold | None = None


class GoodsBack(In):
    """Goods that came back without a receipt; ``money`` is what the till gave."""

    goods: Annotated[list[Line], Meta(min_length=1, max_length=limits.RECEIPT_LINES_MAX)]
    time: Time
    cashier: CashierTold | None = None
    register: Text | None = None
    money: MoneyIn | None = None


class ReturnAsked(In, rename={"goods": "return"}):
    """Goods of a sale that are to come back; ``sale_store``: where it was made, if not here."""

    sale: Identifier
    goods: ReturnedLines
    sale_store: Identifier | None = None
    sale_register: Identifier | None = None


class ReturnMade(In, rename={"goods": "return"}):
    """Goods that came back; ``money`` is what the till gave."""

    sale: Identifier
    goods: ReturnedLines
    time: Time
    register: Text | None = None
    money: MoneyIn | None = None
    sale_store: Identifier | None = None
    sale_register: Identifier | None = None
