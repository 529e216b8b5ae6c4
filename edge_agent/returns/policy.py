"""What a return gives back, and what about it does not fit. Pure.

A return that was made is a fact, as a sale is: the goods lie on the counter and the money is in the
buyer's hand. So what exceeds the sale is not refused there but cut to what was left, and named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.engine.refund import refund, sold_quantities
from shared.money import format_minor
from shared.quantity import format_quantity
from shared.wire.facts import Incident, ReceiptCommitted
from shared.wire.refund_json import LineReturned, Refund


def returned_so_far(before: Sequence[Refund]) -> dict[int, int]:
    """How much of each line has come back, in thousandths: every return says what it left behind.

    The greatest counts: returns only add.
    """
    returned: dict[int, int] = {}
    for each in before:
        for line in each.returned:
            returned[line.line] = max(returned.get(line.line, 0), line.quantity_milli)
    return returned


def due(sale: ReceiptCommitted, before: Sequence[Refund], wanted: Mapping[int, int]) -> Refund:
    """What a sale gives back for these goods after the returns before.

    Raises:
        RefundError: a line is unknown, too much of one is wanted, or a part of a piece.
    """
    return refund(
        sale.answer,
        sold_quantities(sale.answer),
        returned_so_far(before),
        wanted,
        divisible={line.line for line in sale.receipt.lines if line.weighed},
    )


def given(
    sale: ReceiptCommitted,
    before: Sequence[Refund],
    wanted: Mapping[int, int],
    money_told_minor: int | None,
) -> tuple[Refund, list[Incident]]:
    """The same for goods that are back already: cut to what was left of the sale.

    Raises:
        RefundError: nothing or an unknown line came back, or a part of a piece.
    """
    returned = returned_so_far(before)
    sold = sold_quantities(sale.answer)
    kept: dict[int, int] = {}
    incidents = []
    for line, quantity_milli in wanted.items():
        left_milli = max(sold.get(line, quantity_milli) - returned.get(line, 0), 0)
        if quantity_milli > left_milli:
            incidents.append(
                Incident(
                    code="returned_too_much",
                    detail=f"{format_quantity(quantity_milli)} of line {line}, "
                    f"of which {format_quantity(left_milli)} was left",
                )
            )
        if min(quantity_milli, left_milli):
            kept[line] = min(quantity_milli, left_milli)
    cut_to_nothing = wanted and not kept
    found = _nothing(sale, returned) if cut_to_nothing else due(sale, before, kept)
    if money_told_minor is not None and money_told_minor != found.money_minor:
        incidents.append(
            Incident(
                code="money_differs",
                detail=f"till {format_minor(money_told_minor)}, "
                f"here {format_minor(found.money_minor)}",
            )
        )
    return found, incidents


def _nothing(sale: ReceiptCommitted, returned: Mapping[int, int]) -> Refund:
    """Everything that was brought had come back before."""
    return Refund(
        receipt_id=sale.receipt_id,
        full=False,
        lines=[],
        money_minor=0,
        points_spent_minor=0,
        returned=[
            LineReturned(line=line, quantity_milli=quantity_milli)
            for line, quantity_milli in returned.items()
        ],
    )
