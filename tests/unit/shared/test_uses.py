"""What a receipt used of limited promotions, by whose limit and in which period."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules_compiler.pipeline import compile_document
from shared.engine.evaluate import evaluate
from shared.engine.program import CustomerLimit, Limits, Program
from shared.uses import (
    BUDGET_DISCOUNT,
    BUDGET_TIMES,
    BudgetUse,
    Measure,
    Used,
    budget_uses,
    counted,
    customer_uses,
    last_day_of,
    limit_asset,
    limit_parts,
    limits_of,
    period_of,
    usage_of_customer,
    usage_of_everybody,
    usage_told,
    used_of,
)
from shared.wire.facts import PromotionUse
from shared.wire.receipt import Usage
from shared.wire.receipt_json import decode_receipt


def program_of(*promotions: dict[str, Any]) -> Program:
    document = {"programme": "p", "version": 1, "currency": "RUB", "timezone": "Europe/Moscow"}
    document["promotions"] = list(promotions)
    compiled = compile_document(json.dumps(document).encode())
    assert compiled.program is not None, compiled.diagnostics
    return compiled.program


def used_by(program: Program, **receipt: Any) -> list[Used]:
    limited = limits_of((p.id, p.limits) for group in program.groups for p in group.promotions)
    read = decode_receipt({"store": "S1", "time": "2026-11-23T12:00:00+03:00", **receipt})
    return used_of(read, evaluate(program, read), limited)


def test_only_what_is_limited_and_acted_is_used() -> None:
    """Pieces and money of the limited promotion; a block is one piece; others are not named."""
    program = program_of(
        {
            "id": "mine",
            "limits": {"per_customer": {"times": 2, "qty": 9, "discount": "50.00", "per": "week"}},
            "then": [{"do": "discount_goods", "filter": {"sku": ["tea"]}, "percent": "10"}],
        },
        {
            "id": "all",
            "limits": {"total": {"times": 5, "discount": "100.00"}},
            "then": [{"do": "discount_goods", "filter": {"sku": ["cup"]}, "percent": "50"}],
        },
        {
            "id": "never",
            "limits": {"total": {"times": 5}},
            "then": [{"do": "discount_goods", "filter": {"sku": ["none"]}, "percent": "50"}],
        },
        {"id": "free", "priority": 200, "then": [{"do": "discount_goods", "percent": "1"}]},
        {
            "id": "here",
            "priority": 200,
            "limits": {"per_receipt": 1},
            "then": [{"do": "discount_goods", "percent": "1"}],
        },
    )
    used = used_by(
        program,
        customer={"id": "c1"},
        lines=[
            {"line": 1, "sku": "tea", "qty": "3", "price": "10.00"},
            {"line": 2, "sku": "tea", "qty": "0.5", "price": "20.00"},
            {"line": 3, "sku": "cup", "qty": "1", "price": "8.00"},
        ],
    )

    found = {each.promotion: (each.quantity_milli, each.discount_minor) for each in used}
    assert found == {"mine": (4_000, 400), "all": (1_000, 400)}
    assert customer_uses(used, "2026-11-23") == [
        PromotionUse(promotion="mine", measure=measure, period="2026-W48", amount=n, limit=limit)
        for measure, n, limit in (("times", 1, 2), ("qty", 4_000, 9_000), ("discount", 400, 5_000))
    ]
    assert budget_uses(used) == [
        BudgetUse(promotion="all", asset=BUDGET_TIMES, amount=1),
        BudgetUse(promotion="all", asset=BUDGET_DISCOUNT, amount=400),
    ]


def test_receipt_is_left_what_the_rights_reach_for() -> None:
    """What the engine may give is the limit less the usage, which is the right, never more."""
    limits = Limits(total_times=10, total_discount_minor=5_000)

    usage = usage_of_everybody(limits, {BUDGET_TIMES: 4})
    assert usage == Usage(times={"total": 6}, discount_minor={"total": 5_000})
    # A limit that was lowered while more was out.
    assert usage_of_everybody(limits, {BUDGET_TIMES: 99, BUDGET_DISCOUNT: 5_000}) == Usage()


def test_what_the_till_says_of_a_measure_wins() -> None:
    """One measure by the till, the other as it is known here."""
    known = usage_of_customer(
        CustomerLimit(per="day", times=3, discount_minor=100),
        {Measure.TIMES: 2, Measure.DISCOUNT: 70},
    )

    assert known == Usage(times={"day": 2}, discount_minor={"day": 70})
    told = usage_told(known, Usage(times={"day": 0}))
    assert told == Usage(times={"day": 0}, discount_minor={"day": 70})
    assert usage_told(known, None) == known


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9))),
    st.dictionaries(st.integers(1, 4), st.integers(0, 9)),
    st.randoms(),
)
def test_counts_merge_in_any_order_and_repetition(
    told: list[tuple[int, int]], mine: dict[int, int], chance: Any
) -> None:
    """A counter by edges: hearing old news again, or in another order, changes nothing."""
    again = told + [chance.choice(told) for _ in range(3) if told]
    chance.shuffle(again)

    assert counted(told, mine) == counted(again, mine)
    assert counted(told, mine) >= max([*mine.values(), *(n for _, n in told), 0])
    assert counted([], mine) == sum(mine.values())


@pytest.mark.parametrize(
    ("per", "period", "last"),
    [
        ("day", "2026-12-31", "2026-12-31"),
        ("week", "2026-W53", "2027-01-03"),
        ("month", "2026-12", "2026-12-31"),
        ("year", "2026", "2026-12-31"),
        ("lifetime", "ever", None),
    ],
)
def test_period_of_the_last_day_of_a_year(per: str, period: str, last: str | None) -> None:
    """The week of 31 December 2026 ends in January."""
    assert period_of(per, "2026-12-31") == period
    assert last_day_of(period) == last


@given(st.dates(dt.date(2000, 1, 1), dt.date(2199, 12, 31)), st.sampled_from(["day", "week"]))
def test_day_is_in_its_period_and_the_day_after_the_last_is_not(day: dt.date, per: str) -> None:
    """Whatever the day, its period ends on or after it, and the next begins after that."""
    period = period_of(per, day.isoformat())
    last = last_day_of(period)

    assert last is not None
    assert last >= day.isoformat()
    assert period_of(per, last) == period
    after = dt.date.fromisoformat(last) + dt.timedelta(days=1)
    assert period_of(per, after.isoformat()) != period


@pytest.mark.parametrize(
    "period", ["", "W", "20261123", "2026-1-1", "2026-13", "2026-W54", "0000", "\u0662026", "ever "]
)
def test_other_words_are_no_period(period: str) -> None:
    """What a record says of a period is looked at before anything is made of it."""
    with pytest.raises(ValueError, match=r".+"):
        last_day_of(period)


@given(st.text(min_size=1), st.sampled_from(Measure), st.sampled_from(["2026-11", "ever"]))
def test_right_to_a_limit_names_what_it_is_of(promotion: str, measure: str, period: str) -> None:
    """Whatever stands in a promotion's name."""
    assert limit_parts(limit_asset(promotion, measure, period)) == (promotion, measure, period)
    assert limit_parts(f"points:{promotion}/{measure}/{period}") is None
