"""A till's JSON about customers, decoded; messages name the place and never what stands there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.crypto.member_codes import is_member_code
from shared.errors import InputError
from shared.limits import IDENTIFIER_CHARS_MAX
from shared.wire.members import CONSENTS
from shared.wire.receipt_json import parse_json

_SHOWN: Final = ("card", "phone", "code")
_WHO_ASKS: Final = frozenset({"register", "cashier"})
_REGISTER_KEYS: Final = frozenset({"operation_id", "phone", "card", "consents"}) | _WHO_ASKS


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifyRequest:
    """What a customer shows: one of the three. ``register``, ``cashier``: where and to whom."""

    card: str | None
    phone: str | None = field(repr=False)
    code: str | None
    register: str | None
    cashier: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterMember:
    """Somebody wants to be a member; ``consents``: what they agreed to."""

    operation_id: str
    phone: str = field(repr=False)
    card: str | None
    consents: tuple[str, ...]
    register: str | None
    cashier: str | None


def decode_identify(body: bytes) -> IdentifyRequest:
    """What is shown. A card that begins as a code does is a code: both come from one scanner.

    Raises:
        InputError: ``bad_customer``, ``unknown_key``.
    """
    raw = _object(body, frozenset(_SHOWN) | _WHO_ASKS)
    shown = {key: _text(raw, key) for key in _SHOWN}
    if sum(value is not None for value in shown.values()) != 1:
        raise InputError("one of card, phone and code is shown", code="bad_customer", pointer="")
    card = shown["card"]
    if card is not None and is_member_code(card):
        shown = {"card": None, "phone": None, "code": card}
    return IdentifyRequest(
        card=shown["card"],
        phone=shown["phone"],
        code=shown["code"],
        register=_text(raw, "register"),
        cashier=_text(raw, "cashier"),
    )


def decode_register(body: bytes) -> RegisterMember:
    """Who wants to be a member.

    Raises:
        InputError: ``bad_customer``, ``unknown_key``; ``consent_needed``: nobody is a member
            without the programme's rules.
    """
    raw = _object(body, _REGISTER_KEYS)
    operation_id, phone = _text(raw, "operation_id"), _text(raw, "phone")
    if operation_id is None or phone is None:
        missing = "operation_id" if operation_id is None else "phone"
        raise InputError("a text is expected", code="bad_customer", pointer=f"/{missing}")
    return RegisterMember(
        operation_id=operation_id,
        phone=phone,
        card=_text(raw, "card"),
        consents=_consents(raw.get("consents")),
        register=_text(raw, "register"),
        cashier=_text(raw, "cashier"),
    )


def _consents(raw: Any) -> tuple[str, ...]:
    if not isinstance(raw, dict):
        raise InputError("an object is expected", code="bad_customer", pointer="/consents")
    for key, value in raw.items():
        if key not in CONSENTS:
            raise InputError(
                "there is no such consent", code="unknown_key", pointer=f"/consents/{key[:50]}"
            )
        if not isinstance(value, bool):
            raise InputError("true or false", code="bad_customer", pointer=f"/consents/{key}")
    if raw.get("rules") is not True:
        raise InputError(
            "a member agrees to the programme's rules",
            code="consent_needed",
            pointer="/consents/rules",
            hint="Ask the customer; without that there is no member.",
        )
    return tuple(each for each in CONSENTS if raw.get(each) is True)


def _object(body: bytes, keys: frozenset[str]) -> Mapping[str, Any]:
    raw = parse_json(body)
    if not isinstance(raw, dict):
        raise InputError("an object is expected", code="bad_customer", pointer="")
    for key in raw:
        if key not in keys:
            raise InputError(
                "this key has no meaning here", code="unknown_key", pointer=f"/{key[:50]}"
            )
    return raw


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value.strip()) <= IDENTIFIER_CHARS_MAX:
        raise InputError(
            f"a text of 1 to {IDENTIFIER_CHARS_MAX} characters is expected",
            code="bad_customer",
            pointer=f"/{key}",
        )
    return value
