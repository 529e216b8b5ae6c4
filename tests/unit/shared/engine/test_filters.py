"""Looking lines up by name finds what testing them one by one finds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.engine.conditions import Situation
from shared.engine.filters import Wanted
from shared.engine.lots import State
from shared.engine.program import Filter, Span
from shared.money import PPM
from shared.wire.receipt import Customer, Receipt, ReceiptLine

NOW = "2026-11-24T12:00:00+03:00"
SKUS = st.sampled_from(["s1", "s2", "s3", "s4"])
BRANDS = st.sampled_from(["b1", "b2", "b3"])
CATEGORIES = st.sampled_from(["a", "a/b", "a/b/c", "ab", "d", "d/e", "/x", "y/"])


def some(values: st.SearchStrategy[str]) -> st.SearchStrategy[frozenset[str] | None]:
    return st.none() | st.frozensets(values, max_size=3)


def filters_with(lists: st.SearchStrategy[Any], exclude: st.SearchStrategy[Any]) -> Any:
    return st.builds(
        Filter,
        skus=some(SKUS),
        brands=some(BRANDS),
        categories=some(CATEGORIES).map(lambda names: None if names is None else sorted(names)),
        flags=st.sampled_from([None, None, None, frozenset({"new"})]),
        price_minor=st.sampled_from([None, None, None, Span(low=500)]),
        favourite=st.sampled_from([None, None, None, True, False]),
        lists=lists,
        exclude=exclude,
    )


PLAIN = filters_with(st.none(), st.none())
FILTERS = filters_with(st.none() | st.lists(PLAIN, max_size=2), st.none() | PLAIN)
LINES = st.lists(
    st.builds(
        ReceiptLine,
        line=st.integers(1, 100),
        sku=SKUS,
        quantity_milli=st.just(1000),
        price_minor=st.integers(1, 1000),
        category=st.none() | CATEGORIES,
        brand=st.none() | BRANDS,
        flags=st.sampled_from([[], ["new"]]),
    ),
    unique_by=lambda line: line.line,
    max_size=8,
)


@given(FILTERS, LINES)
def test_a_filter_finds_every_line_that_it_means(wanted: Filter, lines: list[ReceiptLine]) -> None:
    """The same lines, each once, by number, however the receipt has them."""
    customer = Customer(favourites=["s1", "s2"])
    receipt = Receipt(receipt_id="r", store="S1", time=NOW, lines=lines, customer=customer)
    state = State(receipt, PPM)
    at = Situation(state, datetime.fromisoformat(NOW), {})
    one_by_one = [line.number for line in state.lines if Wanted(wanted).holds(line, at.favourites)]

    assert [line.number for line in at.lines(wanted)] == sorted(one_by_one)
