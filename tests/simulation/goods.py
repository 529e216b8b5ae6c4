"""Lean sales: one line, some points spent, some earned. Pricing is not what is simulated here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from shared.wire.answer import Accrued, Answer, AnswerLine, LinePoints, Spent, Totals
from shared.wire.receipt import Customer, Receipt, ReceiptLine
from shared.wire.refund_json import (
    LineReturned,
    PointsReturned,
    PointsTaken,
    Refund,
    RefundLine,
)

ACCOUNT: Final = "main"
EARN_PERCENT: Final = 10
"""Points earned per money paid: much, so that every member keeps having something to spend."""
PENDING_DAYS: Final = 1


def a_receipt(
    receipt_id: str, store_id: str, now_ms: int, price_minor: int, member: str | None
) -> Receipt:
    """One piece of something."""
    return Receipt(
        receipt_id=receipt_id,
        store=store_id,
        time=datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="seconds"),
        register="R1",
        lines=[ReceiptLine(line=1, sku="tea", quantity_milli=1000, price_minor=price_minor)],
        customer=None if member is None else Customer(id=member),
    )


def an_answer(receipt: Receipt, spent_centi: int, *, pending: bool) -> Answer:
    """The price less points, which are worth one for one; what is paid earns points."""
    line = receipt.lines[0]
    to_pay_minor = line.price_minor - spent_centi
    columns = {
        "list_minor": line.price_minor,
        "discount_minor": 0,
        "net_minor": line.price_minor,
        "points_spent_minor": spent_centi,
        "to_pay_minor": to_pay_minor,
    }
    earned_centi = to_pay_minor * EARN_PERCENT // 100 if receipt.customer is not None else 0
    day = datetime.fromisoformat(receipt.time).date()
    accrued = [
        Accrued(
            account=ACCOUNT,
            promotion="P1",
            points_centi=earned_centi,
            active_on_date=(day + timedelta(days=PENDING_DAYS if pending else 0)).isoformat(),
            lines=[LinePoints(line=1, points_centi=earned_centi)],
        )
    ]
    return Answer(
        receipt_id=receipt.receipt_id,
        programme="simulated",
        version=1,
        optimal=True,
        lines=[AnswerLine(line=1, **columns)],
        total=Totals(**columns),
        accrued=accrued if earned_centi else [],
        spent=[Spent(account=ACCOUNT, points_centi=spent_centi)] if spent_centi else [],
    )


def a_refund(answer: Answer) -> Refund:
    """Everything back: points spent to the customer, points earned from them."""
    total = answer.total
    return Refund(
        receipt_id=answer.receipt_id,
        full=True,
        lines=[
            RefundLine(
                line=1,
                quantity_milli=1000,
                money_minor=total.to_pay_minor,
                points_spent_minor=total.points_spent_minor,
            )
        ],
        money_minor=total.to_pay_minor,
        points_spent_minor=total.points_spent_minor,
        returned=[LineReturned(line=1, quantity_milli=1000)],
        points_returned=[
            PointsReturned(account=spent.account, points_centi=spent.points_centi)
            for spent in answer.spent
        ],
        points_taken=[
            PointsTaken(
                account=accrued.account,
                promotion=accrued.promotion,
                points_centi=accrued.points_centi,
                active_on_date=accrued.active_on_date,
            )
            for accrued in answer.accrued
        ],
    )
