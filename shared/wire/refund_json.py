"""A request to return goods from JSON, and the refund: the structure and its JSON.

Integers inside, decimal strings outside; fields of the structures are append-only. The request is
ours and read strictly. The answer inside it may come from another system: of it only what a refund
needs is read and checked, and keys that nobody here knows are let be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any, Final, TypeVar

import msgspec

from shared import limits
from shared.money import format_centi, format_minor
from shared.quantity import format_quantity
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
from shared.wire.problem import Finding
from shared.wire.reading import FormatError, Place, parse_json

T = TypeVar("T")
REQUEST_BYTES_MAX: Final = 64 * 2**20
"""The answer to 10,000 lines with its trace, with room to spare."""
_LINE_NUMBER: Final = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_LINE_MAX: Final = 2**62
_QUANTITY: Final = frozenset({"line", "qty"})
_REQUEST: Final = frozenset({"answer", "returned", "return", "weighed"})


class LineReturned(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """How much of a line has come back in all."""

    line: int
    quantity_milli: int


class RefundLine(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What goes back for one line now; ``points_spent_minor`` is the worth of points in money."""

    line: int
    quantity_milli: int
    money_minor: int
    points_spent_minor: int


class PointsReturned(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Points that the customer had spent and gets back."""

    account: str
    points_centi: int


class PointsTaken(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Points that the sale had given and the return takes; dates and promotion name the lot."""

    account: str
    promotion: str
    points_centi: int
    active_on_date: str
    expires_on_date: str | None = None


class Refund(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One return. ``full``: with it everything sold has come back.

    ``returned`` is the state after it, which the next return starts from. The numbers of ``chips``
    are zero or negative: added to those of the sale they give what the sale has left.
    """

    receipt_id: str
    full: bool
    lines: list[RefundLine]
    money_minor: int
    points_spent_minor: int
    returned: list[LineReturned]
    points_returned: list[PointsReturned] = []
    points_taken: list[PointsTaken] = []
    chips: list[ChipsMoved] = []
    coupons_restored: bool = False
    """The coupons that the sale used up are valid again."""
    coupons_taken: list[CouponIssued] = []
    """Coupons that the sale handed out and that fall away."""
    counters_taken: list[str] = []
    """Counters from which the ledger takes what this sale added."""


class RefundRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to return of which sale; quantities in thousandths by line number.

    ``pointers`` leads from ``/return/{line}`` to where the request says it.
    """

    answer: Answer
    returned: dict[int, int]
    wanted: dict[int, int]
    divisible: frozenset[int] = frozenset()
    pointers: dict[str, str] = {}


def decode_refund_request(data: bytes) -> RefundRequest:
    """The request of this JSON.

    Raises:
        FormatError: with every fault found, a JSON pointer each.
    """
    if len(data) > REQUEST_BYTES_MAX:
        detail = f"the request has {len(data)} bytes, at most {REQUEST_BYTES_MAX} are read"
        raise FormatError([Finding(code="too_large", detail=detail, pointer="")])
    findings: list[Finding] = []
    at = Place(parse_json(data), "", findings)
    pointers: dict[str, str] = {}
    answer = None
    wanted: dict[int, int] = {}
    returned: dict[int, int] = {}
    divisible: frozenset[int] = frozenset()
    if at.object(_REQUEST, required=("answer", "return")):
        if (place := at.get("answer")) is not None:
            answer = _answer(place)
        if (place := at.get("return")) is not None:
            wanted = read_quantities(place, pointers, low=1)
        if (place := at.get("returned")) is not None:
            returned = read_quantities(place, pointers, low=0)
        if (place := at.get("weighed")) is not None and answer is not None:
            divisible = _weighed(place, {line.line for line in answer.lines})
    if findings:
        raise FormatError(findings)
    assert answer is not None, "a request without findings has an answer"
    return RefundRequest(
        answer=answer, returned=returned, wanted=wanted, divisible=divisible, pointers=pointers
    )


def answer_from_json(data: bytes) -> Answer:
    """What a refund needs of an answer: sums, points, chips, counters, coupons.

    Reads what ``answer_to_json`` writes, and less: a line needs ``line``, ``to_pay`` and ``parts``
    or ``qty``; everything else may be missing.

    Raises:
        FormatError: with every fault found, a JSON pointer each.
    """
    findings: list[Finding] = []
    answer = _answer(Place(parse_json(data), "", findings))
    if findings:
        raise FormatError(findings)
    return answer


def refund_to_json(refund: Refund) -> dict[str, Any]:
    """The refund as tills see it: decimal strings; ``returned`` is ready for the next request."""
    return {
        "receipt_id": refund.receipt_id,
        "full": refund.full,
        "lines": [
            {
                "line": line.line,
                "qty": format_quantity(line.quantity_milli),
                "money": format_minor(line.money_minor),
                "points_spent": format_minor(line.points_spent_minor),
            }
            for line in refund.lines
        ],
        "money": format_minor(refund.money_minor),
        "points_spent": format_minor(refund.points_spent_minor),
        "points_returned": [
            {"account": points.account, "points": format_centi(points.points_centi)}
            for points in refund.points_returned
        ],
        "points_taken": [
            {
                "account": points.account,
                "promotion": points.promotion,
                "points": format_centi(points.points_centi),
                "active_on": points.active_on_date or None,
                "expires_on": points.expires_on_date,
            }
            for points in refund.points_taken
        ],
        "chips": [
            {
                "account": chips.account,
                "promotion": chips.promotion,
                "earned": chips.earned,
                "spent": chips.spent,
            }
            for chips in refund.chips
        ],
        "coupons_restored": refund.coupons_restored,
        "coupons_taken": [
            {"series": coupon.series, "count": coupon.count, "promotion": coupon.promotion}
            for coupon in refund.coupons_taken
        ],
        "counters_taken": list(refund.counters_taken),
        "returned": [
            {"line": line.line, "qty": format_quantity(line.quantity_milli)}
            for line in refund.returned
        ],
    }


def read_quantities(at: Place, pointers: dict[str, str], *, low: int) -> dict[int, int]:
    """Quantities in thousandths by line: a list of ``{"line", "qty"}``, or an object from line.

    ``pointers`` gets the place of each in a list. What is wrong is found at ``at``.
    """
    found: dict[int, int] = {}
    if isinstance(at.value, dict):
        for key, place in at.entries():
            if not _LINE_NUMBER.fullmatch(key):
                place.fail("line", "a line number as the key")
                continue
            _note(found, int(key), _quantity(place, low=low))
        return found
    stood: set[int] = set()
    what = 'a list of {"line", "qty"} or an object from line to quantity'
    for entry in at.items(what, most=limits.RECEIPT_LINES_MAX):
        if not entry.object(_QUANTITY, required=("line", "qty")):
            continue
        number = _integer(entry.get("line"), low=1, high=_LINE_MAX)
        place = entry.get("qty") or entry
        quantity = None if place is entry else _quantity(place, low=low)
        if number is None:
            continue
        if number in stood:
            entry.child("line", str(number)).fail("duplicate", "each line once")
        stood.add(number)
        _note(found, number, quantity)
        pointers[f"{at.pointer}/{number}"] = place.pointer
    return found


def _note(found: dict[int, int], line: int, quantity_milli: int | None) -> None:
    if quantity_milli is not None:
        found[line] = quantity_milli


def _quantity(at: Place, *, low: int) -> int | None:
    return at.decimal(3, low=low, high=limits.QUANTITY_MILLI_MAX, what="a quantity")


def _weighed(at: Place, lines: set[int]) -> frozenset[int]:
    found = set()
    for place in at.items("a list of line numbers", most=limits.RECEIPT_LINES_MAX):
        number = place.integer(low=1, high=_LINE_MAX)
        if number is not None and number not in lines:
            place.fail("unknown_line", "a line of the answer")
        elif number is not None:
            found.add(number)
    return frozenset(found)


def _answer(at: Place) -> Answer:
    lines: list[AnswerLine] = []
    if _object(at, "lines"):
        lines = _each(at, "lines", _line, most=limits.RECEIPT_LINES_MAX)
    known = {line.line for line in lines}
    answer = Answer(
        receipt_id=_text(at, "receipt_id"),
        programme=_text(at, "programme"),
        version=_integer(at.get("version"), high=2**62) or 0,
        optimal=(place := at.get("optimal")) is None or bool(place.truth()),
        lines=lines,
        total=_total(lines),
        accrued=_each(at, "accrued", lambda place: _accrued(place, known)),
        spent=_each(at, "spent", _spent),
        chips=_each(at, "chips", _chips),
        counters=_each(at, "counters", _counter),
        coupons=_each(at, "coupons", _coupon),
    )
    if not at.findings:
        _check_sums(at, answer)
    return answer


def _object(at: Place, *required: str) -> bool:
    """An object of a peer: what it says beyond what we know is its own business."""
    return at.object(frozenset(at.value if isinstance(at.value, dict) else ()), required)


def _each(
    at: Place, key: str, read: Callable[[Place], T | None], *, most: int = 100_000
) -> list[T]:
    place = at.get(key)
    if place is None:
        return []
    found = [read(element) for element in place.items(most=most)]
    return [value for value in found if value is not None]


def _text(at: Place, key: str, *, empty: bool = True) -> str:
    place = at.get(key)
    return "" if place is None else place.text(empty=empty) or ""


def _integer(at: Place | None, *, low: int = 0, high: int = 10**9) -> int | None:
    return None if at is None else at.integer(low=low, high=high)


def _hundredths(at: Place, key: str, what: str) -> int | None:
    place = at.get(key)
    return None if place is None else place.decimal(2, what=what)


def _line(at: Place) -> AnswerLine | None:
    if not _object(at, "line", "to_pay"):
        return None
    parts = _each(at, "parts", _part)
    quantity = at.get("qty")
    if quantity is not None:
        quantity_milli = _quantity(quantity, low=1)
        if not parts and quantity_milli is not None:
            parts = [Part(quantity_milli=quantity_milli, to_pay_minor=0)]
        elif quantity_milli is not None and quantity_milli != _sold(parts):
            quantity.fail("sums", f"the quantity of the parts, {format_quantity(_sold(parts))}")
    elif not parts:
        at.fail("missing_key", "the key 'parts' or 'qty'")
    to_pay = _hundredths(at, "to_pay", "money") or 0
    points = _hundredths(at, "points_spent", "money") or 0
    net = _hundredths(at, "net", "money")
    if net is None:
        net = to_pay + points
    elif net < points or to_pay not in {net, net - points}:
        at.fail("sums", "to_pay = net - points_spent, or net where points are a payment")
    discount = _hundredths(at, "discount", "money") or 0
    listed = _hundredths(at, "list", "money")
    return AnswerLine(
        line=_integer(at.get("line"), low=1, high=_LINE_MAX) or 0,
        list_minor=net + discount if listed is None else listed,
        discount_minor=discount,
        net_minor=net,
        points_spent_minor=points,
        to_pay_minor=to_pay,
        applied=_each(at, "applied", _applied),
        parts=parts,
    )


def _sold(parts: Iterable[Part]) -> int:
    return sum(part.quantity_milli for part in parts)


def _part(at: Place) -> Part | None:
    if not _object(at, "qty"):
        return None
    place = at.get("qty")
    quantity_milli = None if place is None else _quantity(place, low=1)
    to_pay_minor = _hundredths(at, "to_pay", "money") or 0
    if quantity_milli is None:
        return None
    return Part(quantity_milli=quantity_milli, to_pay_minor=to_pay_minor)


def _applied(at: Place) -> Applied | None:
    if not _object(at, "promotion"):
        return None
    place = at.get("qty")
    return Applied(
        promotion=_text(at, "promotion"),
        discount_minor=_hundredths(at, "discount", "money") or 0,
        quantity_milli=0 if place is None else _quantity(place, low=0) or 0,
    )


def _accrued(at: Place, known: set[int]) -> Accrued | None:
    if not _object(at, "account", "points"):
        return None
    accrued = Accrued(
        account=_text(at, "account", empty=False),
        promotion=_text(at, "promotion"),
        points_centi=_hundredths(at, "points", "points") or 0,
        active_on_date=_day(at, "active_on") or "",
        expires_on_date=_day(at, "expires_on"),
        lines=_each(at, "lines", lambda place: _share(place, known)),
    )
    numbers = [share.line for share in accrued.lines]
    if len(set(numbers)) < len(numbers):
        at.fail("duplicate", "each line once under lines")
    if sum(share.points_centi for share in accrued.lines) > accrued.points_centi:
        at.fail("sums", "lines that add up to the points at most")
    return accrued


def _share(at: Place, known: set[int]) -> LinePoints | None:
    if not _object(at, "line", "points"):
        return None
    number = _integer(at.get("line"), low=1, high=_LINE_MAX)
    if number is not None and number not in known:
        at.fail("unknown_line", "a line of the answer")
    points_centi = _hundredths(at, "points", "points")
    if number is None or points_centi is None:
        return None
    return LinePoints(line=number, points_centi=points_centi)


def _day(at: Place, key: str) -> str | None:
    place = at.get(key)
    text = None if place is None else place.text()
    if place is None or text is None:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        place.fail("date", "a date such as 2026-11-23")
        return None


def _spent(at: Place) -> Spent | None:
    if not _object(at, "account", "points"):
        return None
    return Spent(
        account=_text(at, "account", empty=False),
        points_centi=_hundredths(at, "points", "points") or 0,
        promotion=_text(at, "promotion") or None,
    )


def _chips(at: Place) -> ChipsMoved | None:
    if not _object(at, "account"):
        return None
    return ChipsMoved(
        account=_text(at, "account", empty=False),
        promotion=_text(at, "promotion"),
        earned=_integer(at.get("earned"), high=2**62) or 0,
        spent=_integer(at.get("spent"), high=2**62) or 0,
    )


def _counter(at: Place) -> CounterValue | None:
    if not _object(at, "id"):
        return None
    return CounterValue(
        id=_text(at, "id", empty=False), value=_integer(at.get("value"), high=2**62) or 0
    )


def _coupon(at: Place) -> CouponIssued | None:
    if not _object(at, "series"):
        return None
    return CouponIssued(
        series=_text(at, "series", empty=False),
        count=_integer(at.get("count"), low=1, high=2**62) or 1,
        promotion=_text(at, "promotion"),
    )


def _total(lines: Iterable[AnswerLine]) -> Totals:
    lines = list(lines)
    return Totals(
        list_minor=sum(line.list_minor for line in lines),
        discount_minor=sum(line.discount_minor for line in lines),
        net_minor=sum(line.net_minor for line in lines),
        points_spent_minor=sum(line.points_spent_minor for line in lines),
        to_pay_minor=sum(line.to_pay_minor for line in lines),
    )


def _check_sums(at: Place, answer: Answer) -> None:
    """A sale whose sums do not agree cannot be returned exactly, so it is not returned at all."""
    numbers = [line.line for line in answer.lines]
    lines = at.get("lines")
    assert lines is not None, "an answer without findings has lines"
    stood: set[int] = set()
    for index, number in enumerate(numbers):
        if number in stood:
            lines.child(index, number).fail("duplicate", "each line once")
        stood.add(number)
    total = at.get("total")
    if total is not None and _object(total):
        for key, sum_minor in (
            ("to_pay", answer.total.to_pay_minor),
            ("points_spent", answer.total.points_spent_minor),
        ):
            told = _hundredths(total, key, "money")
            if told is not None and told != sum_minor:
                total.child(key, format_minor(told)).fail(
                    "sums", f"the sum of the lines, {format_minor(sum_minor)}"
                )
    if answer.total.points_spent_minor and not any(
        spent.points_centi for spent in answer.spent if spent.promotion is None
    ):
        at.fail(
            "sums",
            "the account under 'spent' that the lines' points_spent came from",
            hint="Without it the points could not go back to the customer.",
        )
