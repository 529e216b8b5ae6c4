"""What a programme costs and whom it reaches: a batch of receipts counted, and batches together."""

from __future__ import annotations

import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from rules_compiler.commands.fast_receipts import decode_receipt_fast
from rules_compiler.commands.receipts import Batch
from shared.engine.evaluate import evaluate
from shared.engine.explain import Reason
from shared.engine.lots import Floor
from shared.engine.program import Program, Promotion
from shared.engine.ready import Ready
from shared.errors import AppError
from shared.wire.answer import Answer, Outcome, TraceEntry
from shared.wire.receipt import Receipt

PROBLEMS_KEPT: Final = 20
"""Refused receipts that are told; of the rest only how many there are."""
_CONFLICTS: Final = frozenset({Reason.OUTDONE, Reason.USED_BY_ANOTHER, Reason.ONLY_ONE_OF})
_KEEPS_FLOORS: Final = Promotion(id="", results=[])

Conflict = tuple[str, str, str]
"""Who lost, why (a reason's code), and who acted instead."""


@dataclass(slots=True)
class PromotionTally:
    """What one promotion did."""

    receipts: int = 0
    discount_minor: int = 0
    quantity_milli: int = 0
    points_earned_centi: int = 0
    points_taken_centi: int = 0
    chips_earned: int = 0
    chips_spent: int = 0
    coupons: int = 0
    lines_at_floor: int = 0

    def add(self, other: PromotionTally) -> None:
        """Count the other's too."""
        self.receipts += other.receipts
        self.discount_minor += other.discount_minor
        self.quantity_milli += other.quantity_milli
        self.points_earned_centi += other.points_earned_centi
        self.points_taken_centi += other.points_taken_centi
        self.chips_earned += other.chips_earned
        self.chips_spent += other.chips_spent
        self.coupons += other.coupons
        self.lines_at_floor += other.lines_at_floor


@dataclass(slots=True)
class Sums:
    """What all receipts together came to."""

    receipts: int = 0
    lines: int = 0
    anonymous: int = 0
    discounted: int = 0
    not_optimal: int = 0
    list_minor: int = 0
    discount_minor: int = 0
    to_pay_minor: int = 0
    points_earned_centi: int = 0
    points_spent_minor: int = 0
    lines_at_floor: int = 0
    traced: int = 0
    refused: int = 0
    broken: int = 0

    def add(self, other: Sums) -> None:
        """Count the other's too."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True)
class BatchTally:
    """One batch counted; customers by what acted for them."""

    sums: Sums = field(default_factory=Sums)
    promotions: dict[str, PromotionTally] = field(default_factory=dict)
    customers: set[str] = field(default_factory=set)
    reached: dict[str, set[str]] = field(default_factory=dict)
    conflicts: Counter[Conflict] = field(default_factory=Counter)
    floors: Counter[str] = field(default_factory=Counter)
    """Promotions that floors left no room at all, in traced receipts."""
    problems: list[str] = field(default_factory=list)
    traceback: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a counting process needs; a receipt in ``trace_every`` is asked why, 0 is none."""

    program: Program
    trace_every: int


class Counting:
    """Counts batches: ``Counting(setup)`` is what ``Replay`` makes in each process."""

    def __init__(self, setup: Setup) -> None:
        self._ready = Ready(setup.program)
        self._every = setup.trace_every
        self._groups: dict[str, str] = {}
        self._families: dict[str, str | None] = {}
        self._closing: set[str] = set()
        for group in setup.program.groups:
            for promotion in group.promotions:
                self._groups[promotion.id] = group.id
                self._families[promotion.id] = promotion.only_one_of
                if promotion.closes:
                    self._closing.add(promotion.id)

    def __call__(self, batch: Batch) -> BatchTally:
        """The batch, counted."""
        tally = BatchTally()
        for at, line in enumerate(batch.lines):
            try:
                receipt = decode_receipt_fast(line)
                answer = evaluate(self._ready, receipt)
                self._count(tally, receipt, answer)
                if self._every and (batch.first + at) % self._every == 0:
                    self._ask_why(tally, receipt)
            except AppError as error:
                tally.sums.refused += 1
                place = f"{batch.path}:{batch.line_numbers[at]}: {error.pointer or '/'}"
                _note(tally, f"{place}: {error.message}")
            except Exception as error:  # noqa: BLE001 - the other receipts are worth counting
                tally.sums.broken += 1
                tally.traceback = tally.traceback or traceback.format_exc()
                place = f"{batch.path}:{batch.line_numbers[at]}"
                _note(tally, f"{place}: our own code broke: {type(error).__name__}")
        return tally

    def _count(self, tally: BatchTally, receipt: Receipt, answer: Answer) -> None:
        sums, total = tally.sums, answer.total
        sums.receipts += 1
        sums.lines += len(answer.lines)
        sums.list_minor += total.list_minor
        sums.discount_minor += total.discount_minor
        sums.to_pay_minor += total.to_pay_minor
        sums.points_spent_minor += total.points_spent_minor
        sums.not_optimal += not answer.optimal
        sums.discounted += total.discount_minor > 0
        customer = receipt.customer
        sums.anonymous += customer is None
        customer_id = None if customer is None else customer.id
        if customer_id is not None:
            tally.customers.add(customer_id)
        promotions = tally.promotions
        for promotion in answer.applied:
            found = promotions.get(promotion)
            if found is None:
                found = promotions[promotion] = PromotionTally()
            found.receipts += 1
            if customer_id is not None:
                tally.reached.setdefault(promotion, set()).add(customer_id)
        if total.discount_minor:
            self._count_lines(tally, receipt, answer)
        for accrued in answer.accrued:
            sums.points_earned_centi += accrued.points_centi
            promotions[accrued.promotion].points_earned_centi += accrued.points_centi
        for spent in answer.spent:
            if spent.promotion is not None:
                promotions[spent.promotion].points_taken_centi += spent.points_centi
        for chips in answer.chips:
            promotions[chips.promotion].chips_earned += chips.earned
            promotions[chips.promotion].chips_spent += chips.spent
        for coupon in answer.coupons:
            promotions[coupon.promotion].coupons += coupon.count

    def _count_lines(self, tally: BatchTally, receipt: Receipt, answer: Answer) -> None:
        goods = {line.line: line for line in receipt.lines}
        for line in answer.lines:
            if not line.discount_minor:
                continue
            sold = goods[line.line]
            floor = Floor(sold, self._ready.program.max_discount_ppm)
            at_floor = 0 < line.net_minor <= floor.minor(sold.quantity_milli, _KEEPS_FLOORS)
            tally.sums.lines_at_floor += at_floor
            for applied in line.applied:
                found = tally.promotions[applied.promotion]
                found.discount_minor += applied.discount_minor
                found.quantity_milli += applied.quantity_milli
                found.lines_at_floor += at_floor

    def _ask_why(self, tally: BatchTally, receipt: Receipt) -> None:
        """Who lost to whom in this receipt."""
        trace = evaluate(self._ready, receipt, trace=True).trace
        tally.sums.traced += 1
        acted = [entry for entry in trace if entry.outcome is Outcome.APPLIED]
        for entry in trace:
            if entry.reason == Reason.FLOOR:
                tally.floors[entry.promotion] += 1
            elif entry.reason in _CONFLICTS:
                for winner in self._winners(entry, acted):
                    tally.conflicts[entry.promotion, entry.reason, winner] += 1

    def _winners(self, lost: TraceEntry, acted: list[TraceEntry]) -> set[str]:
        """Those that acted where this one could not: its family, its group, or who closes goods."""
        me = lost.promotion
        if lost.reason == Reason.ONLY_ONE_OF:
            family = self._families[me]
            found = {each.promotion for each in acted if self._families[each.promotion] == family}
        else:
            group = self._groups[me]
            found = {
                each.promotion
                for each in acted
                if each.stage == lost.stage and self._groups[each.promotion] == group
            }
            if lost.reason == Reason.USED_BY_ANOTHER:
                closed = {each.promotion for each in acted if each.promotion in self._closing}
                found = closed or found
        return found - {me}


def _note(tally: BatchTally, problem: str) -> None:
    if len(tally.problems) < PROBLEMS_KEPT:
        tally.problems.append(problem)


class Total:
    """All batches together; who was reached is kept as bits, one for each customer."""

    def __init__(self) -> None:
        self.sums = Sums()
        self.promotions: dict[str, PromotionTally] = {}
        self.conflicts: Counter[Conflict] = Counter()
        self.floors: Counter[str] = Counter()
        self.problems: list[str] = []
        self.traceback = ""
        self._customers: dict[str, int] = {}
        self._reached: dict[str, bytearray] = {}

    def add(self, batch: BatchTally) -> None:
        """Count a batch."""
        self.sums.add(batch.sums)
        for promotion, tally in batch.promotions.items():
            self.promotions.setdefault(promotion, PromotionTally()).add(tally)
        self.conflicts.update(batch.conflicts)
        self.floors.update(batch.floors)
        self.problems.extend(batch.problems[: PROBLEMS_KEPT - len(self.problems)])
        self.traceback = self.traceback or batch.traceback
        for customer in batch.customers:
            self._customers.setdefault(customer, len(self._customers))
        for promotion, customers in batch.reached.items():
            bits = self._reached.setdefault(promotion, bytearray())
            for customer in customers:
                byte, bit = divmod(self._customers[customer], 8)
                if byte >= len(bits):
                    bits.extend(bytes(byte + 1 - len(bits)))
                bits[byte] |= 1 << bit

    @property
    def customers(self) -> int:
        """How many different customers there were."""
        return len(self._customers)

    def reached(self, promotion: str) -> int:
        """How many different customers a promotion did something for."""
        return int.from_bytes(self._reached.get(promotion, b""), "big").bit_count()
