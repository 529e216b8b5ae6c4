"""Replies as old tills read them: lines of fields, the first line says how it went. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from shared.money import format_centi, format_minor
from shared.quantity import format_quantity
from shared.wire.answer import Answer, HintGiven
from shared.wire.facts import GoodsReturned, Incident
from shared.wire.problem import Finding
from shared.wire.refund_json import Refund

FIELD: Final = "|"
LINE: Final = "\n"
REPLY_BYTES_MAX: Final = 128 * 1024
"""A thousand lines with their parts; the till's memory is small, and so is the line's speed."""

Fields = Iterable[object]


def join(lines: Iterable[Fields]) -> str:
    """The reply's text; what would break its fields or lines is made harmless."""
    return LINE.join(FIELD.join(_field(value) for value in line) for line in lines)


def sums(answer: Answer) -> list[str]:
    """To pay, net, list, discount, points spent: money with two decimals."""
    total = answer.total
    return [
        format_minor(total.to_pay_minor),
        format_minor(total.net_minor),
        format_minor(total.list_minor),
        format_minor(total.discount_minor),
        format_minor(total.points_spent_minor),
    ]


def answer_lines(answer: Answer) -> list[list[str]]:
    """What the engine says, one record a line; docs/serial.md has their fields."""
    found: list[list[str]] = []
    for line in answer.lines:
        found.append(
            [
                "L",
                str(line.line),
                format_minor(line.to_pay_minor),
                format_minor(line.net_minor),
                format_minor(line.list_minor),
                format_minor(line.points_spent_minor),
            ]
        )
        if len(line.parts) > 1:
            found += [
                [
                    "P",
                    str(line.line),
                    format_quantity(p.quantity_milli),
                    format_minor(p.to_pay_minor),
                ]
                for p in line.parts
            ]
    found += [
        [
            "E",
            each.account,
            format_centi(each.points_centi),
            each.active_on_date,
            each.expires_on_date or "",
        ]
        for each in answer.accrued
    ]
    found += [["S", each.account, format_centi(each.points_centi)] for each in answer.spent]
    found += [["A", each.account, format_centi(each.points_centi)] for each in answer.spendable]
    found += [["K", each.account, str(each.earned), str(each.spent)] for each in answer.chips]
    found += [
        ["C", each.series, str(each.count), str(each.valid_days or ""), each.text]
        for each in answer.coupons
    ]
    found += [
        ["G", str(each.quantity), "1" if each.is_choice else "0", ",".join(each.what)]
        for each in answer.gifts
    ]
    found += [
        [
            "V",
            each.code,
            "" if each.amount_minor is None else format_minor(each.amount_minor),
            each.text,
        ]
        for each in answer.services
    ]
    found += [
        ["M", each.to, each.at, "1" if each.confirm else "0", each.text] for each in answer.messages
    ]
    return found


def notice_lines(notices: Iterable[Finding]) -> list[list[str]]:
    """What the shop does not know of what the receipt names."""
    return [["N", each.code, each.pointer or ""] for each in notices]


def hint_lines(hints: Iterable[HintGiven]) -> list[list[str]]:
    """What promotions still lack, and what they would save."""
    return [
        [
            "H",
            each.promotion,
            "" if each.quantity_milli is None else format_quantity(each.quantity_milli),
            "" if each.amount_minor is None else format_minor(each.amount_minor),
            "" if each.gain_minor is None else format_minor(each.gain_minor),
            each.text,
        ]
        for each in hints
    ]


def incident_lines(incidents: Iterable[Incident]) -> list[list[str]]:
    """What about a recorded sale did not fit."""
    return [["I", each.code, each.detail] for each in incidents]


def refund_lines(refund: Refund) -> list[list[str]]:
    """What is due for goods that come back; points of the customer in both directions."""
    found = [
        ["L", str(line.line), format_quantity(line.quantity_milli), format_minor(line.money_minor)]
        for line in refund.lines
    ]
    found += [
        ["S", each.account, format_centi(each.points_centi)] for each in refund.points_returned
    ]
    found += [["E", each.account, format_centi(each.points_centi)] for each in refund.points_taken]
    return found


def goods_lines(goods: Sequence[GoodsReturned]) -> list[list[str]]:
    """What is given for goods without a receipt, and on which basis."""
    return [
        [
            "L",
            str(each.line),
            format_quantity(each.quantity_milli),
            format_minor(each.money_minor),
            each.basis,
        ]
        for each in goods
    ]


def _field(value: object) -> str:
    text = str(value)
    if text.isprintable() and FIELD not in text:
        return text
    return "".join(
        "/" if character == FIELD else character if character.isprintable() else " "
        for character in text
    )
