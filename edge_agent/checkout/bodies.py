"""Bodies of a till's requests, read: the receipt with its card apart, ids, sums, hashes. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from shared.errors import InputError
from shared.limits import IDENTIFIER_CHARS_MAX
from shared.wire.receipt import Receipt
from shared.wire.receipt_json import decode_receipt, parse_json, scaled_integer

_MONEY_DECIMALS: Final = 2
_SHOWN: Final = frozenset({"card", "proof"})
_PLAIN: Final = msgspec.json.Encoder(order="deterministic", decimal_format="string")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A till's receipt, decoded; ``raw`` is without card and proof (``checkout.proof``)."""

    raw: Mapping[str, Any]
    receipt: Receipt
    card: str | None
    raw_sha256: bytes
    proof: str | None = None


def asked_in(body: bytes, store_id: str) -> Asked:
    """The receipt in a body of ``calculate``; raises InputError where it breaks its format."""
    raw = parse_json(body)
    if not isinstance(raw, dict):
        decode_receipt(raw)  # says what is expected instead
    return asked_of(raw, store_id)


def asked_of(raw: Any, store_id: str) -> Asked:
    """The receipt in this JSON; card and proof are taken out, since the engine never sees them.

    Raises:
        InputError: it breaks its format, or is of another store.
    """
    raw_sha256 = sha256_of(raw)
    shown: dict[str, str] = {}
    if isinstance(raw, dict):
        raw = {"store": store_id, **raw}
        customer = raw.get("customer")
        if isinstance(customer, dict):
            for key in _SHOWN & customer.keys():
                if customer[key] is not None:
                    shown[key] = text_of(customer[key], f"/customer/{key}")
            raw["customer"] = {k: v for k, v in customer.items() if k not in _SHOWN}
    receipt = decode_receipt(raw)
    if receipt.store != store_id:
        raise InputError(
            f"this agent serves store {store_id}", code="other_store", pointer="/store"
        )
    return Asked(
        raw=raw,
        receipt=receipt,
        card=shown.get("card"),
        raw_sha256=raw_sha256,
        proof=shown.get("proof"),
    )


def with_id(raw: Any, receipt_id: str) -> Any:
    """The till's receipt under the id it is committed by."""
    if not isinstance(raw, dict):
        return raw
    said = raw.get("receipt_id")
    if said not in (None, "", receipt_id):
        raise InputError(
            "the receipt has another id than the address",
            code="receipt_id",
            pointer="/receipt/receipt_id",
        )
    return {**raw, "receipt_id": receipt_id}


def receipt_hash(receipt: Receipt) -> str:
    """Names a completed receipt."""
    return hashlib.sha256(msgspec.msgpack.encode(receipt)).hexdigest()


def sha256_of(value: Any) -> bytes:
    """Of a JSON value as it means: blanks and the order of keys do not count."""
    return hashlib.sha256(plain_json(value)).digest()


def plain_json(value: Any) -> bytes:
    """The one form of a JSON value; it is kept for ever as a hash, so no byte of it may change.

    Raises:
        InputError: it holds half a character, or is nested too deep.
    """
    try:
        return _PLAIN.encode(value)
    except (msgspec.MsgspecError, OverflowError, TypeError, UnicodeEncodeError, RecursionError):
        return _plain_json_of_any(value)


def _plain_json_of_any(value: Any) -> bytes:
    """Also of numbers that msgspec does not know; slower."""
    try:
        return json.dumps(
            value, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=False
        ).encode("utf-8")
    except (UnicodeEncodeError, RecursionError) as error:
        raise InputError(
            "the body holds half a character, or is nested too deep", code="json", pointer=""
        ) from error


def check_id(receipt_id: str) -> None:
    """Raises InputError ``receipt_id`` where an id is empty or too long."""
    if not 0 < len(receipt_id) <= IDENTIFIER_CHARS_MAX:
        raise InputError(f"an id has 1 to {IDENTIFIER_CHARS_MAX} characters", code="receipt_id")


def text_of(value: Any, pointer: str) -> str:
    """A name of at most IDENTIFIER_CHARS_MAX characters; raises InputError ``type``."""
    if not isinstance(value, str) or not 0 < len(value) <= IDENTIFIER_CHARS_MAX:
        raise InputError("a text is expected", code="type", pointer=pointer)
    return value


def money_of(value: Any, pointer: str) -> int | None:
    """Money in minor units, None where none is said; raises InputError ``number``."""
    if value is None:
        return None
    minor = scaled_integer(value, _MONEY_DECIMALS)
    if minor is None:
        raise InputError("money with two decimals is expected", code="number", pointer=pointer)
    return minor
