"""Ladders: steps of a bound and a value, written in any order (section 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from rules_compiler.reading import MONEY_MAX, SUM_MILLI_MAX, money, pair, percent
from shared.engine.program import CategoryRate, LadderStep, Measure, Step, Tiers, Value
from shared.wire.reading import Place

_STEPS_MAX: Final = 1_000


def read_tiers(place: Place) -> Tiers | None:
    """``tiers`` of a goods result: what is measured, the steps, what a step gives."""
    if not place.object(frozenset({"by", "steps", "value"}), required=("by", "steps")):
        return None
    by, steps, value = place.get("by"), place.get("steps"), place.get("value")
    measure = None if by is None else by.choice(*Measure)
    gives = Value.PERCENT if value is None else Value(value.choice(*Value) or Value.PERCENT)
    if steps is None or measure is None:
        return None
    return Tiers(
        by=Measure(measure),
        steps=read_steps(steps, _BOUNDS[Measure(measure)], in_money=gives is not Value.PERCENT),
        gives=gives,
    )


def read_total_steps(place: Place, *, in_money: bool) -> list[Step]:
    """``tiers`` of a receipt result: steps of the running total."""
    return read_steps(place, _BOUNDS[Measure.TOTAL], in_money=in_money)


def read_steps(
    place: Place, read_bound: Callable[[Place], int | None], *, in_money: bool
) -> list[Step]:
    """Pairs of a bound and a value, by ascending bound."""
    steps: dict[int, Step] = {}
    for bound_at, value_at in _pairs(place):
        bound = read_bound(bound_at)
        value = money(value_at) if in_money else percent(value_at)
        if bound is None or value is None:
            continue
        if bound in steps:
            _two_of_one(bound_at)
        steps[bound] = Step(bound=bound, value=value)
    return [steps[bound] for bound in sorted(steps)]


def read_chips_ladder(place: Place) -> list[LadderStep]:
    """Pairs of chips and a percent, by descending chips."""
    steps: dict[int, LadderStep] = {}
    for chips_at, rate_at in _pairs(place):
        chips, rate = chips_at.integer(low=1), percent(rate_at)
        if chips is None or rate is None:
            continue
        if chips in steps:
            _two_of_one(chips_at)
        steps[chips] = LadderStep(chips=chips, percent_ppm=rate)
    return [steps[chips] for chips in sorted(steps, reverse=True)]


def read_piece_rates(place: Place) -> list[int]:
    """``steps`` of a goods result: the percent of the first piece, of the second and so on."""
    found = [percent(each) for each in place.items("a list of percents", most=_STEPS_MAX)]
    if place.value == []:
        place.fail("empty", "at least one percent")
    return [rate for rate in found if rate is not None]


def read_category_rates(place: Place) -> list[CategoryRate]:
    """``by_category``: a percent for each category, in the order of their names."""
    found = [(category, percent(each)) for category, each in place.entries()]
    return sorted(
        (CategoryRate(category=key, percent_ppm=rate) for key, rate in found if rate is not None),
        key=lambda each: each.category,
    )


def _pairs(place: Place) -> Iterator[tuple[Place, Place]]:
    for each in place.items("a list of steps", most=_STEPS_MAX):
        step = pair(each, "a pair [from, value]")
        if step is not None:
            yield step
    if place.value == []:
        place.fail("empty", "at least one step")


def _two_of_one(place: Place) -> None:
    place.fail(
        "duplicate_bound",
        "a bound that no other step has",
        hint="Which of two steps with one bound is meant cannot be told: keep one.",
    )


_BOUNDS: Final[dict[Measure, Callable[[Place], int | None]]] = {
    Measure.QUANTITY: lambda place: place.decimal(3, high=SUM_MILLI_MAX, what="a quantity"),
    Measure.TOTAL: lambda place: place.decimal(2, high=MONEY_MAX, what="a sum of money"),
    Measure.DISTINCT: lambda place: place.integer(),
}
