"""What a till asks when goods come back without a receipt, from JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from shared import limits
from shared.wire.problem import Finding
from shared.wire.reading import FormatError, Place, parse_json
from shared.wire.return_json import time_of

RIGHTS_MAX: Final = 50
"""Of one cashier; a till has a dozen."""
_ASKED: Final = frozenset({"goods", "cashier"})
_MADE: Final = _ASKED | {"time", "register", "money"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodsRequest:
    """Goods and who takes them back. ``lines``: as the lines of a receipt, in JSON, not yet read.

    ``rights``: what the till says that its cashier may do. ``time``, ``register`` and
    ``money_told_minor`` as in ``ReturnRequest``.
    """

    lines: list[Any]
    cashier_id: str = ""
    rights: frozenset[str] = frozenset()
    time: str = ""
    register: str = ""
    money_told_minor: int | None = None


def decode_goods(data: bytes, *, made: bool) -> GoodsRequest:
    """The request of this JSON; ``made``: the goods are back and the money is given.

    Raises:
        FormatError: with every fault found, a JSON pointer each.
    """
    findings: list[Finding] = []
    at = Place(parse_json(data), "", findings)
    required = ("goods", "time") if made else ("goods",)
    request = None
    if at.object(_MADE if made else _ASKED, required=required):
        goods, money = at.get("goods"), at.get("money")
        cashier_id, rights = _cashier(at.get("cashier"))
        request = GoodsRequest(
            lines=[] if goods is None else _lines(goods),
            cashier_id=cashier_id,
            rights=rights,
            time=time_of(at.get("time")),
            register=_text(at.get("register")),
            money_told_minor=None if money is None else money.decimal(2, what="money"),
        )
    if findings or request is None:
        raise FormatError(findings)
    return request


def _lines(at: Place) -> list[Any]:
    value = at.value
    if not isinstance(value, list) or not 0 < len(value) <= limits.RECEIPT_LINES_MAX:
        at.fail("goods", "the lines of what comes back")
        return []
    return value


def _cashier(at: Place | None) -> tuple[str, frozenset[str]]:
    if at is None or not at.object(frozenset({"id", "rights"}), required=("id",)):
        return "", frozenset()
    told = at.get("rights")
    if told is None:
        return _text(at.get("id")), frozenset()
    rights = told.value
    if (
        not isinstance(rights, list)
        or len(rights) > RIGHTS_MAX
        or not all(isinstance(each, str) for each in rights)
    ):
        told.fail("rights", "a list of names")
        return "", frozenset()
    return _text(at.get("id")), frozenset(rights)


def _text(at: Place | None) -> str:
    return "" if at is None else at.text(empty=True, most=limits.IDENTIFIER_CHARS_MAX) or ""
