"""The answer as tills see it: JSON with decimal strings.

Apart from the structures, so that it can be compiled: every till waits for it after every scan.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

import msgspec

from shared.money import format_centi, format_minor
from shared.quantity import format_quantity
from shared.wire.answer import (
    Answer,
    AnswerLine,
    CouponIssued,
    HintGiven,
    MessageShown,
    ServiceOffered,
    Totals,
    TraceEntry,
)

_NAMES_REMEMBERED: Final = 4_096
"""Promotions come again and again."""


def _encoded(value: dict[str, Any] | str) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # half a character: whoever let it in is told it as it came
        return json.dumps(value, separators=(",", ":")).encode()


def _quote(text: str) -> str:
    return _encoded(text).decode()


_quoted = lru_cache(_NAMES_REMEMBERED)(_quote)


def _columns(sums: AnswerLine | Totals) -> str:
    """The members of an object, without its braces; of equal sums one is written twice."""
    net_minor: int = sums.net_minor
    list_minor: int = sums.list_minor
    to_pay_minor: int = sums.to_pay_minor
    net = format_minor(net_minor)
    whole = net if list_minor == net_minor else format_minor(list_minor)
    to_pay = net if to_pay_minor == net_minor else format_minor(to_pay_minor)
    discount = format_minor(sums.discount_minor)
    points = format_minor(sums.points_spent_minor)
    return (
        f'"list":"{whole}","discount":"{discount}","net":"{net}",'
        f'"points_spent":"{points}","to_pay":"{to_pay}"'
    )


def _line_text(line: AnswerLine) -> str:
    applied: list[str] = []
    for each in line.applied:
        promotion = _quoted(each.promotion)
        discount, quantity = format_minor(each.discount_minor), format_quantity(each.quantity_milli)
        applied.append(f'{{"promotion":{promotion},"discount":"{discount}","qty":"{quantity}"}}')
    parts: list[str] = []
    for part in line.parts:
        quantity, to_pay = format_quantity(part.quantity_milli), format_minor(part.to_pay_minor)
        parts.append(f'{{"qty":"{quantity}","to_pay":"{to_pay}"}}')
    number: int = line.line
    return (
        f'{{"line":{number},{_columns(line)},'
        f'"applied":[{",".join(applied)}],"parts":[{",".join(parts)}]}}'
    )


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
    """What ``answer_text`` writes, as values."""
    told: dict[str, Any] = json.loads(answer_text(answer))
    return told


def answer_text(answer: Answer) -> bytes:
    """The answer as tills see it: decimal strings, money and points with all their decimals.

    Its lines are written at once, since they are most of it; a dictionary for each of their parts
    took four times as long.
    """
    head: dict[str, Any] = {
        "receipt_id": answer.receipt_id,
        "programme": answer.programme,
        "version": answer.version,
        "optimal": answer.optimal,
    }
    lines = ",".join([_line_text(line) for line in answer.lines])
    sums = f',"lines":[{lines}],"total":{{{_columns(answer.total)}}},'
    rest: dict[str, Any] = {
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
    return _encoded(head)[:-1] + sums.encode() + _encoded(rest)[1:]
