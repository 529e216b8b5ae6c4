"""Returns: shares of what the sale stored, adding up to it exactly in any order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engine.refund import RefundError, refund, sold_quantities
from shared.wire.answer import (
    Accrued,
    Answer,
    AnswerLine,
    Applied,
    ChipsMoved,
    CounterValue,
    CouponIssued,
    LinePoints,
    Part,
    Spent,
    Totals,
)
from shared.wire.refund_json import Refund


def _line(
    number: int, quantity_milli: int, to_pay_minor: int, points_minor: int = 0, **more: Any
) -> AnswerLine:
    net_minor = to_pay_minor + points_minor
    fields: dict[str, Any] = {
        "line": number,
        "list_minor": net_minor,
        "discount_minor": 0,
        "net_minor": net_minor,
        "points_spent_minor": points_minor,
        "to_pay_minor": to_pay_minor,
        "parts": [Part(quantity_milli=quantity_milli, to_pay_minor=to_pay_minor)],
    }
    return AnswerLine(**(fields | more))


def _sale(*lines: AnswerLine, **more: Any) -> Answer:
    total = Totals(
        list_minor=sum(line.list_minor for line in lines),
        discount_minor=sum(line.discount_minor for line in lines),
        net_minor=sum(line.net_minor for line in lines),
        points_spent_minor=sum(line.points_spent_minor for line in lines),
        to_pay_minor=sum(line.to_pay_minor for line in lines),
    )
    fields: dict[str, Any] = {
        "receipt_id": "r1",
        "programme": "shop",
        "version": 1,
        "optimal": True,
        "lines": list(lines),
        "total": total,
    }
    return Answer(**(fields | more))


def _accrued(points_centi: int, by_line: Mapping[int, int] | None = None) -> Accrued:
    return Accrued(
        account="main",
        promotion="base",
        points_centi=points_centi,
        active_on_date="2026-11-23",
        expires_on_date="2027-11-23",
        lines=[
            LinePoints(line=line, points_centi=points) for line, points in (by_line or {}).items()
        ],
    )


def _spent(points_centi: int, **more: Any) -> Spent:
    return Spent(account="main", points_centi=points_centi, **more)


def _refund(
    sale: Answer,
    wanted: Mapping[int, int],
    returned: Mapping[int, int] | None = None,
    **more: Any,
) -> Refund:
    return refund(sale, sold_quantities(sale), returned or {}, wanted, **more)


def _refunds(sale: Answer, *returns: Mapping[int, int], **more: Any) -> list[Refund]:
    """One return after the other, each starting from the state that the one before left."""
    done: list[Refund] = []
    returned: dict[int, int] = {}
    for wanted in returns:
        done.append(_refund(sale, wanted, returned, **more))
        returned = {line.line: line.quantity_milli for line in done[-1].returned}
    return done


def _taken(back: Refund) -> int:
    return sum(points.points_centi for points in back.points_taken)


def _given(back: Refund) -> int:
    return sum(points.points_centi for points in back.points_returned)


# --- the examples of the catalogue


def test_m181_partial_return_of_a_discounted_line() -> None:
    """Three for 100.00 come back as 33.33, 33.34 and 33.33."""
    sale = _sale(_line(1, 3000, 10_000))

    done = _refunds(sale, {1: 1000}, {1: 1000}, {1: 1000})

    assert [back.money_minor for back in done] == [3333, 3334, 3333]
    assert [back.full for back in done] == [False, False, True]


def test_m182_a_set_member_comes_back_as_paid() -> None:
    """One of a set gives back what was paid for it; the rest keeps its price."""
    sale = _sale(_line(1, 1000, 14_619), _line(2, 1000, 8008), _line(3, 1000, 7273))

    back = _refund(sale, {2: 1000})

    assert back.money_minor == 8008
    assert [line.line for line in back.lines] == [2]


def test_m183_earned_points_are_taken_back() -> None:
    """Half of the goods takes half of the points, with the dates that name their lot."""
    sale = _sale(_line(1, 2000, 100_000), accrued=[_accrued(5000, {1: 5000})])

    back = _refund(sale, {1: 1000})

    assert (back.money_minor, _taken(back)) == (50_000, 2500)
    (taken,) = back.points_taken
    assert (taken.account, taken.promotion) == ("main", "base")
    assert (taken.active_on_date, taken.expires_on_date) == ("2026-11-23", "2027-11-23")


def test_m184_spent_points_come_back_as_points() -> None:
    """700.00 in money and 300.00 in points go back the way they came."""
    sale = _sale(
        _line(1, 2000, 70_000, 30_000), accrued=[_accrued(3500, {1: 3500})], spent=[_spent(30_000)]
    )

    back = _refund(sale, {1: 2000})

    assert (back.money_minor, _given(back), _taken(back)) == (70_000, 30_000, 3500)
    assert back.points_spent_minor == 30_000


def test_m185_chips_are_recounted_on_what_is_kept() -> None:
    """1600.00 gave 3 chips; 900.00 is worth 1."""
    sale = _sale(
        _line(1, 1000, 90_000),
        _line(2, 1000, 70_000),
        chips=[ChipsMoved(account="cats", promotion="chips", earned=3)],
    )

    back = _refund(sale, {2: 1000})

    assert back.money_minor == 70_000
    assert back.chips == [ChipsMoved(account="cats", promotion="chips", earned=-2)]


def test_m186_the_coupon_is_restored_on_full_return_only() -> None:
    """A coupon stays used while anything is kept."""
    whole = _sale(_line(1, 1000, 9000))
    two = _sale(_line(1, 1000, 9000), _line(2, 1000, 9000))

    assert _refund(whole, {1: 1000}).coupons_restored
    assert [back.coupons_restored for back in _refunds(two, {1: 1000}, {2: 1000})] == [False, True]


def test_m187_a_weighed_line_comes_back_by_weight() -> None:
    """0.254 kg of 0.754 kg for 467.40 is 157.45."""
    sale = _sale(_line(1, 754, 46_740))

    done = _refunds(sale, {1: 254}, {1: 500})

    assert [back.money_minor for back in done] == [15_745, 30_995]


# --- what users of other engines complain of


def test_complaint_10_buying_and_returning_makes_no_points() -> None:
    """Buy, earn, return, again and again: nothing is left of the points, whatever gave them."""
    sale = _sale(
        _line(1, 3000, 100_000),
        _line(2, 1000, 10),
        accrued=[_accrued(1001, {1: 1000, 2: 1}), _accrued(50_000)],
    )

    done = _refunds(sale, {1: 1000}, {1: 2000}, {2: 1000})

    assert sum(map(_taken, done)) == 51_001
    # A gift for the visit does not stay with a piece of gum: it goes back with the money.
    assert sum(map(_taken, done[:2])) >= 50_990


def test_complaint_11_a_return_gives_spent_points_back_once() -> None:
    """Points that paid come back; they are never charged again, and never come back as money."""
    sale = _sale(_line(1, 3000, 0, 10_000), spent=[_spent(10_000)])

    done = _refunds(sale, {1: 1000}, {1: 1000}, {1: 1000})

    assert [_given(back) for back in done] == [3333, 3334, 3333]
    assert [back.money_minor for back in done] == [0, 0, 0]


def test_complaint_12_a_return_leaves_the_reward_of_other_goods_alone() -> None:
    """What another line earned and saved stays, though something else comes back."""
    sale = _sale(
        _line(1, 1000, 10_000),
        _line(2, 1000, 5000, list_minor=8000, discount_minor=3000),
        accrued=[_accrued(500, {2: 500})],
    )

    back = _refund(sale, {1: 1000})

    assert (back.money_minor, back.points_taken) == (10_000, [])
    assert _refund(sale, {2: 1000}, {1: 1000}).money_minor == 5000


def test_complaint_13_returns_take_the_points_back() -> None:
    """Every return takes its part, also where the answer says nothing of lines."""
    sale = _sale(_line(1, 1000, 30_000), _line(2, 1000, 10_000), accrued=[_accrued(400)])

    assert [_taken(back) for back in _refunds(sale, {1: 1000}, {2: 1000})] == [300, 100]


def test_complaint_14_what_was_deducted_is_what_comes_back() -> None:
    """A full return gives each account the very points that were taken from it."""
    spent = [_spent(60_000), Spent(account="gift", points_centi=777), _spent(5, promotion="cost")]
    sale = _sale(_line(1, 3000, 100, 20_000), _line(2, 7, 1, 10_777), spent=spent)

    done = _refunds(sale, {1: 1000}, {2: 3}, {1: 2000, 2: 4})

    sums: dict[str, int] = {}
    for back in done:
        for points in back.points_returned:
            sums[points.account] = sums.get(points.account, 0) + points.points_centi
    assert sums == {"main": 60_005, "gift": 777}


def test_complaint_15_a_discount_is_not_shared_again_over_kept_goods() -> None:
    """What was paid for the goods kept is the same before and after the return."""
    sale = _sale(_line(1, 1000, 9000), _line(2, 1000, 4500))
    kept_before = _refund(sale, {2: 1000}).money_minor

    kept_after = _refund(sale, {2: 1000}, {1: 1000}).money_minor

    assert kept_before == kept_after == 4500


def test_complaint_16_one_item_after_a_receipt_discount_gives_what_was_paid() -> None:
    """100.00 off 300.00 lies on the lines already: one item gives its paid 66.67."""
    sale = _sale(
        _line(1, 1000, 13_333, list_minor=20_000, discount_minor=6667),
        _line(2, 1000, 6667, list_minor=10_000, discount_minor=3333),
    )

    assert _refund(sale, {2: 1000}).money_minor == 6667


def test_complaint_17_only_what_was_paid_counts() -> None:
    """List prices and discounts are not looked at, so nothing can be mixed."""
    plain = _sale(_line(1, 3000, 9999))
    reduced = _sale(_line(1, 3000, 9999, list_minor=20_000, discount_minor=10_001))

    assert _refund(plain, {1: 2000}) == _refund(reduced, {1: 2000})


def test_complaint_18_partial_returns_give_all_that_was_paid() -> None:
    """Seven pieces at a discount, returned one by one, give the whole sum."""
    sale = _sale(_line(1, 7000, 10_001, list_minor=14_000, discount_minor=3999))

    done = _refunds(sale, *[{1: 1000}] * 7)

    assert sum(back.money_minor for back in done) == 10_001
    assert {back.money_minor for back in done} <= {1428, 1429}


# --- what the catalogue leaves to us


def test_points_as_a_payment_never_come_back_as_money() -> None:
    """Where points are a payment, to_pay holds them; the money back is without them."""
    sale = _sale(
        _line(1, 1000, 100_000, 30_000, net_minor=100_000),
        spent=[_spent(30_000)],
    )

    back = _refund(sale, {1: 1000})

    assert (back.money_minor, _given(back)) == (70_000, 30_000)


def test_points_with_a_rate_come_back_in_points() -> None:
    """600 points paid 300.00: a third of the goods gives 200 points, worth 100.00."""
    sale = _sale(_line(1, 3000, 0, 30_000), spent=[_spent(60_000)])

    back = _refund(sale, {1: 1000})

    assert (_given(back), back.points_spent_minor) == (20_000, 10_000)


def test_the_cost_of_a_promotion_comes_back_with_the_whole_receipt_only() -> None:
    """A cost bought the receipt its promotion, not one of its pieces."""
    sale = _sale(_line(1, 2000, 1000), spent=[_spent(500, promotion="exchange")])

    assert [_given(back) for back in _refunds(sale, {1: 1000}, {1: 1000})] == [0, 500]


def test_spent_chips_follow_the_goods_they_bought() -> None:
    """Chips paid for two pieces of one line; other goods bring none of them back."""
    applied = [Applied(promotion="toys", discount_minor=5000, quantity_milli=2000)]
    sale = _sale(
        _line(1, 2000, 10_000, applied=applied),
        _line(2, 1000, 90_000),
        chips=[ChipsMoved(account="cats", promotion="toys", spent=10)],
    )

    moved = [back.chips for back in _refunds(sale, {2: 1000}, {1: 1000}, {1: 1000})]

    half = [ChipsMoved(account="cats", promotion="toys", spent=-5)]
    assert moved == [[], half, half]


def test_counters_and_coupons_handed_out_fall_away_with_the_whole_receipt() -> None:
    """They stay until nothing of the sale is left."""
    coupon = CouponIssued(series="NEXT", count=1, promotion="next")
    sale = _sale(
        _line(1, 2000, 1000), counters=[CounterValue(id="coffee", value=5)], coupons=[coupon]
    )

    part, rest = _refunds(sale, {1: 1000}, {1: 1000})

    assert (part.counters_taken, part.coupons_taken) == ([], [])
    assert (rest.counters_taken, rest.coupons_taken) == (["coffee"], [coupon])


def test_a_free_receipt_still_gives_its_points_and_chips_back() -> None:
    """Where nothing was paid, what stands on no line goes by quantity."""
    sale = _sale(
        _line(1, 1000, 0),
        _line(2, 1000, 0),
        accrued=[_accrued(100)],
        chips=[ChipsMoved(account="cats", promotion="visit", earned=2)],
    )

    done = _refunds(sale, {1: 1000}, {2: 1000})

    assert [_taken(back) for back in done] == [50, 50]
    assert [chips.earned for back in done for chips in back.chips] == [-1, -1]


def test_small_shares_of_many_lines_are_rounded_together() -> None:
    """A hundredth on each of a hundred lines: half of all goods takes half of all points."""
    lines = [_line(number, 2000, 100) for number in range(1, 101)]
    sale = _sale(*lines, accrued=[_accrued(100, {line.line: 1 for line in lines})])
    each = {line.line: 1000 for line in lines}

    assert [_taken(back) for back in _refunds(sale, each, each)] == [50, 50]


def test_at_a_rate_of_one_points_and_their_worth_agree() -> None:
    """What the lines report as worth is what goes to the account, return after return."""
    sale = _sale(*[_line(number, 3000, 1000, 100) for number in range(1, 8)], spent=[_spent(700)])

    done = _refunds(sale, *[dict.fromkeys(range(1, 8), 1000)] * 3)

    assert [_given(back) for back in done] == [231, 238, 231]
    assert [back.points_spent_minor for back in done] == [231, 238, 231]


# --- what is refused


def _codes(sale: Answer, wanted: Mapping[int, int], returned: Mapping[int, int]) -> Any:
    with pytest.raises(RefundError) as caught:
        _refund(sale, wanted, returned)
    assert all(finding.hint for finding in caught.value.findings)
    return [(finding.code, finding.pointer) for finding in caught.value.findings]


@pytest.mark.parametrize(
    ("wanted", "returned", "expected"),
    [
        ({}, {}, [("empty_return", "/return")]),
        ({9: 1000}, {}, [("unknown_line", "/return/9")]),
        ({1: 1000}, {9: 1000}, [("unknown_line", "/returned/9")]),
        ({1: 4000}, {}, [("too_much", "/return/1")]),
        ({1: 1000}, {1: 3000}, [("too_much", "/return/1")]),
        ({2: 300}, {2: 500}, [("too_much", "/return/2")]),
        ({2: 1}, {1: 4000}, [("too_much", "/returned/1")]),
        ({1: 0}, {}, [("bounds", "/return/1")]),
        ({1: -1000}, {}, [("bounds", "/return/1")]),
        ({1: 1000}, {1: -1000}, [("bounds", "/returned/1")]),
        ({1: 500}, {}, [("part_of_piece", "/return/1")]),
        ({1: 1000}, {1: 500}, [("part_of_piece", "/returned/1")]),
        ({9: 1, 2: 800}, {}, [("unknown_line", "/return/9"), ("too_much", "/return/2")]),
    ],
)
def test_what_cannot_be_returned_is_refused(
    wanted: dict[int, int], returned: dict[int, int], expected: list[tuple[str, str]]
) -> None:
    """Every fault is told with its place and a hint."""
    sale = _sale(_line(1, 3000, 10_000), _line(2, 754, 5000))

    assert _codes(sale, wanted, returned) == expected


def test_weighed_goods_of_a_whole_weight_can_be_cut() -> None:
    """Exactly two kilograms are not two pieces, if the caller says so."""
    sale = _sale(_line(1, 2000, 10_000))

    assert _refund(sale, {1: 500}, divisible={1}).money_minor == 2500


def test_a_coded_error_stands_for_the_first_fault() -> None:
    """The error carries code, pointer and hint of its first finding."""
    with pytest.raises(RefundError) as caught:
        _refund(_sale(_line(1, 1000, 100)), {1: 2000})

    assert (caught.value.stable_code, caught.value.pointer) == ("too_much", "/return/1")
    assert caught.value.hint == "1 were sold; look at what has been returned before."


# --- laws


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A sale and one way to return all of it."""

    sale: Answer
    returns: list[dict[int, int]]


_sums = st.integers(0, 10**7)
_numbers = st.integers(0, 10**6)


@st.composite
def _sales(draw: st.DrawFn) -> Answer:
    lines = []
    shares: dict[int, int] = {}
    for number in range(1, draw(st.integers(1, 5)) + 1):
        quantity = draw(st.integers(1, 5).map(lambda n: n * 1000) | st.integers(1, 3000))
        applied = [
            Applied(promotion="chips", discount_minor=0, quantity_milli=draw(st.integers(0, 3)))
        ]
        lines.append(_line(number, quantity, draw(_sums), draw(_sums), applied=applied))
        shares[number] = draw(_numbers)
    of_goods = sum(shares.values())
    return _sale(
        *lines,
        accrued=[
            _accrued(of_goods + draw(st.sampled_from((0, 1, 777))), shares),
            _accrued(draw(_numbers)),
        ],
        spent=[_spent(draw(_numbers)), _spent(draw(_numbers), promotion="cost")],
        chips=[
            ChipsMoved(
                account="cats",
                promotion="chips",
                earned=draw(st.integers(0, 50)),
                spent=draw(st.integers(0, 50)),
            )
        ],
        coupons=[CouponIssued(series="NEXT", count=1, promotion="next")],
        counters=[CounterValue(id="coffee", value=5)],
    )


@st.composite
def _cases(draw: st.DrawFn) -> _Case:
    sale = draw(_sales())
    left = sold_quantities(sale)
    returns: list[dict[int, int]] = []
    while any(left.values()):
        wanted = {}
        for line, quantity in left.items():
            whole = sold_quantities(sale)[line] % 1000 == 0
            grain = 1000 if whole else 1
            back = draw(st.integers(0, quantity // grain)) * grain
            if back:
                wanted[line] = back
        if not wanted or len(returns) == 6:
            wanted = {line: quantity for line, quantity in left.items() if quantity}
        for line, quantity in wanted.items():
            left[line] -= quantity
        returns.append(wanted)
    return _Case(sale=sale, returns=returns)


def _sum(done: list[Refund]) -> dict[str, Any]:
    """All returns together, in the words of the sale."""
    sums: dict[str, Any] = {
        "money": sum(back.money_minor for back in done),
        "worth": sum(back.points_spent_minor for back in done),
        "given": sum(map(_given, done)),
        "taken": sum(map(_taken, done)),
        "chips_earned": -sum(chips.earned for back in done for chips in back.chips),
        "chips_spent": -sum(chips.spent for back in done for chips in back.chips),
    }
    for back in done:
        for line in back.lines:
            for key, amount in (("m", line.money_minor), ("p", line.points_spent_minor)):
                name = f"{key}{line.line}"
                sums[name] = sums.get(name, 0) + amount
    return sums


def _whole(sale: Answer) -> dict[str, Any]:
    (chips,) = sale.chips
    return {
        "money": sale.total.to_pay_minor,
        "worth": sale.total.points_spent_minor,
        "given": sum(spent.points_centi for spent in sale.spent),
        "taken": sum(accrued.points_centi for accrued in sale.accrued),
        "chips_earned": chips.earned,
        "chips_spent": chips.spent,
        **{f"m{line.line}": line.to_pay_minor for line in sale.lines},
        **{f"p{line.line}": line.points_spent_minor for line in sale.lines},
    }


@given(_cases())
def test_partial_returns_add_up_to_the_whole(case: _Case) -> None:
    """However the goods come back, in the end all has gone back, to the kopeck and the chip."""
    done = _refunds(case.sale, *case.returns)

    assert _sum(done) == _whole(case.sale)
    assert [back.full for back in done] == [False] * (len(done) - 1) + [True]


@given(_cases())
def test_no_return_takes_anything_back_or_exceeds_the_sale(case: _Case) -> None:
    """Every return is zero or more in every column, and no sum on the way exceeds the sale."""
    done = _refunds(case.sale, *case.returns)
    whole = _whole(case.sale)

    for count in range(1, len(done) + 1):
        assert all(amount >= 0 for amount in _sum([done[count - 1]]).values())
        assert all(amount <= whole[name] for name, amount in _sum(done[:count]).items())


@given(_cases(), st.randoms(use_true_random=False))
def test_what_went_back_depends_on_the_goods_not_on_the_order(case: _Case, chance: Any) -> None:
    """The same goods returned at once or one by one, in any order, gave the same."""
    some = case.returns[: chance.randint(1, len(case.returns))]
    at_once: dict[int, int] = {}
    for wanted in some:
        for line, quantity in wanted.items():
            at_once[line] = at_once.get(line, 0) + quantity
    shuffled = list(some)
    chance.shuffle(shuffled)
    every_line = [{line: quantity} for wanted in shuffled for line, quantity in wanted.items()]

    one = _sum(_refunds(case.sale, at_once))

    assert _sum(_refunds(case.sale, *shuffled)) == one
    assert _sum(_refunds(case.sale, *every_line)) == one


@given(_cases())
def test_what_has_gone_back_is_the_share_rounded_half_up(case: _Case) -> None:
    """After each return a line has given whole × returned share, halves up: no drift."""
    done = _refunds(case.sale, *case.returns)
    sold = sold_quantities(case.sale)

    for count in range(1, len(done) + 1):
        sums = _sum(done[:count])
        for back in done[count - 1].returned:
            (line,) = (line for line in case.sale.lines if line.line == back.line)
            for key, whole in (("m", line.to_pay_minor), ("p", line.points_spent_minor)):
                exact = 2 * whole * back.quantity_milli + sold[back.line]
                assert sums[f"{key}{back.line}"] == exact // (2 * sold[back.line])


@given(_sales())
def test_a_refund_is_the_same_after_storage(sale: Answer) -> None:
    """A refund survives the wire, as every structure that is stored."""
    back = refund(sale, sold_quantities(sale), {}, sold_quantities(sale))

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(back), type=Refund) == back
