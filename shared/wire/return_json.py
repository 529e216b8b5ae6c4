"""What a till asks when goods come back, from JSON. Integers inside, decimal strings outside."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from shared import limits
from shared.wire.problem import Finding
from shared.wire.reading import FormatError, Place, parse_json
from shared.wire.refund_json import read_quantities

_ASKED: Final = frozenset({"sale", "return", "sale_store", "sale_register"})
_MADE: Final = _ASKED | {"time", "register", "money"}


class ReturnRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which goods of which sale come back; quantities in thousandths by line number.

    ``sale_id``: the receipt id of the sale; ``sale_store``: the shop where it was made, empty for
    this one; ``sale_register``: at which register, empty where the till does not say.
    ``money_told_minor``: what the till gave back, where it says so. ``time``: when, ISO 8601 with
    the shop's offset; empty where only asked for. ``pointers``: from ``/return/{line}`` to where
    the request says it.
    """

    sale_id: str
    wanted_milli: dict[int, int]
    time: str = ""
    register: str = ""
    money_told_minor: int | None = None
    pointers: dict[str, str] = {}
    sale_store: str = ""
    sale_register: str = ""


def decode_return(data: bytes, *, made: bool) -> ReturnRequest:
    """The request of this JSON; ``made``: the goods are back and the money is given.

    Raises:
        FormatError: with every fault found, a JSON pointer each.
    """
    findings: list[Finding] = []
    at = Place(parse_json(data), "", findings)
    pointers: dict[str, str] = {}
    required = ("sale", "return", "time") if made else ("sale", "return")
    request = None
    if at.object(_MADE if made else _ASKED, required=required):
        money = at.get("money")
        request = ReturnRequest(
            sale_id=_text(at.get("sale")),
            wanted_milli=_wanted(at.get("return"), pointers),
            time=time_of(at.get("time")),
            register=_text(at.get("register"), empty=True),
            money_told_minor=None if money is None else money.decimal(2, what="money"),
            pointers=pointers,
            sale_store=_text(at.get("sale_store")),
            sale_register=_text(at.get("sale_register")),
        )
    if findings or request is None:
        raise FormatError(findings)
    return request


def _text(at: Place | None, *, empty: bool = False) -> str:
    if at is None:
        return ""
    return at.text(empty=empty, most=limits.IDENTIFIER_CHARS_MAX) or ""


def _wanted(at: Place | None, pointers: dict[str, str]) -> dict[int, int]:
    return {} if at is None else read_quantities(at, pointers, low=1)


def time_of(at: Place | None) -> str:
    """An instant with its offset, as it was told; empty where it is missing or wrong."""
    text = _text(at)
    if at is None or not text:
        return ""
    try:
        known = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        known = False
    if not known:
        at.fail("time", "a time with its offset")
    return text
