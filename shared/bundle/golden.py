"""Golden receipts: what a bundle's program must answer, proven wherever it is to price.

Head office prices a few receipts when it writes a bundle and puts the digests of the answers in.
A shop prices the same receipts with its own engine before it lets the bundle in, so that two
releases, builds or machines that disagree are found before a customer finds them.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from shared import limits
from shared.bundle.layout import Golden
from shared.bundle.trust import VerifiedBundle
from shared.engine.evaluate import evaluate
from shared.engine.ready import Ready
from shared.errors import TooLargeError, TrustError
from shared.wire.answer import Answer
from shared.wire.receipt import Receipt

BESIDE_RECEIPT_BYTES: Final = 40
"""What a digest and its frame take beside a receipt."""
_ENCODER: Final = msgspec.msgpack.Encoder(order="deterministic")
_DECODER: Final = msgspec.msgpack.Decoder(Receipt)


def make_golden(ready: Ready, receipts: Sequence[Receipt]) -> bytes:
    """The receipts with the digests of their answers, encoded.

    Raises:
        TooLargeError: more receipts, or more bytes of them, than a bundle may have.
    """
    if len(receipts) > limits.BUNDLE_GOLDEN_MAX:
        raise TooLargeError(f"a bundle has at most {limits.BUNDLE_GOLDEN_MAX} golden receipts")
    packed = [_ENCODER.encode(receipt) for receipt in receipts]
    bytes_max = limits.BUNDLE_GOLDEN_BYTES_MAX - BESIDE_RECEIPT_BYTES * len(packed)
    if sum(len(each) for each in packed) > bytes_max:
        raise TooLargeError(
            f"golden receipts have at most {limits.BUNDLE_GOLDEN_BYTES_MAX} bytes together"
        )
    # Priced as shops will read them, whatever order the mappings of a receipt were in.
    read = [_DECODER.decode(each) for each in packed]
    encoded = _ENCODER.encode(
        [
            Golden(receipt=receipt, answer_sha256=answer_sha256(evaluate(ready, receipt)))
            for receipt in read
        ]
    )
    assert len(encoded) <= limits.BUNDLE_GOLDEN_BYTES_MAX, "room was kept for the digests"
    return encoded


def prove_golden(bundle: VerifiedBundle) -> None:
    """Price every golden receipt of a bundle here; nothing happens when all come out.

    Raises:
        TrustError: one does not (code ``golden_differs``).
    """
    for golden in bundle.golden:
        name = golden.receipt.receipt_id
        try:
            digest = answer_sha256(evaluate(bundle.ready, golden.receipt))
        except Exception as error:  # whatever breaks here would break at a till
            raise _differs(f"receipt {name} cannot be priced here") from error
        if digest != golden.answer_sha256:
            raise _differs(f"receipt {name} comes out otherwise than at head office")


def answer_sha256(answer: Answer) -> bytes:
    """The digest of an answer: of every field that says something, under its name.

    A field at its default counts as absent, so that a later release may add fields to answers
    without shops of the release before refusing its bundles.
    """
    return hashlib.sha256(_ENCODER.encode(_said(answer))).digest()


def _said(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {
            name: _said(found)
            for name, default in _defaults(type(value))
            if (found := getattr(value, name)) != default
        }
    if isinstance(value, list):
        return [_said(each) for each in value]
    return value


@functools.cache
def _defaults(struct: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    """The fields of a structure with their defaults; ``NODEFAULT`` equals no value."""
    return tuple(
        (
            field.name,
            field.default_factory() if callable(field.default_factory) else field.default,
        )
        for field in msgspec.structs.fields(struct)
    )


def _differs(message: str) -> TrustError:
    return TrustError(
        message,
        code="golden_differs",
        hint="Bring the agent and head office to the same release, then publish again.",
    )
