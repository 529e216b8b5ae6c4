"""The JSON of the till API as structures: what ``/openapi.json`` is generated from.

They describe and are never decoded into: bodies are read by ``shared.wire.receipt_json`` and its
like, which find every fault at once. Tests hold the two together, key by key.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

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
    """Who buys: ``card`` or ``id`` is enough; what else the till knows wins over the shop."""

    card: Text | None = None
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


class ReturnAsked(In, rename={"goods": "return"}):
    """Goods of a sale that are to come back."""

    sale: Identifier
    goods: ReturnedLines


class ReturnMade(In, rename={"goods": "return"}):
    """Goods that came back; ``money`` is what the till gave."""

    sale: Identifier
    goods: ReturnedLines
    time: Time
    register: Text | None = None
    money: MoneyIn | None = None


class AppliedHere(Struct, kw_only=True):
    """What a promotion took off a line, and from how many of its pieces."""

    promotion: str
    discount: Money
    qty: Quantity


class Pieces(Struct, kw_only=True):
    """Pieces of a line with the same sum to pay."""

    qty: Quantity
    to_pay: Money


class Sums(Struct, kw_only=True, rename={"list_": "list"}):
    """net = list − discount; to_pay = net − points_spent."""

    list_: Money
    discount: Money
    net: Money
    points_spent: Money
    to_pay: Money


class LinePriced(Sums, kw_only=True, rename={"list_": "list"}):
    """A line priced; every column adds up to the total."""

    line: int
    applied: list[AppliedHere]
    parts: list[Pieces]


class LinePointsEarned(Struct, kw_only=True):
    """What a line contributed to the points earned."""

    line: int
    points: Points


class PointsEarned(Struct, kw_only=True):
    """Points that a promotion gives, usable from ``active_on`` to ``expires_on``."""

    account: str
    promotion: str
    points: Points
    active_on: Date
    expires_on: Date | None
    lines: list[LinePointsEarned]


class PointsUsed(Struct, kw_only=True):
    """Points taken; ``promotion`` where a promotion's own cost took them."""

    account: str
    points: Points
    promotion: str | UnsetType = UNSET


class PointsUsable(Struct, kw_only=True):
    """The most points that this receipt could take."""

    account: str
    points: Points


class ChipsChanged(Struct, kw_only=True):
    """Chips that a promotion gives or takes."""

    account: str
    promotion: str
    earned: int
    spent: int


class CounterNow(Struct, kw_only=True):
    """A counter of the customer as it stands after the receipt."""

    id: str
    value: int


class CouponGiven(Struct, kw_only=True):
    """Coupons to hand out."""

    series: str
    count: int
    promotion: str
    valid_days: int | UnsetType = UNSET
    text: str | UnsetType = UNSET


class Message(Struct, kw_only=True):
    """A text for somebody at some moment of the sale."""

    promotion: str
    to: str
    at: str
    text: str
    qr: str | UnsetType = UNSET
    image: str | UnsetType = UNSET
    confirm: bool | UnsetType = UNSET


class Gift(Struct, kw_only=True):
    """What may be handed out beside the receipt; several articles are a choice."""

    promotion: str
    what: str | list[str]
    qty: str


class Service(Struct, kw_only=True):
    """An extra service; ``amount`` is what a donation would add."""

    promotion: str
    code: str
    text: str
    amount: Money | UnsetType = UNSET


class Hint(Struct, kw_only=True):
    """What goods a promotion still lacks; null gain is unknown."""

    promotion: str
    missing: dict[str, Any]
    gain: Money | None
    text: str | UnsetType = UNSET


class Reason(Struct, kw_only=True):
    """Why one result of a promotion did or did not act."""

    promotion: str
    result: int
    stage: str
    outcome: Literal["applied", "not_applied"]
    reason: str
    subject: str
    seen: str
    wanted: str
    discount: Money
    points: Points


class AnswerTold(Struct, kw_only=True):
    """The price and what gave it."""

    receipt_id: str
    programme: str
    version: int
    optimal: bool
    lines: list[LinePriced]
    total: Sums
    accrued: list[PointsEarned]
    spent: list[PointsUsed]
    spendable: list[PointsUsable]
    chips: list[ChipsChanged]
    counters: list[CounterNow]
    coupons: list[CouponGiven]
    messages: list[Message]
    gifts: list[Gift]
    services: list[Service]
    applied: list[str]
    hints: list[Hint]
    trace: list[Reason]


class Notice(Struct, kw_only=True):
    """What this shop does not know, and the sale goes on without."""

    code: str
    detail: str
    pointer: str | UnsetType = UNSET
    hint: str | UnsetType = UNSET
    found: str | UnsetType = UNSET
    expected: str | UnsetType = UNSET


class Calculated(AnswerTold, kw_only=True):
    """An answer with the name under which the agent remembers it."""

    calculation_id: str
    bundle_version: int
    receipt_hash: str
    notices: list[Notice]


class Frozen(AnswerTold, kw_only=True):
    """An answer whose points are set aside."""

    frozen: Literal[True]


class IncidentTold(Struct, kw_only=True):
    """Something about it that did not fit; it is recorded all the same."""

    code: str
    detail: str


class SaleRecorded(Struct, kw_only=True):
    """A sale as it was recorded."""

    receipt_id: str
    record_uid: str
    bundle_version: int
    answer: AnswerTold
    incidents: list[IncidentTold]


class SaleFound(SaleRecorded, kw_only=True):
    """A sale of this id."""

    state: Literal["committed"]


class Cancelled(Struct, kw_only=True):
    """A receipt that will not become a sale."""

    receipt_id: str
    state: Literal["cancelled"]


class RefundedLine(Struct, kw_only=True):
    """What goes back for a line; ``points_spent`` is the worth of points in money."""

    line: int
    qty: Quantity
    money: Money
    points_spent: Money


class PointsTakenBack(Struct, kw_only=True):
    """Points that the sale had given and the return takes."""

    account: str
    promotion: str
    points: Points
    active_on: Date | None
    expires_on: Date | None


class CouponTakenBack(Struct, kw_only=True):
    """Coupons that the sale handed out and that fall away."""

    series: str
    count: int
    promotion: str


class LineBack(Struct, kw_only=True):
    """How much of a line has come back in all."""

    line: int
    qty: Quantity


class RefundTold(Struct, kw_only=True):
    """What is due for goods that come back."""

    receipt_id: str
    full: bool
    lines: list[RefundedLine]
    money: Money
    points_spent: Money
    points_returned: list[PointsUsable]
    points_taken: list[PointsTakenBack]
    chips: list[ChipsChanged]
    coupons_restored: bool
    coupons_taken: list[CouponTakenBack]
    counters_taken: list[str]
    returned: list[LineBack]


class ReturnRecorded(Struct, kw_only=True):
    """A return as it was recorded."""

    return_id: str
    record_uid: str
    sale: str
    refund: RefundTold
    incidents: list[IncidentTold]


class Member(Struct, kw_only=True):
    """A member as this shop may know them: no name, no phone, no birthday."""

    id: str
    segments: list[str]
    level: str | None
    card_category: str | None
    blocked: bool
    points: dict[str, Points]
    spendable: dict[str, Points]


class Preview(Struct, kw_only=True, rename={"list_": "list"}):
    """What an article costs by itself, for anybody and with a card."""

    sku: str
    list_: Money
    to_pay: Money
    to_pay_with_card: Money
    applied: list[str]
    applied_with_card: list[str]
    hints: list[Hint]


class CouponNow(Struct, kw_only=True):
    """Whether a code would count now."""

    code: str
    state: Literal["valid", "used", "expired", "reserved", "unknown"]


class DayTotals(Struct, kw_only=True, rename={"list_": "list"}):
    """A shop day at one register, or at all; ``net`` is to_pay less returned."""

    date: Date
    register: str | None
    sales: int
    list_: Money
    discount: Money
    points_spent: Money
    to_pay: Money
    points_earned: Points
    returns: int
    returned: Money
    net: Money
    incidents: int


class Alive(Struct, kw_only=True):
    """The agent answers."""

    alive: Literal[True]


class LinkNow(Struct, kw_only=True):
    """Whether central was reached lately."""

    online: bool
    last_contact_at_ms: int | None
    last_error: str | None


class ComponentNow(Struct, kw_only=True):
    """How one part of the agent is."""

    component: str
    health: Literal["ok", "warn", "not_ready", "error"]
    message: str
    last_attempt_at_ms: int | None
    last_success_at_ms: int | None


class StatusNow(Struct, kw_only=True):
    """How the agent is; ``health`` is that of its worst part."""

    agent_version: str
    edge_id: int
    store_id: str
    started_at_ms: int
    now_ms: int
    health: Literal["ok", "warn", "not_ready", "error"]
    bundle_version: int | None
    bundle_version_previous: int | None
    bundle_error: str | None
    queue_depth: int
    oldest_queued_at_ms: int | None
    link: LinkNow
    rss_bytes: int | None
    components: list[ComponentNow]


class Refused(Struct, kw_only=True):
    """RFC 9457 with a stable ``code``, the place at fault, and what to try."""

    status: int
    code: str
    title: str
    detail: str
    pointer: str | None
    hint: str | None
    findings: list[Notice] | UnsetType = UNSET
