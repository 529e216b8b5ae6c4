"""Hints: what goods a promotion still lacks for its next application (section 10).

Found on the receipt as it was just priced, by the code that priced it: the same conditions, the
same choice of pieces. What the missing goods would save is found by pricing the receipt once more
with them in it.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from shared.engine.conditions import judge
from shared.engine.groups import Runner
from shared.engine.offers import bundles_left, next_set
from shared.engine.pieces import Run, count_of, grouped, in_order, open_runs
from shared.engine.program import (
    AllOf,
    AnyOf,
    Choose,
    Condition,
    Filter,
    GoodsSet,
    Nth,
    Per,
    Quantity,
    Total,
)
from shared.engine.ready import GOODS, Work
from shared.money import PPM, format_minor
from shared.wire.answer import HintGiven
from shared.wire.receipt import ReceiptLine


def find_hints(runner: Runner) -> list[HintGiven]:
    """The hints of a receipt that was just priced, in the order of evaluation."""
    hints: list[HintGiven] = []
    for work in runner.works:
        hints.extend(_Seeker(runner, work).hints())
    return hints


class _Missing:
    """Goods that are lacking: a quantity or an amount of what the filter names."""

    __slots__ = ("amount_minor", "quantity_milli", "wanted")

    def __init__(
        self, wanted: Filter, quantity_milli: int | None = None, amount_minor: int | None = None
    ) -> None:
        self.wanted: Filter = wanted
        self.quantity_milli: int | None = quantity_milli
        self.amount_minor: int | None = amount_minor


class _Seeker:
    """Looks for the hints of one promotion."""

    __slots__ = ("runner", "work")

    def __init__(self, runner: Runner, work: Work) -> None:
        self.runner: Runner = runner
        self.work: Work = work

    def hints(self) -> list[HintGiven]:
        if not self.runner.could_act(self.work):
            return []
        when = self.work.promotion.when
        lacking = [] if when is None else self._lacking(when)
        if lacking is None or len(lacking) > 1:
            return []
        if lacking:
            return [self._hint(lacking[0], None)]
        allowance = self.runner.allowance(self.work)
        left = bundles_left(allowance)
        if left is not None and left <= 0:
            return []
        found: list[HintGiven] = []
        for step in self.work.stages[GOODS]:
            result = step.result
            if isinstance(result, Nth):
                found.extend(self._of_nth(result))
            elif isinstance(result, GoodsSet):
                found.extend(self._of_set(result))
        return found

    def _hint(self, missing: _Missing, gain_minor: int | None) -> HintGiven:
        return HintGiven(
            promotion=self.work.promotion.id,
            quantity_milli=missing.quantity_milli,
            amount_minor=missing.amount_minor,
            filter_json=json.dumps(filter_to_json(missing.wanted), ensure_ascii=False),
            gain_minor=gain_minor,
            text=self.work.promotion.hint,
        )

    # --- conditions

    def _lacking(self, condition: Condition) -> list[_Missing] | None:
        """What goods the condition lacks; None where goods alone do not help."""
        at = self.runner.at
        if judge(condition, at).holds:
            return []
        if isinstance(condition, AllOf):
            found: list[_Missing] = []
            for part in condition.parts:
                lacking = self._lacking(part)
                if lacking is None:
                    return None
                found.extend(lacking)
            return found
        if isinstance(condition, AnyOf):
            for part in condition.parts:
                lacking = self._lacking(part)
                if lacking is not None and len(lacking) == 1:
                    return lacking
            return None
        program = self.runner.ready.program
        if isinstance(condition, Quantity) and condition.span.low is not None:
            scale = 1000 if condition.in_base_units else 1
            seen = 0
            for line in at.lines(condition.filter):
                each = line.quantity_milli
                seen += each * line.line.base_quantity_milli if scale == 1000 else each
            short = condition.span.low - seen // scale
            if seen and 0 < short <= program.hint_pieces * 1000:
                return [_Missing(condition.filter, quantity_milli=short)]
        elif isinstance(condition, Total) and condition.span.low is not None:
            lines = at.lines(condition.filter)
            low = condition.span.low
            seen = sum([line.list_minor if condition.at_list else line.net_minor for line in lines])
            short = low - seen
            if lines and short > 0 and short * PPM <= low * program.hint_percent_ppm:
                return [_Missing(condition.filter, amount_minor=short)]
        return None

    # --- runs and sets that have begun

    def _open_runs(self, wanted: Filter) -> list[Run]:
        at, promotion = self.runner.at, self.work.promotion
        lines = [line for line in at.lines(wanted) if line.takes_benefits and line.countable]
        return open_runs(lines, promotion, None)

    def _of_nth(self, result: Nth) -> list[HintGiven]:
        found: list[HintGiven] = []
        for group in grouped(self._open_runs(result.filter), result.same):
            rest = count_of(group) % result.every
            missing = result.every - rest
            if not rest or missing > self.runner.ready.program.hint_pieces:
                continue
            wanted = result.filter
            if result.same is not None:
                wanted = Filter(skus=frozenset({group[0].lot.line.sku}))
            gain = self._gain(group, missing, alike=result.same)
            found.append(self._hint(_Missing(wanted, quantity_milli=missing * 1000), gain))
        return found

    def _gain(self, group: list[Run], missing: int, *, alike: Per | None) -> int:
        """What the promotion would give more if the missing pieces were like the cheapest here."""
        line = in_order(group, Choose.CHEAPEST)[0].lot.line
        for run in group:
            if run.lot.line.line.price_minor < line.line.price_minor:
                line = run.lot.line
        receipt = self.runner.receipt
        promotion = self.work.promotion.id
        number = 1 + max([each.line for each in receipt.lines])
        lines: list[ReceiptLine] = []
        for each in receipt.lines:
            if alike is Per.LINE and each.line == line.number:
                more = each.quantity_milli + missing * 1000
                lines.append(msgspec.structs.replace(each, quantity_milli=more))
            else:
                lines.append(each)
        if alike is not Per.LINE:
            lines.append(
                msgspec.structs.replace(line.line, line=number, quantity_milli=missing * 1000)
            )
        again = Runner(self.runner.ready, msgspec.structs.replace(receipt, lines=lines))
        again.run()
        before = sum([each.applied_minor.get(promotion, 0) for each in self.runner.state.lines])
        after = sum([each.applied_minor.get(promotion, 0) for each in again.state.lines])
        again.state.release()
        return max(after - before, 0)

    def _of_set(self, result: GoodsSet) -> list[HintGiven]:
        ordered = [in_order(self._open_runs(slot.filter), slot.choose) for slot in result.slots]
        free: dict[tuple[int, int], int] = {}
        while next_set(result, ordered, free) is not None:
            pass
        # What is left over, slot by slot: the free pieces go to the slots in their order.
        begun = False
        short: list[tuple[int, int]] = []
        for index, (slot, runs) in enumerate(zip(result.slots, ordered, strict=True)):
            need = slot.quantity
            for run in runs:
                key = (id(run.lot), run.start)
                start = free.get(key, run.start)
                end = min(start + need, run.end)
                if end > start:
                    free[key] = end
                    need -= end - start
                    begun = True
                if not need:
                    break
            if need:
                short.append((index, need))
        if not begun or len(short) != 1 or short[0][1] > self.runner.ready.program.hint_pieces:
            return []
        index, need = short[0]
        wanted = result.slots[index].filter
        return [self._hint(_Missing(wanted, quantity_milli=need * 1000), None)]


def filter_to_json(wanted: Filter) -> dict[str, Any]:
    """The filter as the language writes it."""
    told: dict[str, Any] = {}
    if wanted.skus is not None:
        told["sku"] = sorted(wanted.skus)
    if wanted.lists is not None:
        told["list"] = list(wanted.list_names)
    if wanted.categories is not None:
        told["category"] = list(wanted.categories)
    if wanted.brands is not None:
        told["brand"] = sorted(wanted.brands)
    if wanted.attributes:
        told["attrs"] = {
            test.key: sorted(test.values)
            if test.values is not None
            else {
                key: bound
                for key, bound in (("from", test.low), ("to", test.high))
                if bound is not None
            }
            for test in wanted.attributes
        }
    if wanted.flags is not None:
        told["flags"] = sorted(wanted.flags)
    if wanted.price_minor is not None:
        told["price"] = [
            None if bound is None else format_minor(bound)
            for bound in (wanted.price_minor.low, wanted.price_minor.high)
        ]
    if wanted.favourite is not None:
        told["favourite"] = wanted.favourite
    if wanted.discounted is not None:
        told["discounted"] = wanted.discounted
    if wanted.exclude is not None:
        told["exclude"] = filter_to_json(wanted.exclude)
    return told
