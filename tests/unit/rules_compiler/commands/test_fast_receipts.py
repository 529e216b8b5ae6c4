"""The fast reader of receipts reads and refuses exactly what the reader of tills does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules_compiler.commands import fast_receipts
from rules_compiler.commands.fast_receipts import decode_receipt_fast
from shared.wire.receipt import Receipt
from shared.wire.receipt_json import ReceiptError, decode_receipt
from tests.unit.rules_compiler.commands.samples import RECEIPT, ROOT

CASES = ROOT / "tests" / "cases" / "engine" / "mechanics.jsonl"
LINE = RECEIPT["lines"][0]
VALUES: list[Any] = [
    *(None, "", "x", "y" * 201, "1", "0", "0.5", "-1", "1.2345", "1e3", "٣", "99999999999999999"),
    *(0, 1, -1, 2**70, 1.5, True, False, [], ["a"], [1], {}, {"a": "1"}, {"a": 1}, {"a": None}),
]
KEYS = (
    *("line", "sku", "qty", "price", "category", "brand", "attrs", "flags", "weighed"),
    *("min_price", "max_discount", "soft", "prices", "base_qty", "unknown"),
)
HEAD = ("store", "time", "customer", "coupons", "spend", "usage", "lines", "online", "unknown")


def read(reader: Any, data: bytes) -> Receipt | list[tuple[str, str | None]]:
    try:
        found: Receipt = reader(data)
    except ReceiptError as error:
        return [(each.code, each.pointer) for each in error.findings]
    return found


def agrees(data: bytes) -> None:
    assert read(decode_receipt_fast, data) == read(decode_receipt, data)


def test_worked_cases_are_read_alike() -> None:
    """Every receipt of the worked cases, written with spaces and without."""
    for line in CASES.read_text("utf-8").splitlines():
        receipt = json.loads(line)["receipt"]
        agrees(json.dumps(receipt).encode())
        agrees(json.dumps(receipt, separators=(",", ":"), ensure_ascii=False).encode())
        agrees(json.dumps(receipt, indent=1).encode())


@pytest.mark.parametrize("key", KEYS)
def test_every_value_of_a_line_is_read_alike(key: str) -> None:
    """Right or wrong, or not there at all."""
    for value in VALUES:
        agrees(json.dumps(RECEIPT | {"lines": [LINE | {key: value}]}).encode())
    without = {name: value for name, value in LINE.items() if name != key}
    agrees(json.dumps(RECEIPT | {"lines": [without]}).encode())


@pytest.mark.parametrize("key", HEAD)
def test_every_value_of_the_rest_is_read_alike(key: str) -> None:
    """Right or wrong, or not there at all."""
    for value in VALUES:
        agrees(json.dumps(RECEIPT | {key: value}).encode())
    agrees(json.dumps({name: value for name, value in RECEIPT.items() if name != key}).encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"qty": "2"', b'"qty": "2", "qty": "3"'),
        (b'"qty": "2"', b'"qty" : "2", "qty": "3"'),
        (b'"qty": "2"', b'"qty"  : "2", "qty": "3"'),
        (b'"qty": "2"', b'"qty"\t: "2", "qty": "3"'),
        (b'"qty": "2"', b'"qty": "2", "\\u0071ty": "3"'),
        (b'"store": "S1"', b'"store": "S1", "store": "S2"'),
        (b'"id": "c-1"', b'"id": "c-1", "id": "c-2"'),
        (b'"sku": "a"', b'"sku": "a\\": b"'),
        (b'"sku": "a"', b'"sku": "\\u0022:"'),
        (b'"sku": "a"', b'"sku": "\\ud800"'),
        (b'"sku": "a"', b'"sku": "\xff"'),
        (b'"line": 2', b'"line": 1'),
        (b'"line": 2', b'"line": 2.0'),
        (b'"line": 2', b'"line": NaN'),
        (
            b"{",
            b"[",
        ),
        (b"}", b"} x"),
    ],
)
def test_keys_that_stand_twice_and_odd_texts_are_read_alike(old: bytes, new: bytes) -> None:
    """Also where the second key, or the space before a colon, tries to hide."""
    agrees(json.dumps(RECEIPT).encode().replace(old, new, 1))


def test_plain_lines_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader of tills is asked for the head alone."""
    asked: list[bytes] = []

    def counting(data: bytes) -> Receipt:
        asked.append(data)
        return decode_receipt(data)

    monkeypatch.setattr(fast_receipts, "decode_receipt", counting)

    decode_receipt_fast(json.dumps(RECEIPT).encode())

    assert len(asked) == 1
    assert json.loads(asked[0])["lines"] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(["1", "2.5"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(KEYS), JSON), st.dictionaries(st.sampled_from(HEAD), JSON))
def test_anything_is_read_alike(line: dict[str, Any], head: dict[str, Any]) -> None:
    """Random keys of a line and of the rest."""
    agrees(json.dumps(RECEIPT | {"lines": [LINE | line]} | head).encode())
