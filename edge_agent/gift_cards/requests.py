"""A till's JSON about gift cards, decoded; the answer as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shared.errors import InputError
from shared.limits import IDENTIFIER_CHARS_MAX
from shared.money import format_minor
from shared.wire.gift_cards import (
    GiftAction,
    GiftActivate,
    GiftBalance,
    GiftRedeem,
    GiftReply,
    GiftRequest,
    GiftReverse,
)
from shared.wire.receipt_json import parse_json, scaled_integer

_MONEY_DECIMALS: Final = 2
_KEYS: Final[Mapping[GiftAction, frozenset[str]]] = {
    GiftAction.ACTIVATE: frozenset({"operation_id", "receipt_id", "number", "amount"}),
    GiftAction.BALANCE: frozenset({"number", "pin"}),
    GiftAction.REDEEM: frozenset({"operation_id", "receipt_id", "number", "amount", "pin"}),
    GiftAction.REVERSE: frozenset({"operation_id"}),
}


def decode_request(action: GiftAction, body: bytes) -> GiftRequest:
    """What a till asks for; messages name the place at fault and never what stands there.

    Raises:
        InputError: the body is none of this action.
    """
    raw = parse_json(body)
    if not isinstance(raw, dict):
        raise InputError("an object is expected", code="bad_gift_card", pointer="")
    for key in raw:
        if key not in _KEYS[action]:
            raise InputError("this key has no meaning here", code="unknown_key", pointer=f"/{key}")
    if action is GiftAction.ACTIVATE:
        amount_minor = _money(raw, "amount")
        if amount_minor is None:
            raise InputError("money is expected", code="bad_gift_card", pointer="/amount")
        return GiftActivate(
            operation_id=_text(raw, "operation_id"),
            receipt_id=_text(raw, "receipt_id"),
            number=_text(raw, "number"),
            amount_minor=amount_minor,
        )
    if action is GiftAction.BALANCE:
        return GiftBalance(number=_text(raw, "number"), pin=_pin(raw))
    if action is GiftAction.REDEEM:
        return GiftRedeem(
            operation_id=_text(raw, "operation_id"),
            receipt_id=_text(raw, "receipt_id"),
            number=_text(raw, "number"),
            amount_minor=_money(raw, "amount"),
            pin=_pin(raw),
        )
    return GiftReverse(operation_id=_text(raw, "operation_id"))


def reply_to_json(reply: GiftReply) -> dict[str, Any]:
    """Money as decimal text; of a card that nobody knows there is no currency."""
    return {
        "amount": format_minor(reply.amount_minor),
        "balance": format_minor(reply.balance_minor),
        "currency": reply.currency or None,
        "active": reply.active,
        "expires_on": reply.expires_on,
        "whole_only": reply.whole_only,
    }


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= IDENTIFIER_CHARS_MAX:
        raise InputError(
            f"a text of 1 to {IDENTIFIER_CHARS_MAX} characters is expected",
            code="bad_gift_card",
            pointer=f"/{key}",
        )
    return value


def _pin(raw: Mapping[str, Any]) -> str | None:
    return None if raw.get("pin") is None else _text(raw, "pin")


def _money(raw: Mapping[str, Any], key: str) -> int | None:
    value = raw.get(key)
    if value is None:
        return None
    minor = scaled_integer(value, _MONEY_DECIMALS)
    if minor is None or minor <= 0:
        raise InputError(
            "money above zero with two decimals is expected",
            code="bad_gift_card",
            pointer=f"/{key}",
        )
    return minor
