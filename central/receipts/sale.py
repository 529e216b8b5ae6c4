"""A sale as columns, checked: what the table of receipts holds of it, and what cannot be true."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

from shared.errors import InputError
from shared.limits import IDENTIFIER_CHARS_MAX, QUANTITY_MILLI_MAX, RECEIPT_LINES_MAX
from shared.wire.answer import Answer, AnswerLine
from shared.wire.facts import ReceiptCommitted
from shared.wire.receipt import Receipt, ReceiptLine

SUM_MAX: Final = 10**15
"""Minor units or centi of one sale: sums over nine thousand such still fit a bigint."""
AT_MS_MAX: Final = 7_258_118_400_000
"""The year 2200. A till's clock may be wrong; it may not be what the database cannot hold."""
BUNDLE_VERSION_MAX: Final = 2**62
_SKU: Final = operator.attrgetter("sku")


@dataclass(slots=True, kw_only=True)
class SaleColumns:
    """The lines of a sale, column by column and in the order of the answer."""

    numbers: list[int]
    skus: list[str]
    qty_milli: list[int]
    list_minor: list[int]
    discount_minor: list[int]
    net_minor: list[int]
    points_spent_minor: list[int]
    to_pay_minor: list[int]
    applied_lines: list[int]
    applied_promotions: list[str]
    applied_discount_minor: list[int]
    applied_qty_milli: list[int]
    points_spent_centi: int
    earned_centi: int


def columns_of(fact: ReceiptCommitted) -> SaleColumns:
    """The columns of a sale.

    Raises:
        InputError: the sale cannot have been; its code says which rule it breaks.
    """
    receipt, answer = fact.receipt, fact.answer
    if not fact.receipt_id == receipt.receipt_id == answer.receipt_id:
        raise InputError("the parts are of different receipts", code="other_receipt")
    check_text(fact.receipt_id, fact.register)
    if not fact.receipt_id:
        raise InputError("a receipt has an id", code="bad_text")
    if receipt.customer is not None and receipt.customer.id is not None:
        check_text(receipt.customer.id)
    check_date(fact.business_date)
    check_at_ms(fact.committed_at_ms)
    check_range(fact.bundle_version, 0, BUNDLE_VERSION_MAX)
    columns = _lines_of(receipt, answer)
    _check_sums(answer, columns)
    for accrued in answer.accrued:
        check_text(accrued.account, accrued.promotion)
        check_range(accrued.points_centi, 0, SUM_MAX)
        check_date(accrued.active_on_date)
        if accrued.expires_on_date is not None:
            check_date(accrued.expires_on_date)
        columns.earned_centi += accrued.points_centi
    for spent in answer.spent:
        check_range(spent.points_centi, 0, SUM_MAX)
        columns.points_spent_centi += spent.points_centi
    check_range(columns.earned_centi, 0, SUM_MAX)
    check_range(columns.points_spent_centi, 0, SUM_MAX)
    return columns


def check_text(*texts: str) -> None:
    """Raises InputError ``bad_text`` where a name is too long or holds what no database keeps."""
    for text in texts:
        if len(text) > IDENTIFIER_CHARS_MAX or "\x00" in text:
            raise InputError("a name is too long or holds a NUL", code="bad_text")


def check_range(number: int, least: int, most: int) -> None:
    """Raises InputError ``out_of_range``."""
    if not least <= number <= most:
        raise InputError(f"{number} is not between {least} and {most}", code="out_of_range")


def check_at_ms(at_ms: int) -> None:
    """Raises InputError ``out_of_range`` for an instant that no clock shows."""
    check_range(at_ms, 0, AT_MS_MAX)


def check_date(text: str) -> None:
    """Raises InputError ``bad_date`` for what is no ISO date."""
    if not _is_date(text):
        raise InputError("a shop day is an ISO date", code="bad_date")


@lru_cache(maxsize=4096)
def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _lines_of(receipt: Receipt, answer: Answer) -> SaleColumns:
    priced = answer.lines
    numbers = [line.line for line in priced]
    sold = receipt.lines
    if [line.line for line in sold] != numbers:
        sold = _in_order(sold, numbers)
    if len(numbers) > RECEIPT_LINES_MAX or len(set(numbers)) != len(numbers):
        raise InputError("too many lines, or one of them twice", code="bad_lines")
    skus = list(map(_SKU, sold))
    if "\x00" in "".join(skus) or max(map(len, skus), default=0) > IDENTIFIER_CHARS_MAX:
        raise InputError("a name is too long or holds a NUL", code="bad_text")
    qty_milli = [line.quantity_milli for line in sold]
    if numbers and not (
        min(numbers) >= 0
        and max(numbers) < 2**62
        and min(qty_milli) > 0
        and max(qty_milli) <= QUANTITY_MILLI_MAX
    ):
        raise InputError("a line's number or quantity cannot be", code="out_of_range")
    columns = SaleColumns(
        numbers=numbers,
        skus=skus,
        qty_milli=qty_milli,
        list_minor=[line.list_minor for line in priced],
        discount_minor=[line.discount_minor for line in priced],
        net_minor=[line.net_minor for line in priced],
        points_spent_minor=[line.points_spent_minor for line in priced],
        to_pay_minor=[line.to_pay_minor for line in priced],
        applied_lines=[],
        applied_promotions=[],
        applied_discount_minor=[],
        applied_qty_milli=[],
        points_spent_centi=0,
        earned_centi=0,
    )
    _add_applied(columns, priced)
    return columns


def _in_order(sold: list[ReceiptLine], numbers: list[int]) -> list[ReceiptLine]:
    by_number = {line.line: line for line in sold}
    if len(by_number) != len(sold) or by_number.keys() != set(numbers):
        raise InputError("the answer is to other lines than were sold", code="bad_lines")
    return [by_number[number] for number in numbers]


def _add_applied(columns: SaleColumns, priced: list[AnswerLine]) -> None:
    for line in priced:
        for applied in line.applied:
            columns.applied_lines.append(line.line)
            columns.applied_promotions.append(applied.promotion)
            columns.applied_discount_minor.append(applied.discount_minor)
            columns.applied_qty_milli.append(applied.quantity_milli)
    if columns.applied_lines:
        names = columns.applied_promotions
        if "\x00" in "".join(names) or max(map(len, names)) > IDENTIFIER_CHARS_MAX:
            raise InputError("a name is too long or holds a NUL", code="bad_text")
        for numbers in (columns.applied_discount_minor, columns.applied_qty_milli):
            check_range(min(numbers), -SUM_MAX, SUM_MAX)
            check_range(max(numbers), -SUM_MAX, SUM_MAX)


def _check_sums(answer: Answer, columns: SaleColumns) -> None:
    total = answer.total
    listed, discounts, nets = columns.list_minor, columns.discount_minor, columns.net_minor
    spent, to_pay = columns.points_spent_minor, columns.to_pay_minor
    if (
        sum(listed) != total.list_minor
        or sum(discounts) != total.discount_minor
        or sum(nets) != total.net_minor
        or sum(spent) != total.points_spent_minor
        or sum(to_pay) != total.to_pay_minor
        or list(map(operator.sub, listed, discounts)) != nets
        or list(map(operator.sub, nets, spent)) != to_pay
    ):
        raise InputError("the sums of the sale do not add up", code="wrong_sums")
    if min((*listed, *nets, *spent, *to_pay), default=0) < 0:
        raise InputError("a sum below zero cannot be", code="out_of_range")
    check_range(total.list_minor, 0, SUM_MAX)
    check_range(total.discount_minor, -SUM_MAX, SUM_MAX)
    check_range(total.net_minor, 0, SUM_MAX)
