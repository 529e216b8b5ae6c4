"""Laws that every answer keeps, whatever the programme and the receipt."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shared.engine.allocate import allocate_with_room
from shared.engine.evaluate import evaluate
from shared.engine.lots import NO_BENEFIT_FLAGS
from shared.engine.program import (
    Account,
    AccruePoints,
    Choose,
    DiscountGoods,
    DiscountReceipt,
    Filter,
    Group,
    Limits,
    Nth,
    Per,
    Program,
    Promotion,
    Resolve,
    Result,
    RoundTotal,
    SetPrice,
    SpendPoints,
    decode_program,
    encode_program,
)
from shared.money import PPM, allocate_largest_remainder, divide_floor, divide_half_up
from shared.wire.receipt import Customer, Receipt, ReceiptLine, SpendRequest
from tests.support.examples import examples

_SKUS = ("milk", "bread", "cheese", "wine")


def _optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


_rates = st.integers(0, PPM)
_money = st.integers(0, 50_000)
_filters = st.builds(Filter, skus=_optional(st.frozensets(st.sampled_from(_SKUS), min_size=1)))

_goods: st.SearchStrategy[Result] = st.one_of(
    st.builds(
        DiscountGoods,
        filter=_filters,
        percent_ppm=_rates,
        skip_count=st.integers(0, 2),
        quantity_max=_optional(st.integers(1, 4)),
        quantity_max_by=st.sampled_from(Per),
        choose=st.sampled_from(Choose),
        cap_minor=_optional(_money),
    ),
    st.builds(DiscountGoods, filter=_filters, amount_each_minor=_money),
    st.builds(DiscountGoods, filter=_filters, amount_minor=_money, cap_minor=_optional(_money)),
    st.builds(SetPrice, filter=_filters, price_minor=_money),
    st.builds(SetPrice, filter=_filters, ending_minor=st.sampled_from((90, 99, 900, 999))),
    st.integers(1, 4).flatmap(
        lambda every: st.builds(
            Nth,
            filter=_filters,
            every=st.just(every),
            take=st.integers(1, every),
            percent_ppm=_rates,
            cheapest=st.booleans(),
            same=st.sampled_from((None, Per.SKU, Per.LINE)),
        )
    ),
)
_later: st.SearchStrategy[Result] = st.one_of(
    st.builds(DiscountReceipt, filter=_filters, percent_ppm=_rates, cap_minor=_optional(_money)),
    st.builds(DiscountReceipt, filter=_filters, amount_minor=_money),
    st.builds(DiscountReceipt, filter=_filters, price_minor=_money),
    st.builds(
        SpendPoints,
        account=st.just("main"),
        filter=_filters,
        max_percent_ppm=_rates,
        keep_each_minor=st.integers(0, 100),
        keep_total_minor=st.integers(0, 1000),
    ),
    st.builds(RoundTotal, to_minor=st.sampled_from((100, 1000)), each_line=st.booleans()),
    st.builds(AccruePoints, account=st.just("main"), filter=_filters, percent_ppm=_rates),
)


@st.composite
def _programs(draw: st.DrawFn) -> Program:
    promotions = [
        Promotion(
            id=f"p{index}",
            results=draw(st.lists(_goods | _later, min_size=1, max_size=3)),
            stack=draw(st.booleans()),
            closes=draw(st.booleans()),
            only_one_of=draw(st.sampled_from((None, None, "family"))),
            forbid_spend=draw(st.booleans()),
            forbid_accrual=draw(st.booleans()),
            limits=draw(_optional(st.builds(Limits, per_receipt=st.integers(1, 3)))),
        )
        for index in range(draw(st.integers(1, 5)))
    ]
    cut = draw(st.integers(0, len(promotions)))
    return Program(
        programme="laws",
        version=1,
        currency="RUB",
        timezone="Europe/Moscow",
        groups=[
            Group(id="g1", resolve=draw(st.sampled_from(Resolve)), promotions=promotions[:cut]),
            Group(id="g2", resolve=draw(st.sampled_from(Resolve)), promotions=promotions[cut:]),
        ],
        accounts=[
            Account(
                id="main",
                rate_minor=draw(st.sampled_from((100, 50, 33))),
                precision_centi=draw(st.sampled_from((1, 100))),
            )
        ],
        max_discount_ppm=draw(st.sampled_from((PPM, PPM // 2))),
    )


@st.composite
def _receipts(draw: st.DrawFn) -> Receipt:
    lines = [
        ReceiptLine(
            line=number,
            sku=draw(st.sampled_from(_SKUS)),
            quantity_milli=draw(st.sampled_from((1000, 2000, 3000, 7000, 532, 1250))),
            price_minor=draw(st.integers(0, 99_999)),
            flags=draw(st.sampled_from(([], [], ["tobacco"], ["no_discount"], ["excise_alcohol"]))),
            min_price_minor=draw(_optional(st.integers(0, 99_999))),
            max_discount_ppm=draw(_optional(_rates)),
        )
        for number in range(1, draw(st.integers(1, 6)) + 1)
    ]
    customer = draw(_optional(st.just(Customer(id="c1", points_centi={"main": 30_000}))))
    return Receipt(
        receipt_id="r1",
        store="S1",
        time="2026-11-23T12:00:00+03:00",
        lines=lines,
        customer=customer,
        spend=draw(_optional(st.just(SpendRequest(account="main")))),
    )


@examples(300)
@given(program=_programs(), receipt=_receipts())
def test_sums_agree_in_every_line_and_in_the_total(program: Program, receipt: Receipt) -> None:
    """Net is list less discount, parts and promotions add up, and no sum falls below zero."""
    answer = evaluate(program, receipt)
    for line, bought in zip(answer.lines, receipt.lines, strict=True):
        assert line.list_minor - line.discount_minor == line.net_minor
        assert line.net_minor - line.points_spent_minor == line.to_pay_minor
        assert sum(applied.discount_minor for applied in line.applied) == line.discount_minor
        assert all(0 < applied.quantity_milli <= bought.quantity_milli for applied in line.applied)
        assert sum(part.to_pay_minor for part in line.parts) == line.to_pay_minor
        assert sum(part.quantity_milli for part in line.parts) == bought.quantity_milli
        assert min(line.to_pay_minor, line.points_spent_minor, line.discount_minor) >= 0
    for column in msgspec.structs.asdict(answer.total):
        assert sum(getattr(line, column) for line in answer.lines) == getattr(answer.total, column)


@examples(300)
@given(program=_programs(), receipt=_receipts())
def test_no_line_goes_below_its_floor(program: Program, receipt: Receipt) -> None:
    """Protected lines keep their price; the others their minimum price and largest discount."""
    answer = evaluate(program, receipt)
    for line, bought in zip(answer.lines, receipt.lines, strict=True):
        if not NO_BENEFIT_FLAGS.isdisjoint(bought.flags):
            assert line.list_minor == line.to_pay_minor
            continue
        rate = bought.max_discount_ppm
        rate = program.max_discount_ppm if rate is None else rate
        allowed_minor = divide_floor(line.list_minor * rate, PPM)
        if bought.min_price_minor is not None:
            least = divide_half_up(bought.min_price_minor * bought.quantity_milli, 1000)
            allowed_minor = min(allowed_minor, max(line.list_minor - least, 0))
        # The floor of a lot is rounded by itself, so that a line of many lots may differ by less
        # than a kopeck for each of its pieces.
        slack = bought.quantity_milli // 1000
        assert line.discount_minor + line.points_spent_minor <= allowed_minor + slack


@examples(200)
@given(program=_programs(), receipt=_receipts())
def test_trace_changes_nothing_and_speaks_of_every_result(
    program: Program, receipt: Receipt
) -> None:
    """The answer with reasons is the same answer, and no result is left without a reason."""
    traced = evaluate(program, receipt, trace=True)
    assert evaluate(program, receipt) == msgspec.structs.replace(traced, trace=[])
    expected = {
        (promotion.id, index)
        for group in program.groups
        for promotion in group.promotions
        for index in range(len(promotion.results))
    }
    assert expected == {(entry.promotion, entry.result_index) for entry in traced.trace}
    assert set(traced.applied) == {
        entry.promotion for entry in traced.trace if entry.outcome == "applied"
    }


@examples(100)
@given(program=_programs(), receipt=_receipts())
def test_program_from_its_bytes_prices_the_same(program: Program, receipt: Receipt) -> None:
    """What a bundle carries is the program that was written."""
    loaded = decode_program(encode_program(program))
    assert program == loaded
    assert encode_program(program) == encode_program(loaded)
    assert evaluate(program, receipt) == evaluate(loaded, receipt)


@given(
    amount=st.integers(0, 10**9),
    weights=st.lists(st.integers(0, 10**7), min_size=1, max_size=30).filter(any),
)
def test_allocation_adds_up_and_is_fair(amount: int, weights: list[int]) -> None:
    """The parts add up to the amount, and none is a whole kopeck off its exact share."""
    parts = allocate_largest_remainder(amount, weights)
    assert amount == sum(parts)
    total = sum(weights)
    assert all(
        abs(part * total - amount * weight) < total
        for part, weight in zip(parts, weights, strict=True)
    )


@given(
    amount=st.integers(0, 10**6),
    parts=st.lists(
        st.integers(0, 10**5).flatmap(
            lambda weight: st.tuples(st.just(weight), st.integers(0, weight))
        ),
        min_size=1,
        max_size=20,
    ),
)
def test_shared_again_an_amount_is_used_up_or_nobody_has_room(
    amount: int, parts: list[tuple[int, int]]
) -> None:
    """What a floor cuts off one part goes to the others until it is gone or all are full."""
    weights, rooms = [part[0] for part in parts], [part[1] for part in parts]
    given_minor = allocate_with_room(amount, weights, rooms, again=True)
    assert all(got <= room for got, room in zip(given_minor, rooms, strict=True))
    assert min(amount, sum(rooms)) == sum(given_minor)
