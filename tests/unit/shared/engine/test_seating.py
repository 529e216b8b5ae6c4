"""Laws of the search by seats: it finds what exhaustive search finds, and what columns find."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules_compiler.pipeline import compile_document
from shared.engine import best, groups, seating
from shared.engine.columns import Columns
from shared.engine.conditions import Situation
from shared.engine.dealing import Chosen, deal
from shared.engine.entrants import Entrant, Result, results_of
from shared.engine.evaluate import evaluate
from shared.engine.kinds import Kinds, find_kinds
from shared.engine.program import GoodsSet
from shared.engine.recipes import Recipes
from shared.engine.seat_prices import Table
from shared.engine.seating import seat_pieces
from shared.engine.worths import Worths
from shared.wire.answer import Answer
from shared.wire.receipt_json import decode_receipt
from tests.support.examples import examples

Doc = dict[str, Any]
SKUS = ("milk", "bread", "cup", "tea", "salt")
PRICES = ("100.00", "80.00", "66.67", "66.67", "33.33", "12.49", "9.99")


# --- the search alone


@dataclass
class Form:
    """A recipe in the words of the test: its own worth, and per slot the seats and their worths."""

    worth: int
    slots: list[tuple[int, dict[int, int]]]
    is_limited: bool


@dataclass
class Case:
    counts: list[int]
    alone: list[int]
    forms: list[Form] = field(default_factory=list)
    supply: int = 0


@st.composite
def _cases(draw: st.DrawFn) -> Case:
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    case = Case(counts, [draw(st.integers(0, 6)) for _ in counts], supply=draw(st.integers(0, 2)))
    seats = st.dictionaries(st.integers(0, len(counts) - 1), st.integers(0, 20), min_size=1)
    for _ in range(draw(st.integers(1, 3))):
        slots = draw(st.lists(st.tuples(st.integers(1, 2), seats), min_size=1, max_size=2))
        case.forms.append(Form(draw(st.integers(-20, 20)), slots, draw(st.booleans())))
    return case


def _table(case: Case) -> Table:
    table = Table()
    for count, alone in zip(case.counts, case.alone, strict=True):
        table.add_kind(count, alone)
    resource = table.add_slot(-case.supply)
    table.add_tally(0, case.supply, [resource], [1], counted=False)
    for form in case.forms:
        slots = []
        for _, seats in form.slots:
            slots.append(table.add_slot())
            for kind, worth in seats.items():
                table.add_seat(kind, slots[-1], worth)
        amounts = [quantity for quantity, _ in form.slots]
        if form.is_limited:
            slots.append(resource)
            amounts.append(1)
        table.add_tally(form.worth, sum(case.counts), slots, amounts, counted=True)
    return table


def _fillings(seats: dict[int, int], need: int, left: list[int]) -> Iterator[tuple[int, list[int]]]:
    """All ways to fill so many seats: what they are worth, and the pieces that are left."""
    if need == 0:
        yield 0, left
        return
    for kind, worth in seats.items():
        if left[kind]:
            fewer = [count - (at == kind) for at, count in enumerate(left)]
            later = {other: each for other, each in seats.items() if other >= kind}
            for more, rest in _fillings(later, need - 1, fewer):
                yield worth + more, rest


def _applications(form: Form, left: list[int], slot: int = 0) -> Iterator[tuple[int, list[int]]]:
    if slot == len(form.slots):
        yield form.worth, left
        return
    quantity, seats = form.slots[slot]
    for worth, rest in _fillings(seats, quantity, left):
        for more, after in _applications(form, rest, slot + 1):
            yield worth + more, after


def _greatest(case: Case, left: list[int], supply: int, first: int = 0) -> int:
    """The greatest worth over every choice there is."""
    found = sum(count * alone for count, alone in zip(left, case.alone, strict=True))
    for number, form in enumerate(case.forms[first:], start=first):
        if form.is_limited and not supply:
            continue
        for worth, rest in _applications(form, left):
            more = _greatest(case, rest, supply - form.is_limited, number)
            found = max(found, worth + more)
    return found


@examples(200)
@given(case=_cases())
def test_seating_finds_what_exhaustive_search_finds(case: Case) -> None:
    """The choice fits, is worth what the best of all choices is worth, and is called proven."""
    table = _table(case)
    found = seat_pieces(table, 1)
    assert found.optimal
    worth = sum(count * alone for count, alone in zip(found.alone, case.alone, strict=True))
    seated = [0] * len(case.counts)
    for tally, form in enumerate(case.forms, start=1):
        times = found.tallies[tally]
        worth += times * form.worth
        for slot, (quantity, seats) in zip(table.owes[tally], form.slots, strict=False):
            assert times * quantity == sum(count for _, count in found.seated[slot])
            for kind, count in found.seated[slot]:
                worth += count * seats[kind]
                seated[kind] += count
    assert case.counts == [one + other for one, other in zip(seated, found.alone, strict=True)]
    limited = [form.is_limited for form in case.forms]
    used = sum(times for times, held in zip(found.tallies[1:], limited, strict=True) if held)
    assert used <= case.supply
    assert worth == _greatest(case, case.counts, case.supply)


# --- beside the columns


_filters = st.one_of(
    st.just({}),
    st.builds(lambda s: {"sku": sorted(s)}, st.sets(st.sampled_from(SKUS), min_size=1)),
)
_slots = st.lists(
    st.builds(lambda f, q: {"filter": f, "qty": q}, _filters, st.integers(1, 3)),
    min_size=1,
    max_size=3,
)
_money = st.sampled_from(("5.00", "33.33", "60.00", "150.00", "250.00"))
_whole = st.one_of(
    st.builds(lambda p: {"percent": p}, st.sampled_from(("10", "33.3333", "100"))),
    st.builds(lambda m: {"price": m}, _money),
    st.builds(lambda m: {"amount": m}, _money),
)
_sets = st.builds(lambda slots, whole: {"do": "set", "slots": slots} | whole, _slots, _whole)
_by_slot = st.builds(
    lambda slots, reward: {"do": "set", "slots": [*slots[:-1], slots[-1] | reward]},
    _slots,
    st.sampled_from(({"percent": "50"}, {"price": "1.00"})),
)
_nths = st.integers(2, 4).flatmap(
    lambda every: st.builds(
        lambda filter_, take, grouping, same: (
            {"do": "nth", "filter": filter_, "every": every, "take": take, "grouping": grouping}
            | ({"same": same} if same else {})
            | {"percent": "50"}
        ),
        _filters,
        st.integers(1, every),
        st.sampled_from(("chunks", "cheapest")),
        st.sampled_from((None, None, "sku")),
    )
)
_singles = st.builds(
    lambda f, p: {"do": "discount_goods", "filter": f, "percent": p},
    _filters,
    st.sampled_from(("5", "25")),
)


@st.composite
def _promotions(draw: st.DrawFn) -> list[Doc]:
    found = []
    for number in range(1, draw(st.integers(1, 4)) + 1):
        promotion: Doc = {"id": f"p{number}", "name": f"p{number}"}
        promotion["then"] = [draw(st.one_of(_sets, _sets, _by_slot, _nths, _singles))]
        if draw(st.integers(0, 3)) == 0:
            promotion["limits"] = {"per_receipt": draw(st.integers(1, 2))}
        found.append(promotion)
    return found


@st.composite
def _receipts(draw: st.DrawFn) -> Doc:
    lines = []
    for number in range(1, draw(st.integers(1, 6)) + 1):
        line: Doc = {"line": number, "sku": draw(st.sampled_from(SKUS))}
        line["price"] = draw(st.sampled_from(PRICES))
        line["qty"] = str(draw(st.integers(1, 2)))
        if draw(st.integers(0, 5)) == 0:
            line["max_discount"] = draw(st.sampled_from(("10", "40")))
        lines.append(line)
    return {"store": "S1", "time": "2026-11-23T12:00:00+03:00", "lines": lines}


def _answer(promotions: list[Doc], receipt: Doc) -> Answer:
    programme = {
        "programme": "seats",
        "version": 1,
        "currency": "RUB",
        "timezone": "Europe/Moscow",
        "groups": [{"id": "main", "resolve": "best"}],
        "promotions": promotions,
    }
    compilation = compile_document(json.dumps(programme).encode())
    assert compilation.program is not None, [str(each) for each in compilation.diagnostics]
    return evaluate(compilation.program, decode_receipt(json.dumps(receipt).encode()))


def _worth(kinds: Kinds, worths: Worths, results: list[Result], chosen: list[Chosen]) -> int:
    """What a choice is worth, reckoned from its applications."""
    worth = 0
    left = [kind.count for kind in kinds.all]
    for each in chosen:
        result = results[each.plan.result]
        picks = each.plan.taken + each.plan.paid
        gain = sum(pick.count * pick.seat.worth for pick in each.plan.taken)
        if isinstance(spec := result.spec, GoodsSet):
            net = sum(pick.count * kinds.all[pick.kind].weight for pick in picks)
            space = sum(pick.count * pick.seat.space for pick in picks)
            if spec.price_minor is not None:
                gain = min(max(net - spec.price_minor * kinds.unit, 0), space)
            elif spec.amount_minor is not None:
                gain = min(spec.amount_minor * kinds.unit, space)
        worth += each.times * worths.application(result.entrant, gain)
        for pick in picks:
            worth += each.times * pick.count * worths.piece(result.entrant, pick.kind)
            left[pick.kind] -= each.times * pick.count
    assert min(left) >= 0
    return worth


@examples(150)
@given(promotions=_promotions(), receipt=_receipts())
def test_recipes_find_what_columns_find(promotions: list[Doc], receipt: Doc) -> None:
    """Where applications add up, both searches prove choices of the same worth, ties included."""

    def choose(at: Situation, entrants: list[Entrant]) -> best.Choice:
        results = results_of(entrants)
        kinds = find_kinds(at, results)
        worths = Worths(kinds, [result.entrant for result in results], len(entrants))
        bounds = best.Bounds(at, entrants, results, kinds.unit)
        columns = Columns(kinds, worths, bounds, results)
        chosen = columns.choose()
        recipes = Recipes(kinds, worths, bounds, results)
        if kinds.all and recipes.exact:
            found = recipes.choose()
            assert recipes.optimal or recipes.named > best.NAMED_MAX
            seen = _worth(kinds, worths, results, found)
            known = _worth(kinds, worths, results, chosen)
            assert seen == known or not (columns.optimal and recipes.optimal)
            assert seen <= known or not columns.optimal
            assert known <= seen or not recipes.optimal
        return best.Choice(deal(kinds, entrants, results, chosen), optimal=columns.optimal)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "choose_best", choose)
        _answer(promotions, receipt)


@examples(60)
@given(promotions=_promotions(), receipt=_receipts())
def test_without_a_budget_a_choice_is_found_and_not_called_proven(
    promotions: list[Doc], receipt: Doc
) -> None:
    """It keeps to the limits and gives no more than the proven one; better is only the best."""
    proven = _answer(promotions, receipt)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seating, "STEPS_MAX", 0)
        found = _answer(promotions, receipt)
    pieces = sum(int(line["qty"]) for line in receipt["lines"])
    if proven.optimal:
        assert found.total.discount_minor <= proven.total.discount_minor + pieces
    if proven.optimal and found.optimal:
        assert abs(found.total.discount_minor - proven.total.discount_minor) <= pieces
