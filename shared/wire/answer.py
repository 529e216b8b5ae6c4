"""What the engine says of a receipt: sums, what gave them, and on request why. Integers only.

Fields are append-only. ``shared.wire.answer_json`` gives the form that tills see.
"""

from __future__ import annotations

import enum

import msgspec


class Applied(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What one promotion took off one line, and from how many of its pieces."""

    promotion: str
    discount_minor: int
    quantity_milli: int


class Part(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Pieces of a line with the same sum to pay; the sum is that of one run of equal pieces."""

    quantity_milli: int
    to_pay_minor: int


class AnswerLine(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One line priced: net = list − discount, and what is left to pay after points."""

    line: int
    list_minor: int
    discount_minor: int
    net_minor: int
    points_spent_minor: int
    to_pay_minor: int
    applied: list[Applied] = []
    parts: list[Part] = []


class Totals(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The columns of all lines added up."""

    list_minor: int
    discount_minor: int
    net_minor: int
    points_spent_minor: int
    to_pay_minor: int


class LinePoints(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What a line contributed to an accrual, so that a return can take it back."""

    line: int
    points_centi: int


class Accrued(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Points that one promotion gives; dates are shop days (ISO).

    ``lines`` add up to the points; points that no goods brought stand on no line.
    """

    account: str
    promotion: str
    points_centi: int
    active_on_date: str
    expires_on_date: str | None = None
    lines: list[LinePoints] = []


class Spent(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Points taken; ``promotion`` where a promotion's own cost took them."""

    account: str
    points_centi: int
    promotion: str | None = None


class Spendable(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The most points that this receipt could take from an account."""

    account: str
    points_centi: int


class Outcome(enum.StrEnum):
    """The fate of one result of a promotion."""

    APPLIED = "applied"
    NOT_APPLIED = "not_applied"


class TraceEntry(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Why one result of a promotion did or did not act.

    ``reason`` is a stable code (``shared.engine.explain.Reason``), ``subject`` what it speaks of (a
    condition, a limit, a coupon), ``seen`` and ``wanted`` the values that decided, as text.
    """

    promotion: str
    result_index: int
    stage: str
    outcome: Outcome
    reason: str
    subject: str = ""
    seen: str = ""
    wanted: str = ""
    discount_minor: int = 0
    points_centi: int = 0


class ChipsMoved(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Chips that one promotion gives or takes."""

    account: str
    promotion: str
    earned: int = 0
    spent: int = 0


class CounterValue(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A counter of the customer as it stands after the receipt."""

    id: str
    value: int


class CouponIssued(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Coupons of a series to be handed out."""

    series: str
    count: int
    promotion: str
    valid_days: int | None = None
    text: str = ""


class MessageShown(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A text for somebody at some moment of the sale."""

    promotion: str
    to: str
    at: str
    text: str
    qr: str = ""
    image: str = ""
    confirm: bool = False


class GiftOffered(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What may be handed out beside the receipt; several articles are a choice."""

    promotion: str
    what: list[str]
    is_choice: bool
    quantity: int


class ServiceOffered(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """An extra service; ``amount_minor`` is what a donation would add."""

    promotion: str
    code: str
    text: str = ""
    amount_minor: int | None = None


class HintGiven(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What goods a promotion still lacks: a quantity or an amount of what the filter names.

    ``filter_json`` is the filter as the language writes it; ``gain_minor`` None is unknown.
    """

    promotion: str
    quantity_milli: int | None = None
    amount_minor: int | None = None
    filter_json: str = "{}"
    gain_minor: int | None = None
    text: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """The whole answer. Every column of the lines adds up to the total."""

    receipt_id: str
    programme: str
    version: int
    optimal: bool
    lines: list[AnswerLine]
    total: Totals
    accrued: list[Accrued] = []
    spent: list[Spent] = []
    spendable: list[Spendable] = []
    applied: list[str] = []
    trace: list[TraceEntry] = []
    chips: list[ChipsMoved] = []
    counters: list[CounterValue] = []
    coupons: list[CouponIssued] = []
    messages: list[MessageShown] = []
    gifts: list[GiftOffered] = []
    services: list[ServiceOffered] = []
    hints: list[HintGiven] = []
