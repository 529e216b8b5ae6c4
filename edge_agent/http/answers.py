"""What the till API answers, as structures; ``models.py`` has what it is asked.

A newer agent may add keys: a till passes over those it does not know.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from edge_agent.http.models import Date, Money, Points, Quantity


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
    goods: list[GoodsPriced]
    incidents: list[IncidentTold]


class GoodsPriced(Struct, kw_only=True):
    """What is given for a line without a receipt, and why so much.

    ``basis``: what a card's holder pays now, the lowest price of late, or the shelf price where no
    programme has arrived yet.
    """

    line: int
    sku: str
    qty: Quantity
    money: Money
    basis: Literal["card", "lowest", "shelf"]


class GoodsTold(Struct, kw_only=True):
    """What is given for goods without a receipt."""

    money: Money
    goods: list[GoodsPriced]


class SoldLine(Struct, kw_only=True):
    """A line of a sale, and how much of it has come back so far."""

    line: int
    sku: str
    qty: Quantity
    returned: Quantity
    to_pay: Money
    points_spent: Money


class SaleTold(Struct, kw_only=True):
    """A sale of any shop; ``confirmed``: head office has just said what came back of it."""

    sale: str
    store: str
    register: str
    time: str
    to_pay: Money
    lines: list[SoldLine]
    confirmed: bool


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
