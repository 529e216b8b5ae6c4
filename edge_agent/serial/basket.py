"""The receipt that a till rings up command by command, until it is a whole one. Pure.

It grows as the JSON that HTTP tills send whole, so that a sale is the same whichever way it came:
the same checks, the same hash, the same record. Every change is checked at once by the receipt's
own reader, with a pointer into the command's fields.
"""

from __future__ import annotations

from typing import Any, Final

from shared.errors import ConflictError, InputError
from shared.wire.receipt import Receipt
from shared.wire.receipt_json import decode_receipt

LINES_MAX: Final = 1_000
"""Typed or scanned one by one; an HTTP till may send ten times as many."""
COUPONS_MAX: Final = 50
PAYMENTS_MAX: Final = 20
_ITEM_KEYS: Final = frozenset(
    {"category", "brand", "min_price", "max_discount", "weighed", "flags"}
)
_NO_LINE: Final = {"line": 1, "sku": "-", "qty": "1", "price": "0"}


class Basket:
    """One open receipt. ``calculation_id``: of the last answer, while nothing changed since."""

    def __init__(self, *, receipt_id: str, store: str, register: str, time: str) -> None:
        """Raises InputError: an id is missing, or the time is none with its offset."""
        self._head = {"receipt_id": receipt_id, "store": store, "register": register, "time": time}
        self._lines: dict[int, dict[str, Any]] = {}
        self._amounts_minor: dict[int, int] = {}
        self._coupons: list[str] = []
        self._payments: list[dict[str, str]] = []
        self._customer: dict[str, str] | None = None
        self._spend: dict[str, str] | None = None
        self.calculation_id: str | None = None
        self._check()
        if not receipt_id:
            raise InputError("a receipt has an id", code="receipt_id")

    @property
    def receipt_id(self) -> str:
        """The till's id of the receipt."""
        return self._head["receipt_id"]

    @property
    def line_count(self) -> int:
        """Lines rung up and not voided."""
        return len(self._lines)

    @property
    def list_minor(self) -> int:
        """The sum at shelf prices, each line rounded half up as the engine does."""
        return sum(self._amounts_minor.values())

    def put_line(self, number: str, sku: str, qty: str, price: str, more: dict[str, str]) -> None:
        """Add a line, or replace the one of this number."""
        if not more.keys() <= _ITEM_KEYS:
            unknown = min(more.keys() - _ITEM_KEYS)
            raise InputError(f"an item has no {unknown}", code="unknown_field")
        line: dict[str, Any] = {
            "line": _whole(number, "line"),
            "sku": sku,
            "qty": qty,
            "price": price,
            **more,
        }
        if "weighed" in more:
            line["weighed"] = more["weighed"] == "1"
        if "flags" in more:
            line["flags"] = [flag for flag in more["flags"].split(",") if flag]
        read = self._check(lines=[line]).lines[0]
        if read.line not in self._lines and len(self._lines) == LINES_MAX:
            raise InputError(f"a receipt has at most {LINES_MAX} lines here", code="too_many_lines")
        self._lines[read.line] = line
        self._amounts_minor[read.line] = (2 * read.price_minor * read.quantity_milli + 1000) // 2000
        self.calculation_id = None

    def void_line(self, number: str) -> None:
        """Take a line back.

        Raises:
            ConflictError: ``no_line``.
        """
        line = _whole(number, "line")
        if line not in self._lines:
            raise ConflictError("there is no such line", code="no_line")
        del self._lines[line], self._amounts_minor[line]
        self.calculation_id = None

    def set_customer(self, customer: dict[str, str] | None) -> None:
        """Whose receipt it is, as an HTTP till would say it; None: nobody's."""
        self._customer = customer
        self.calculation_id = None

    def put_coupon(self, code: str) -> None:
        """Note a coupon the customer shows; one that is there already changes nothing."""
        self._check(coupons=[{"code": code}])
        if code in self._coupons:
            return
        if len(self._coupons) == COUPONS_MAX:
            raise InputError("too many coupons", code="too_many_coupons")
        self._coupons.append(code)
        self.calculation_id = None

    def drop_coupon(self, code: str) -> None:
        """Forget a coupon.

        Raises:
            ConflictError: ``no_coupon``.
        """
        if code not in self._coupons:
            raise ConflictError("there is no such coupon", code="no_coupon")
        self._coupons.remove(code)
        self.calculation_id = None

    def set_spend(self, account: str, points: str) -> None:
        """Points that the customer wants to spend; an empty account: none."""
        spend = {"account": account, "points": points} if account else None
        if spend is not None:
            self._check(spend=spend)
        self._spend = spend
        self.calculation_id = None

    def set_payments(self, payments: list[dict[str, str]]) -> None:
        """How the customer means to pay."""
        if len(payments) > PAYMENTS_MAX:
            raise InputError("too many payments", code="too_many_payments")
        self._check(payments=payments)
        self._payments = payments
        self.calculation_id = None

    def to_json(self) -> dict[str, Any]:
        """The receipt as an HTTP till would send it."""
        raw: dict[str, Any] = {**self._head, "lines": [self._lines[n] for n in sorted(self._lines)]}
        if self._customer is not None:
            raw["customer"] = self._customer
        if self._coupons:
            raw["coupons"] = [{"code": code} for code in self._coupons]
        if self._spend is not None:
            raw["spend"] = self._spend
        if self._payments:
            raw["payments"] = self._payments
        return raw

    def _check(self, **parts: Any) -> Receipt:
        """What the receipt's reader makes of one part of it."""
        return decode_receipt({**self._head, "lines": [_NO_LINE], **parts})


def _whole(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InputError(f"{what} is a whole number", code="number")
    return int(text)
