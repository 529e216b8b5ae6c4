"""What a return gives back, and what about it does not fit. Pure.

A return that was made is a fact, as a sale is: the goods lie on the counter and the money is in the
buyer's hand. So what exceeds the sale is not refused there but cut to what was left, and named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.engine.refund import refund, sold_quantities
from shared.money import format_minor
from shared.quantity import format_quantity
from shared.wire.facts import Incident, ReceiptCommitted
from shared.wire.refund_json import LineReturned, Refund, RefundLine


def add_up(returns: Iterable[Refund], told: Iterable[LineReturned] = ()) -> dict[int, int]:
    """How much of each line has come back, in thousandths: these returns, and what is told."""
    returned: dict[int, int] = {}
    pairs = [(line.line, line.quantity_milli) for line in told]
    pairs += [(line.line, line.quantity_milli) for each in returns for line in each.lines]
    for number, quantity_milli in pairs:
        returned[number] = returned.get(number, 0) + quantity_milli
    return returned


def due(
    sale: ReceiptCommitted, returned_milli: Mapping[int, int], wanted: Mapping[int, int]
) -> Refund:
    """What a sale gives back for these goods after what has come back before.

    Raises:
        RefundError: a line is unknown, too much of one is wanted, or a part of a piece.
    """
    sold = sold_quantities(sale.answer)
    return refund(
        sale.answer,
        sold,
        _within(returned_milli, sold),
        wanted,
        divisible={line.line for line in sale.receipt.lines if line.weighed},
    )


def given(
    sale: ReceiptCommitted,
    returned_milli: Mapping[int, int],
    wanted: Mapping[int, int],
    money_told_minor: int | None,
) -> tuple[Refund, list[Incident]]:
    """The same for goods that are back already: cut to what was left of the sale.

    Raises:
        RefundError: nothing or an unknown line came back, or a part of a piece.
    """
    sold = sold_quantities(sale.answer)
    returned = _within(returned_milli, sold)
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
    found = _nothing(sale, returned) if cut_to_nothing else due(sale, returned, kept)
    return found, [*incidents, *money_differs(money_told_minor, found.money_minor)]


def as_told(
    sale_id: str, wanted: Mapping[int, int], money_told_minor: int | None
) -> tuple[Refund, list[Incident]]:
    """Goods of a sale of which nothing can be learnt now: what the till gave, and no points."""
    refunded = Refund(
        receipt_id=sale_id,
        full=False,
        lines=[
            RefundLine(line=line, quantity_milli=milli, money_minor=0, points_spent_minor=0)
            for line, milli in wanted.items()
        ],
        money_minor=money_told_minor or 0,
        points_spent_minor=0,
        returned=[LineReturned(line=line, quantity_milli=milli) for line, milli in wanted.items()],
    )
    return refunded, [
        Incident(
            code="sale_unknown",
            detail="head office did not answer, so nothing could be checked; "
            f"the till gave {format_minor(refunded.money_minor)}",
        )
    ]


def money_differs(told_minor: int | None, found_minor: int) -> list[Incident]:
    """The incident where the till gave another sum than was due."""
    if told_minor is None or told_minor == found_minor:
        return []
    detail = f"till {format_minor(told_minor)}, here {format_minor(found_minor)}"
    return [Incident(code="money_differs", detail=detail)]


def _within(returned_milli: Mapping[int, int], sold: Mapping[int, int]) -> dict[int, int]:
    """Shops that could not ask may have taken back more than was sold: no more can be due."""
    return {line: min(milli, sold[line]) for line, milli in returned_milli.items() if line in sold}


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
