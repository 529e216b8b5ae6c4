"""Worked examples of the language: lots, floors, modes, windows and points."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from shared.engine.active import Moment, Period
from shared.engine.evaluate import evaluate
from shared.engine.program import (
    EVERYTHING,
    Account,
    AccruePoints,
    Active,
    Choose,
    CouponShown,
    DiscountGoods,
    DiscountReceipt,
    Filter,
    Group,
    Nth,
    Program,
    Promotion,
    Resolve,
    Result,
    SetPrice,
    SpendPoints,
    Window,
)
from shared.wire.answer import Answer, Part
from shared.wire.receipt import Coupon, Customer, Receipt, ReceiptLine, SpendRequest

_HALF = 500_000
_ALL = 1_000_000


def _promotion(name: str, *results: Result, **options: Any) -> Promotion:
    return Promotion(id=name, results=list(results), **options)


def _price(
    promotions: list[Promotion],
    *lines: ReceiptLine,
    resolve: Resolve = Resolve.ALL,
    trace: bool = False,
    **receipt: Any,
) -> Answer:
    program = Program(
        programme="examples",
        version=1,
        currency="RUB",
        timezone="Europe/Moscow",
        groups=[Group(id="main", resolve=resolve, promotions=promotions)],
        accounts=[Account(id="main")],
    )
    time = "2026-11-23T12:00:00+03:00"
    return evaluate(
        program,
        Receipt(receipt_id="r", store="S1", time=time, lines=list(lines), **receipt),
        trace=trace,
    )


def _line(number: int, price_minor: int, pieces: int = 1, **more: Any) -> ReceiptLine:
    return ReceiptLine(
        line=number,
        sku=f"s{number}",
        quantity_milli=pieces * 1000,
        price_minor=price_minor,
        **more,
    )


def _nets(answer: Answer) -> list[int]:
    return [line.net_minor for line in answer.lines]


def test_two_and_one_takes_the_cheapest_of_each_run() -> None:
    """Dearest first, runs of three, the last of each is free; a rest of a run pays in full."""
    gift = _promotion("p", Nth(filter=EVERYTHING, every=3, percent_ppm=_ALL))
    answer = _price([gift], _line(1, 10_000, 2), _line(2, 5_000, 2), _line(3, 1_000, 3))
    # 100 100 [50] | 50 10 [10] | 10
    assert _nets(answer) == [20_000, 5_000, 2_000]


def test_paid_pieces_of_a_run_stay_free_where_all_act_and_used_where_the_first_does() -> None:
    """A later promotion meets the paid piece in mode all, and only unused pieces in mode first."""
    promotions = [
        _promotion("a", Nth(filter=EVERYTHING, every=2, percent_ppm=_ALL)),
        _promotion("b", DiscountGoods(filter=EVERYTHING, percent_ppm=_HALF)),
    ]
    assert _nets(_price(promotions, _line(1, 1_000, 3))) == [1_000]
    assert _nets(_price(promotions, _line(1, 1_000, 3), resolve=Resolve.FIRST)) == [1_500]


def test_own_results_see_the_pieces_that_the_promotion_itself_used() -> None:
    """In mode first a promotion's second result works on what its first left."""
    both = _promotion(
        "p",
        DiscountGoods(filter=EVERYTHING, percent_ppm=_HALF),
        DiscountGoods(filter=EVERYTHING, percent_ppm=_HALF),
    )
    assert _nets(_price([both], _line(1, 1_000), resolve=Resolve.FIRST)) == [250]


def test_closed_pieces_take_nothing_more() -> None:
    """What a closing promotion discounted is out of later goods and receipt results."""
    promotions = [
        _promotion(
            "a",
            DiscountGoods(filter=EVERYTHING, percent_ppm=_HALF, quantity_max=1),
            closes=True,
        ),
        _promotion("b", DiscountReceipt(filter=EVERYTHING, percent_ppm=_HALF)),
    ]
    assert _nets(_price(promotions, _line(1, 1_000, 2))) == [500 + 500]


def test_percent_loses_what_a_floor_cuts_and_an_amount_is_shared_again() -> None:
    """Line 1 may lose 1.00 only: the amount goes to line 2, the percentage does not."""
    lines = (_line(1, 10_000, min_price_minor=9_900), _line(2, 10_000))
    percent = _promotion("p", DiscountReceipt(filter=EVERYTHING, percent_ppm=100_000))
    amount = _promotion("p", DiscountReceipt(filter=EVERYTHING, amount_minor=2_000))
    assert _nets(_price([percent], *lines)) == [9_900, 9_000]
    assert _nets(_price([amount], *lines)) == [9_900, 8_100]


def test_parts_give_extra_kopecks_to_the_first_pieces() -> None:
    """Ten roubles over three pieces: one pays 3.34 and two pay 3.33 each."""
    off = _promotion("p", DiscountReceipt(filter=EVERYTHING, price_minor=1_000))
    (line,) = _price([off], _line(1, 500, 3)).lines
    assert line.parts == [
        Part(quantity_milli=1000, to_pay_minor=334),
        Part(quantity_milli=2000, to_pay_minor=666),
    ]


def test_price_never_goes_up() -> None:
    """A special price above the shelf price changes nothing and names nobody."""
    answer = _price([_promotion("p", SetPrice(filter=EVERYTHING, price_minor=900))], _line(1, 500))
    assert _nets(answer) == [500]
    assert answer.applied == []


def test_dearest_pieces_come_first_when_asked() -> None:
    """One piece at half price is the dearest of the receipt."""
    half = DiscountGoods(
        filter=EVERYTHING, percent_ppm=_HALF, quantity_max=1, choose=Choose.DEAREST
    )
    assert _nets(_price([_promotion("p", half)], _line(1, 500), _line(2, 900))) == [500, 450]


def test_trace_names_the_state_of_a_spent_coupon() -> None:
    """A used coupon does not count, and the reason says so."""
    shown = CouponShown(series=frozenset({"WELCOME"}), codes=frozenset())
    off = _promotion("p", DiscountReceipt(filter=EVERYTHING, percent_ppm=_HALF), when=shown)
    coupon = Coupon(code="W-1", series="WELCOME", state="used")
    answer = _price([off], _line(1, 500), coupons=[coupon], trace=True)
    (entry,) = answer.trace
    assert (entry.reason, entry.subject, entry.seen) == ("condition", "coupon", "used")


def test_points_spent_lower_what_is_paid_and_what_is_earned() -> None:
    """Half may be paid with points; the rest in money earns one percent."""
    promotions = [
        _promotion("a", SpendPoints(account="main", filter=EVERYTHING, max_percent_ppm=_HALF)),
        _promotion("b", AccruePoints(account="main", filter=EVERYTHING, percent_ppm=10_000)),
    ]
    answer = _price(
        promotions,
        _line(1, 10_000),
        customer=Customer(id="c", points_centi={"main": 20_000}),
        spend=SpendRequest(account="main"),
    )
    assert (answer.total.net_minor, answer.total.points_spent_minor) == (10_000, 5_000)
    assert [earned.points_centi for earned in answer.accrued] == [50]


def test_tobacco_is_never_discounted_nor_earns() -> None:
    """No result touches the line, and it gives no points."""
    promotions = [
        _promotion("a", DiscountReceipt(filter=EVERYTHING, percent_ppm=_HALF)),
        _promotion("b", AccruePoints(account="main", filter=Filter(), percent_ppm=10_000)),
    ]
    answer = _price(promotions, _line(1, 10_000, flags=["tobacco"]), customer=Customer())
    assert _nets(answer) == [10_000]
    assert answer.accrued == []


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-27T21:59:59+03:00", False),
        ("2026-11-27T22:00:00+03:00", True),
        ("2026-11-28T01:59:59+03:00", True),
        ("2026-11-28T02:00:00+03:00", False),
        ("2026-11-28T23:00:00+03:00", False),
        ("2026-11-27T01:00:00+03:00", False),
    ],
)
def test_a_window_past_midnight_belongs_to_the_day_it_began(moment: str, expected: bool) -> None:
    """Fridays from 22:00 to 02:00 reach into Saturday, and not into Friday's small hours."""
    fridays = Active(
        weekdays=frozenset({5}), windows=[Window(from_minute=22 * 60, to_minute=26 * 60)]
    )
    assert Period(fridays).holds(Moment(datetime.fromisoformat(moment))) is expected
