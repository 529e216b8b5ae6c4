"""What the engine says of a receipt: sums, what gave them, and on request why. Integers only.

Fields are append-only. ``answer_to_json`` gives the form that tills see, with decimal strings.
"""

from __future__ import annotations

import enum
import json
from typing import Any

import msgspec

from shared.money import format_centi, format_minor
from shared.quantity import format_quantity


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


def _columns(sums: AnswerLine | Totals) -> dict[str, str]:
    return {
        "list": format_minor(sums.list_minor),
        "discount": format_minor(sums.discount_minor),
        "net": format_minor(sums.net_minor),
        "points_spent": format_minor(sums.points_spent_minor),
        "to_pay": format_minor(sums.to_pay_minor),
    }


def _line_to_json(line: AnswerLine) -> dict[str, Any]:
    return {
        "line": line.line,
        **_columns(line),
        "applied": [
            {
                "promotion": applied.promotion,
                "discount": format_minor(applied.discount_minor),
                "qty": format_quantity(applied.quantity_milli),
            }
            for applied in line.applied
        ],
        "parts": [
            {"qty": format_quantity(part.quantity_milli), "to_pay": format_minor(part.to_pay_minor)}
            for part in line.parts
        ],
    }


def _trace_to_json(entry: TraceEntry) -> dict[str, Any]:
    return {
        "promotion": entry.promotion,
        "result": entry.result_index,
        "stage": entry.stage,
        "outcome": entry.outcome.value,
        "reason": entry.reason,
        "subject": entry.subject,
        "seen": entry.seen,
        "wanted": entry.wanted,
        "discount": format_minor(entry.discount_minor),
        "points": format_centi(entry.points_centi),
    }


def _message_to_json(message: MessageShown) -> dict[str, Any]:
    told: dict[str, Any] = {
        "promotion": message.promotion,
        "to": message.to,
        "at": message.at,
        "text": message.text,
    }
    if message.qr:
        told["qr"] = message.qr
    if message.image:
        told["image"] = message.image
    if message.confirm:
        told["confirm"] = True
    return told


def _coupon_to_json(coupon: CouponIssued) -> dict[str, Any]:
    told: dict[str, Any] = {
        "series": coupon.series,
        "count": coupon.count,
        "promotion": coupon.promotion,
    }
    if coupon.valid_days is not None:
        told["valid_days"] = coupon.valid_days
    if coupon.text:
        told["text"] = coupon.text
    return told


def _service_to_json(service: ServiceOffered) -> dict[str, Any]:
    told: dict[str, Any] = {
        "promotion": service.promotion,
        "code": service.code,
        "text": service.text,
    }
    if service.amount_minor is not None:
        told["amount"] = format_minor(service.amount_minor)
    return told


def _hint_to_json(hint: HintGiven) -> dict[str, Any]:
    missing: dict[str, Any] = {"filter": json.loads(hint.filter_json)}
    if hint.quantity_milli is not None:
        missing = {"qty": format_quantity(hint.quantity_milli)} | missing
    if hint.amount_minor is not None:
        missing = {"amount": format_minor(hint.amount_minor)} | missing
    told: dict[str, Any] = {
        "promotion": hint.promotion,
        "missing": missing,
        "gain": None if hint.gain_minor is None else format_minor(hint.gain_minor),
    }
    if hint.text:
        told["text"] = hint.text
    return told


def answer_to_json(answer: Answer) -> dict[str, Any]:
    """The answer as tills see it: decimal strings, money and points with all their decimals."""
    return {
        "receipt_id": answer.receipt_id,
        "programme": answer.programme,
        "version": answer.version,
        "optimal": answer.optimal,
        "lines": [_line_to_json(line) for line in answer.lines],
        "total": _columns(answer.total),
        "accrued": [
            {
                "account": accrued.account,
                "promotion": accrued.promotion,
                "points": format_centi(accrued.points_centi),
                "active_on": accrued.active_on_date,
                "expires_on": accrued.expires_on_date,
                "lines": [
                    {"line": share.line, "points": format_centi(share.points_centi)}
                    for share in accrued.lines
                ],
            }
            for accrued in answer.accrued
        ],
        "spent": [
            {"account": spent.account, "points": format_centi(spent.points_centi)}
            | ({"promotion": spent.promotion} if spent.promotion is not None else {})
            for spent in answer.spent
        ],
        "spendable": [
            {"account": spendable.account, "points": format_centi(spendable.points_centi)}
            for spendable in answer.spendable
        ],
        "chips": [
            {
                "account": chips.account,
                "promotion": chips.promotion,
                "earned": chips.earned,
                "spent": chips.spent,
            }
            for chips in answer.chips
        ],
        "counters": [{"id": counter.id, "value": counter.value} for counter in answer.counters],
        "coupons": [_coupon_to_json(coupon) for coupon in answer.coupons],
        "messages": [_message_to_json(message) for message in answer.messages],
        "gifts": [
            {
                "promotion": gift.promotion,
                "what": list(gift.what) if gift.is_choice else gift.what[0],
                "qty": str(gift.quantity),
            }
            for gift in answer.gifts
        ],
        "services": [_service_to_json(service) for service in answer.services],
        "applied": list(answer.applied),
        "hints": [_hint_to_json(hint) for hint in answer.hints],
        "trace": [_trace_to_json(entry) for entry in answer.trace],
    }
