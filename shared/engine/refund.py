"""What a return gives back: shares of what the sale stored, never a new calculation.

A line sold for 100.00 as three pieces cannot give back 33.33 three times. So nothing is computed
for one return alone: a return gives what is due for all pieces returned so far, less what was due
before it. What is due is the line's sum × the returned share, halves up. It depends on nothing but
how much has come back, so any sequence of returns adds up to the whole, in any order, and on its
way never exceeds it (docs/refunds.md).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import lcm

from shared.errors import InputError
from shared.money import divide_floor, divide_half_up
from shared.quantity import QUANTITY_SCALE, format_quantity
from shared.wire.answer import Accrued, Answer, AnswerLine, ChipsMoved
from shared.wire.problem import Finding
from shared.wire.refund_json import (
    LineReturned,
    PointsReturned,
    PointsTaken,
    Refund,
    RefundLine,
)


class RefundError(InputError):
    """These goods cannot be returned."""

    code = "refund"

    def __init__(self, findings: list[Finding]) -> None:
        first = findings[0]
        super().__init__(first.detail, hint=first.hint, pointer=first.pointer, code=first.code)
        self.findings = findings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A line of the sale and how much of it had come back before this return and has after it."""

    priced: AnswerLine
    sold_milli: int
    before_milli: int
    after_milli: int

    @property
    def money_minor(self) -> int:
        """Paid in money, whether points lowered the price or were a means of payment."""
        return self.priced.net_minor - self.priced.points_spent_minor

    def due(self, whole: int, returned_milli: int) -> int:
        return divide_half_up(whole * returned_milli, self.sold_milli)

    def due_now(self, whole: int) -> int:
        return self.due(whole, self.after_milli) - self.due(whole, self.before_milli)


def sold_quantities(answer: Answer) -> dict[int, int]:
    """Quantity of every line in thousandths, by its number: what its parts add up to."""
    return {line.line: sum(part.quantity_milli for part in line.parts) for line in answer.lines}


def refund(
    answer: Answer,
    sold: Mapping[int, int],
    returned: Mapping[int, int],
    wanted: Mapping[int, int],
    *,
    divisible: Collection[int] = (),
) -> Refund:
    """Return ``wanted`` of the sale that ``answer`` priced, after ``returned`` has come back.

    Quantities are in thousandths by line number; ``sold`` covers every line of the answer. A line
    sold as a whole number comes back in whole pieces unless it is in ``divisible`` (weighed goods
    may happen to weigh two kilograms).

    Raises:
        RefundError: with every fault found; pointers are ``/return/{line}``, ``/returned/{line}``.
    """
    _check(sold, returned, wanted, divisible)
    lines = [
        _Line(
            priced=line,
            sold_milli=sold[line.line],
            before_milli=returned.get(line.line, 0),
            after_milli=returned.get(line.line, 0) + wanted.get(line.line, 0),
        )
        for line in answer.lines
    ]
    full = all(line.after_milli == line.sold_milli for line in lines)
    back = [
        RefundLine(
            line=line.priced.line,
            quantity_milli=line.after_milli - line.before_milli,
            money_minor=line.due_now(line.money_minor),
            points_spent_minor=line.due_now(line.priced.points_spent_minor),
        )
        for line in lines
        if line.after_milli > line.before_milli
    ]
    return Refund(
        receipt_id=answer.receipt_id,
        full=full,
        lines=back,
        money_minor=sum(line.money_minor for line in back),
        points_spent_minor=sum(line.points_spent_minor for line in back),
        returned=[
            LineReturned(line=line.priced.line, quantity_milli=line.after_milli)
            for line in lines
            if line.after_milli
        ],
        points_returned=_points_returned(answer, lines, full=full),
        points_taken=_points_taken(answer, lines),
        chips=_chips(answer, lines),
        coupons_restored=full,
        coupons_taken=list(answer.coupons) if full else [],
        counters_taken=[counter.id for counter in answer.counters] if full else [],
    )


def _check(
    sold: Mapping[int, int],
    returned: Mapping[int, int],
    wanted: Mapping[int, int],
    divisible: Collection[int],
) -> None:
    assert all(quantity > 0 for quantity in sold.values()), "every line sold something"
    findings: list[Finding] = []
    if not wanted:
        findings.append(
            Finding(
                code="empty_return",
                detail="nothing is returned",
                pointer="/return",
                hint="Name at least one line and how much of it comes back.",
            )
        )
    for line, quantity_milli in returned.items():
        findings += _faults(
            "returned", line, quantity_milli, sold, left_milli=sold.get(line, 0), low=0
        )
    for line, quantity_milli in wanted.items():
        left_milli = sold.get(line, 0) - returned.get(line, 0)
        findings += _faults("return", line, quantity_milli, sold, left_milli=left_milli, low=1)
    for where, quantities in (("returned", returned), ("return", wanted)):
        findings += [
            Finding(
                code="part_of_piece",
                detail=f"{format_quantity(quantity_milli)} of line {line}, "
                f"which was sold as {format_quantity(sold[line])} whole pieces",
                pointer=f"/{where}/{line}",
                hint="Return whole pieces, or say that the line was weighed.",
            )
            for line, quantity_milli in quantities.items()
            if quantity_milli > 0
            and quantity_milli % QUANTITY_SCALE
            and line in sold
            and sold[line] % QUANTITY_SCALE == 0
            and line not in divisible
        ]
    if findings:
        raise RefundError(findings)


def _faults(
    where: str,
    line: int,
    quantity_milli: int,
    sold: Mapping[int, int],
    *,
    left_milli: int,
    low: int,
) -> list[Finding]:
    pointer = f"/{where}/{line}"
    if line not in sold:
        return [
            Finding(
                code="unknown_line",
                detail=f"the sale has no line {line}",
                pointer=pointer,
                hint="Use the line numbers of the answer.",
            )
        ]
    if quantity_milli < low:
        return [
            Finding(
                code="bounds",
                detail=f"{quantity_milli} thousandths of line {line}, expected {low} or more",
                pointer=pointer,
                hint="Leave out lines of which nothing comes back.",
            )
        ]
    if quantity_milli > left_milli:
        return [
            Finding(
                code="too_much",
                detail=f"{format_quantity(quantity_milli)} of line {line}, "
                f"of which {format_quantity(max(left_milli, 0))} can come back",
                pointer=pointer,
                hint=f"{format_quantity(sold[line])} were sold; "
                "look at what has been returned before.",
            )
        ]
    return []


def _weights(lines: Sequence[_Line]) -> list[int]:
    """What stands on no line is shared by the money paid; where none was, by nets, by quantity."""
    for weights in (
        [line.money_minor for line in lines],
        [line.priced.net_minor for line in lines],
    ):
        if any(weights):
            return weights
    return [line.sold_milli for line in lines]


def _due(whole: int, weights: Sequence[int], lines: Sequence[_Line], *, after: bool) -> int:
    """The share of a whole that weighted lines owe by what has come back, rounded once."""
    by_sold: dict[int, int] = {}
    for line, weight in zip(lines, weights, strict=True):
        back_milli = line.after_milli if after else line.before_milli
        if weight and back_milli:
            # Lines that came back whole need no common denominator; weighed ones can make it long.
            part, of = (1, 1) if back_milli == line.sold_milli else (back_milli, line.sold_milli)
            by_sold[of] = by_sold.get(of, 0) + weight * part
    common = lcm(*by_sold)
    back = sum(amount * (common // of) for of, amount in by_sold.items())
    return divide_half_up(whole * back, common * sum(weights))


def _due_now(whole: int, weights: Sequence[int], lines: Sequence[_Line]) -> int:
    if not whole:
        return 0
    return _due(whole, weights, lines, after=True) - _due(whole, weights, lines, after=False)


def _points_returned(answer: Answer, lines: Sequence[_Line], *, full: bool) -> list[PointsReturned]:
    """Points follow the money that they paid; a promotion's cost bought the receipt as a whole."""
    worths = [line.priced.points_spent_minor for line in lines]
    worth = sum(worths)
    pairs = list(zip(lines, worths, strict=True))
    before = sum(line.due(share, line.before_milli) for line, share in pairs)
    after = sum(line.due(share, line.after_milli) for line, share in pairs)
    back: dict[str, int] = {}
    for spent in answer.spent:
        whole = spent.points_centi
        if spent.promotion is not None:
            points = whole if full else 0
        elif worth:
            # By the worth as it is reported, so that at a rate of one both columns agree.
            points = divide_half_up(whole * after, worth) - divide_half_up(whole * before, worth)
        else:
            points = _due_now(whole, _weights(lines), lines)
        back[spent.account] = back.get(spent.account, 0) + points
    return [
        PointsReturned(account=account, points_centi=points)
        for account, points in back.items()
        if points
    ]


def _points_taken(answer: Answer, lines: Sequence[_Line]) -> list[PointsTaken]:
    taken = [
        (accrued, _due_now(accrued.points_centi, _earned(accrued, lines), lines))
        for accrued in answer.accrued
    ]
    return [
        PointsTaken(
            account=accrued.account,
            promotion=accrued.promotion,
            points_centi=points,
            active_on_date=accrued.active_on_date,
            expires_on_date=accrued.expires_on_date,
        )
        for accrued, points in taken
        if points
    ]


def _earned(accrued: Accrued, lines: Sequence[_Line]) -> list[int]:
    """What every line earned, as weights; points of no line go with the money, never stay."""
    own = {share.line: share.points_centi for share in accrued.lines}
    rest = accrued.points_centi - sum(own.values())
    assert rest >= 0, "lines earn no more than the whole"
    weights = _weights(lines)
    scale = sum(weights)
    return [
        own.get(line.priced.line, 0) * scale + rest * weight
        for line, weight in zip(lines, weights, strict=True)
    ]


def _chips(answer: Answer, lines: Sequence[_Line]) -> list[ChipsMoved]:
    """Earned chips are whole and recounted on what is kept; spent ones follow their goods."""
    weights = _weights(lines)
    whole = sum(weights)
    pairs = list(zip(lines, weights, strict=True))
    before = whole - sum(line.due(weight, line.before_milli) for line, weight in pairs)
    after = whole - sum(line.due(weight, line.after_milli) for line, weight in pairs)
    moved = []
    for chips in answer.chips:
        kept_before = divide_floor(chips.earned * before, whole)
        kept_after = divide_floor(chips.earned * after, whole)
        discounted = [_discounted_milli(line.priced, chips.promotion) for line in lines]
        earned = kept_after - kept_before
        spent = -_due_now(chips.spent, discounted if any(discounted) else weights, lines)
        if earned or spent:
            moved.append(
                ChipsMoved(
                    account=chips.account, promotion=chips.promotion, earned=earned, spent=spent
                )
            )
    return moved


def _discounted_milli(line: AnswerLine, promotion: str) -> int:
    return sum(applied.quantity_milli for applied in line.applied if applied.promotion == promotion)
