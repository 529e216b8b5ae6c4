"""The week of the panel: nothing lost on the way to receipts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from installer.demo.dataset import STORES, Week, load_week, measured, split_pieces
from installer.demo.replay import decimal_text, receipt_json


@pytest.fixture(scope="module")
def week() -> Week:
    return load_week(seed=1)


def list_minor(price_minor: int, qty_milli: int) -> int:
    return (2 * price_minor * qty_milli + 1000) // 2000


@given(st.integers(1, 144), st.integers(0, 10**7))
def test_pieces_keep_every_cent(pieces: int, amount_minor: int) -> None:
    """Lines of one position together cost exactly what the data say, and are that many pieces."""
    lines = split_pieces(sku="x", pieces=pieces, amount_minor=amount_minor)

    assert amount_minor == sum(list_minor(line.price_minor, line.qty_milli) for line in lines)
    assert pieces * 1000 == sum(line.qty_milli for line in lines)


@given(st.integers(145, 90_000), st.integers(1, 10**5))
def test_measured_goods_differ_by_no_more_than_the_rounding_of_the_price(
    thousandths: int, amount_minor: int
) -> None:
    """A price in whole cents cannot miss the amount by more than half a cent a unit, and one."""
    line = measured(sku="x", thousandths=thousandths, amount_minor=amount_minor)

    missed = abs(list_minor(line.price_minor, line.qty_milli) - amount_minor)

    assert 2000 * missed <= thousandths + 2000


def test_week_holds_at_least_three_thousand_receipts_of_three_stores(week: Week) -> None:
    """The demo is about a real week of the whole panel."""
    assert len(week.sales) >= 3000
    assert {sale.store for sale in week.sales} == set(STORES)
    assert len({sale.receipt_id for sale in week.sales}) == len(week.sales)


def test_receipts_without_measured_goods_cost_what_the_data_say(week: Week) -> None:
    """The mapping loses no cent of any basket whose goods are all sold by the piece."""
    pieces_only = [sale for sale in week.sales if not any(line.weighed for line in sale.lines)]

    wrong = [
        sale.receipt_id
        for sale in pieces_only
        if sale.shelf_minor
        != sum(list_minor(line.price_minor, line.qty_milli) for line in sale.lines)
    ]

    assert len(pieces_only) > 2500
    assert wrong == []


def test_every_line_card_and_coupon_is_known(week: Week) -> None:
    """A receipt refers to nothing that was not imported."""
    skus = {product.sku for product in week.products}
    cards = {member.card for member in week.members}
    codes = {coupon.code for coupon in week.coupons}

    assert {line.sku for sale in week.sales for line in sale.lines} <= skus
    assert {sale.card for sale in week.sales} <= cards
    assert {code for sale in week.sales for code in sale.coupons} <= codes
    assert any(sale.coupons for sale in week.sales)


def test_thinned_week_keeps_its_order() -> None:
    """Fewer receipts are an even sample of the whole week."""
    few = load_week(seed=1, receipts_max=60)

    assert len(few.sales) == 60
    assert [sale.time for sale in few.sales] == sorted(sale.time for sale in few.sales)


def test_till_sends_decimal_strings(week: Week) -> None:
    """A till sends what the language asks for: decimals as text, lines numbered from one."""
    body = receipt_json(week.sales[0], register="R1")

    assert [line["line"] for line in body["lines"]] == list(range(1, len(body["lines"]) + 1))
    assert all(isinstance(line["price"], str) for line in body["lines"])
    assert decimal_text(10_955, 3) == "10.955"
    assert decimal_text(2000, 3) == "2"
    assert decimal_text(700, 2, whole_bare=False) == "7.00"
