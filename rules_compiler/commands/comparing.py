"""Receipts priced under two programmes: what changes for whom."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from typing import Final

from rules_compiler.commands.fast_receipts import decode_receipt_fast
from rules_compiler.commands.receipts import Batch
from rules_compiler.commands.tally import PROBLEMS_KEPT
from shared.engine.evaluate import evaluate
from shared.engine.program import Program
from shared.engine.ready import Ready
from shared.errors import AppError
from shared.wire.answer import Answer
from shared.wire.receipt import Receipt

BIGGEST_KEPT: Final = 10


@dataclass(frozen=True, slots=True)
class Pair:
    """The two programmes."""

    old: Program
    new: Program


@dataclass(slots=True)
class PromotionChange:
    """One promotion before and after."""

    receipts_before: int = 0
    receipts_after: int = 0
    only_before: int = 0
    only_after: int = 0
    discount_before: int = 0
    discount_after: int = 0
    points_before: int = 0
    points_after: int = 0
    moved: int = 0
    """Receipts in which it gives another sum or other points."""

    @property
    def differs(self) -> bool:
        """Whether it does anything otherwise anywhere."""
        return bool(self.moved or self.only_before or self.only_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptChange:
    """A receipt whose sum changes, and the promotions that give another discount on it."""

    receipt: str
    place: str
    customer: str | None
    before: int
    after: int
    promotions: list[str]


@dataclass(slots=True)
class Comparison:
    """Receipts compared: one batch, or all of them added up."""

    receipts: int = 0
    refused: int = 0
    broken: int = 0
    cheaper: int = 0
    dearer: int = 0
    changed: int = 0
    to_pay_before: int = 0
    to_pay_after: int = 0
    discount_before: int = 0
    discount_after: int = 0
    points_before: int = 0
    points_after: int = 0
    customers: set[str] = field(default_factory=set)
    promotions: dict[str, PromotionChange] = field(default_factory=dict)
    biggest: list[ReceiptChange] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    traceback: str = ""

    def add(self, other: Comparison) -> None:
        """Count the other's too."""
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, int):
                setattr(self, name, value + getattr(other, name))
        self.customers |= other.customers
        for promotion, change in other.promotions.items():
            mine = self.promotions.setdefault(promotion, PromotionChange())
            for name in change.__slots__:
                setattr(mine, name, getattr(mine, name) + getattr(change, name))
        self.biggest.extend(other.biggest)
        self.keep_biggest()
        self.problems.extend(other.problems[: PROBLEMS_KEPT - len(self.problems)])
        self.traceback = self.traceback or other.traceback

    def keep_biggest(self) -> None:
        """Only the receipts that change most stay, in a fixed order."""
        self.biggest.sort(key=lambda each: (-abs(each.after - each.before), each.place))
        del self.biggest[BIGGEST_KEPT:]


class Comparing:
    """Compares batches: what ``Replay`` makes in each process."""

    def __init__(self, pair: Pair) -> None:
        self._old, self._new = Ready(pair.old), Ready(pair.new)

    def __call__(self, batch: Batch) -> Comparison:
        """The batch, compared."""
        found = Comparison()
        for line, number in zip(batch.lines, batch.line_numbers, strict=True):
            place = f"{batch.path}:{number}"
            try:
                receipt = decode_receipt_fast(line)
                before, after = evaluate(self._old, receipt), evaluate(self._new, receipt)
                _compare(found, receipt, place, before, after)
            except AppError as error:
                found.refused += 1
                _note(found, f"{place}: {error.pointer or '/'}: {error.message}")
            except Exception as error:  # noqa: BLE001 - the other receipts are worth comparing
                found.broken += 1
                found.traceback = found.traceback or traceback.format_exc()
                _note(found, f"{place}: our own code broke: {type(error).__name__}")
        return found


def _note(found: Comparison, problem: str) -> None:
    if len(found.problems) < PROBLEMS_KEPT:
        found.problems.append(problem)


def _compare(
    found: Comparison, receipt: Receipt, place: str, before: Answer, after: Answer
) -> None:
    found.receipts += 1
    found.to_pay_before += before.total.to_pay_minor
    found.to_pay_after += after.total.to_pay_minor
    found.discount_before += before.total.discount_minor
    found.discount_after += after.total.discount_minor
    found.points_before += sum(each.points_centi for each in before.accrued)
    found.points_after += sum(each.points_centi for each in after.accrued)
    was, is_now = _by_promotion(before), _by_promotion(after)
    others = _count_promotions(found, was, is_now)
    if not others and _rest(before) == _rest(after):
        return
    found.changed += 1
    customer = None if receipt.customer is None else receipt.customer.id
    if customer is not None:
        found.customers.add(customer)
    change = after.total.to_pay_minor - before.total.to_pay_minor
    found.cheaper += change < 0
    found.dearer += change > 0
    if change:
        found.biggest.append(
            ReceiptChange(
                receipt=receipt.receipt_id,
                place=place,
                customer=customer,
                before=before.total.to_pay_minor,
                after=after.total.to_pay_minor,
                promotions=others[:BIGGEST_KEPT],
            )
        )
        if len(found.biggest) > 4 * BIGGEST_KEPT:
            found.keep_biggest()


def _by_promotion(answer: Answer) -> dict[str, tuple[int, int]]:
    """Discount and points that each promotion which acted gave."""
    discounts = dict.fromkeys(answer.applied, 0)
    points = dict.fromkeys(answer.applied, 0)
    for line in answer.lines:
        for applied in line.applied:
            discounts[applied.promotion] += applied.discount_minor
    for accrued in answer.accrued:
        points[accrued.promotion] += accrued.points_centi
    return {promotion: (discounts[promotion], points[promotion]) for promotion in discounts}


def _count_promotions(
    found: Comparison, was: dict[str, tuple[int, int]], is_now: dict[str, tuple[int, int]]
) -> list[str]:
    """Count each promotion on both sides; those that act otherwise are given."""
    others = []
    for promotion in was | is_now:
        before, after = was.get(promotion), is_now.get(promotion)
        change = found.promotions.setdefault(promotion, PromotionChange())
        if before is not None:
            change.receipts_before += 1
            change.discount_before += before[0]
            change.points_before += before[1]
            change.only_before += after is None
        if after is not None:
            change.receipts_after += 1
            change.discount_after += after[0]
            change.points_after += after[1]
            change.only_after += before is None
        if before != after:
            change.moved += 1
            others.append(promotion)
    return others


def _rest(answer: Answer) -> tuple[object, ...]:
    """What else a customer would notice."""
    return (
        answer.total,
        answer.spent,
        answer.chips,
        answer.counters,
        answer.coupons,
        answer.messages,
        answer.gifts,
        answer.services,
    )
