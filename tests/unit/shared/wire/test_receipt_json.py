"""Receipts from JSON: decimals by their text, every fault with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.wire.problem import Finding
from shared.wire.receipt import Customer, SpendRequest
from shared.wire.receipt_json import (
    ReceiptError,
    _line,
    _plain_line,
    _Reader,
    decode_receipt,
    encode_receipt_json,
)


def _receipt(**changes: Any) -> bytes:
    raw: dict[str, Any] = {
        "receipt_id": "r1",
        "store": "S1",
        "time": "2026-11-23T12:00:00+03:00",
        "lines": [{"line": 1, "sku": "milk", "qty": "2", "price": "89.90"}],
    }
    return json.dumps(raw | changes).encode()


def _pointers(data: bytes) -> list[str | None]:
    with pytest.raises(ReceiptError) as caught:
        decode_receipt(data)
    return [finding.pointer for finding in caught.value.findings]


def test_decimals_become_integers() -> None:
    """Money is in kopecks, quantity in thousandths, rates in millionths, points in hundredths."""
    line = {"line": 1, "sku": "a", "qty": "0.532", "price": "89.9", "max_discount": "12.5"}
    receipt = decode_receipt(_receipt(lines=[line], customer={"points": {"main": "150.5"}}))
    (read,) = receipt.lines
    assert (read.quantity_milli, read.price_minor, read.max_discount_ppm) == (532, 8990, 125_000)
    assert not read.countable
    assert receipt.customer is not None
    assert receipt.customer.points_centi == {"main": 15_050}


def test_json_number_is_read_by_its_text() -> None:
    """A number that a binary float cannot hold arrives exactly."""
    data = _receipt().replace(b'"89.90"', b"9007199254.93")
    assert decode_receipt(data).lines[0].price_minor == 900_719_925_493


@pytest.mark.parametrize(
    "price", ["1e2", "89.901", "NaN", "", "-1", "+1", "1.", " 1", "٣", "10000000000.01", True, []]
)
def test_what_is_no_price_is_refused(price: object) -> None:
    """Exponents, more decimals, signs, other digits and other types are no money."""
    line = {"line": 1, "sku": "a", "qty": "1", "price": price}
    assert _pointers(_receipt(lines=[line])) == ["/lines/0/price"]


def test_every_fault_is_found_at_once() -> None:
    """A receipt with five faults names five places."""
    lines = [
        {"line": 1, "sku": "a", "qty": "0", "price": "1"},
        {"line": 1, "sku": "b", "qty": "1", "price": "1", "a/b": 1},
    ]
    found = _pointers(_receipt(lines=lines, time="yesterday", channel="fax"))
    assert {"/lines/0/qty", "/lines/1/line", "/lines/1/a~1b", "/time", "/channel"} == set(found)


@pytest.mark.parametrize("data", [b"{", b"[]", b"null", b'{"store":"a","store":"b"}', b"\xff"])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    """Broken JSON, other values and keys that stand twice are told apart from receipts."""
    assert _pointers(data)


def test_an_empty_customer_is_known_and_null_is_not() -> None:
    """Only null or nothing at all is an anonymous receipt."""
    assert Customer() == decode_receipt(_receipt(customer={})).customer
    assert decode_receipt(_receipt(customer=None)).customer is None


def test_max_asks_for_all_points() -> None:
    """The word stands where a number of points may."""
    spend = {"account": "main", "points": "max"}
    assert SpendRequest(account="main") == decode_receipt(_receipt(spend=spend)).spend


def test_written_receipt_reads_the_same() -> None:
    """What is written as JSON is the receipt that was read."""
    receipt = decode_receipt(
        _receipt(
            customer={"id": "c1", "usage": {"p": {"day": 1, "qty_day": "2"}}},
            coupons=[{"code": "X", "series": "S", "state": "used"}],
            payments=[{"type": "card", "amount": "500.00"}],
            manual={"percent": "5", "lines": [1]},
            spend={"account": "main", "points": "12.5"},
            external={"partner": {"amount": "50.00"}},
        )
    )
    assert receipt == decode_receipt(encode_receipt_json(receipt))


_ANY = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just([])
_DECIMALS = st.from_regex(r"-?[0-9]{0,11}(\.[0-9]{0,4})?", fullmatch=True)
_VALUES = {
    "line": st.integers(-1, 3) | _ANY,
    "sku": st.text(max_size=3) | st.just("x" * 300) | _ANY,
    "qty": _DECIMALS | st.integers(0, 10**8) | _ANY,
    "price": _DECIMALS | st.integers(0, 10**11) | _ANY,
    "weighed": st.booleans() | _ANY,
    "brand": st.text(max_size=3),
    "sort": st.text(max_size=3),
}


@given(
    st.fixed_dictionaries({}, optional=_VALUES),
    st.sampled_from(["", "", "", "line", "sku", "qty", "price"]),
)
@example({"line": 0}, "")
@example({"qty": "0"}, "")
@example({"qty": "1000000.001"}, "")
@example({"price": "99999999999"}, "")
@example({"sku": ""}, "")
@example({"weighed": "yes"}, "")
def test_plain_line_is_read_as_any_other(changes: dict[str, Any], left_out: str) -> None:
    """The short way for lines without anything special gives the same line, or leaves it alone."""
    line = {"line": 1, "sku": "a", "qty": "1", "price": "1"} | changes
    line.pop(left_out, None)
    findings: list[Finding] = []
    carefully = _line(_Reader(line, "", findings))
    plainly = _plain_line(line)
    assert plainly in (None, carefully)
    assert plainly is None or not findings
    if not findings and line.keys() <= {"line", "sku", "qty", "price", "weighed"}:
        assert (plainly is None) == ("weighed" in line and line["weighed"] is None)
