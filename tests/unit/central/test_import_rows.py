"""What head office takes in by its commands is checked before the database sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from central.__main__ import store_entry
from central.app import read_coupons, read_members, read_products
from shared.errors import InputError

_READERS = {"customers": read_members, "coupons": read_coupons, "products": read_products}
_GOOD: dict[str, dict[str, Any]] = {
    "customers": {"customer_id": "c", "points": {"main": "5.12"}},
    "coupons": {"code": " a1 ", "series": "s", "valid_from": "2026-02-28"},
    "products": {"sku": "1", "name": "Tea", "max_discount": "60"},
}


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("customers", {"customer_id": "a\0b"}),
        ("customers", {"customer_id": ""}),
        ("customers", {"points": {"main": "5.123"}}),
        ("customers", {"points": {"main": "-5"}}),
        ("customers", {"unknown": 1}),
        ("coupons", {"valid_from": "2026-02-30"}),
        ("coupons", {"valid_to": "yesterday"}),
        ("products", {"name": "x" * 1001}),
        ("products", {"min_price": "1e3"}),
    ],
)
def test_a_wrong_row_is_named_by_its_line(tmp_path: Path, kind: str, wrong: dict[str, Any]) -> None:
    """The file, the line and the fault are told; the rows before it were good."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (_GOOD[kind], _GOOD[kind] | wrong)))
    with pytest.raises(InputError, match=r"rows.jsonl, line 2: "):
        list(_READERS[kind](path))


@pytest.mark.parametrize("line", [b"\n", b"not json\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n"])
def test_a_line_that_is_no_json_is_named(tmp_path: Path, line: bytes) -> None:
    """Neither another encoding nor depth gets through."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(line)
    with pytest.raises(InputError, match=r"rows.jsonl, line 1: "):
        list(read_products(path))


def test_a_coupon_is_known_by_its_code_in_capitals(tmp_path: Path) -> None:
    """Dates stay as they were written."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(_GOOD["coupons"]))
    ((coupon,),) = read_coupons(path)
    assert (coupon.code, coupon.valid_from_date, coupon.valid_to_date) == ("A1", "2026-02-28", None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"store_id": "S/2"},
        {"store_id": ""},
        {"name": ""},
        {"name": "a\nb"},
        {"timezone": "Mars/Base"},
        {"timezone": "../etc/passwd"},
        {"timezone": ""},
        {"currency": "rubles"},
    ],
)
def test_a_store_has_a_zone_and_a_currency_that_exist(wrong: dict[str, str]) -> None:
    """A page or an agent would fail on them much later."""
    good = {"store_id": "S1", "name": "Парк", "timezone": "Europe/Moscow", "currency": "RUB"}
    assert store_entry(**good).name == "Парк"
    with pytest.raises(InputError):
        store_entry(**good | wrong)
