"""What a bundle must be before it is used."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
import zstandard

from shared import limits
from shared.bundle.layout import LENGTH_BYTES, MAGIC, SIGNATURE_KIND, BundleHeader
from shared.bundle.trust import open_bundle
from shared.bundle.writer import write_bundle
from shared.crypto.signing import Signer
from shared.engine.program import ENGINE_VERSION, Group, Program, Resolve, encode_program
from shared.errors import RollbackError, SignatureError, TooLargeError, TrustError

SIGNER = Signer(bytes(range(32)))
TRUSTED = {SIGNER.key_id: SIGNER.public_key}
PROGRAM = Program(
    programme="supermarkets",
    version=42,
    currency="RUB",
    timezone="Europe/Moscow",
    groups=[Group(id="main", resolve=Resolve.ALL, promotions=[])],
    accounts=[],
)
DATA = write_bundle(PROGRAM, SIGNER, created_at_ms=1)


def signed_by_hand(payload: bytes, **changes: object) -> bytes:
    """A bundle with a good signature over whatever the header is made to say."""
    frame = zstandard.compress(payload)
    header = BundleHeader(
        programme="supermarkets",
        version=42,
        currency="RUB",
        timezone="Europe/Moscow",
        engine_min=ENGINE_VERSION,
        engine_max=ENGINE_VERSION,
        created_at_ms=1,
        payload_sha256=hashlib.sha256(payload).digest(),
        payload_bytes=len(payload),
        frame_bytes=len(frame),
    )
    encoded = msgspec.msgpack.encode(msgspec.structs.replace(header, **changes))
    signed = MAGIC + len(encoded).to_bytes(LENGTH_BYTES, "big") + encoded + frame
    return signed + SIGNER.key_id.encode() + SIGNER.sign(SIGNATURE_KIND, signed)


def test_what_was_written_is_what_is_read() -> None:
    """The program comes back equal, and the same program gives the same bytes."""
    bundle = open_bundle(DATA, TRUSTED, version_floor=42)

    assert bundle.program == PROGRAM
    assert write_bundle(PROGRAM, SIGNER, created_at_ms=1) == DATA


@pytest.mark.parametrize("length", range(len(DATA)))
def test_a_truncated_bundle_is_refused(length: int) -> None:
    """Cut at any byte, a bundle is refused."""
    with pytest.raises(TrustError):
        open_bundle(DATA[:length], TRUSTED, version_floor=0)


@pytest.mark.parametrize("index", range(len(DATA)))
def test_a_changed_bundle_is_refused(index: int) -> None:
    """With any one bit changed, a bundle is refused."""
    changed = bytearray(DATA)
    changed[index] ^= 1

    with pytest.raises(TrustError):
        open_bundle(bytes(changed), TRUSTED, version_floor=0)


def test_a_stranger_cannot_sign() -> None:
    """A well-made bundle of an unknown key is refused."""
    with pytest.raises(SignatureError):
        open_bundle(
            write_bundle(PROGRAM, Signer(bytes(32)), created_at_ms=1), TRUSTED, version_floor=0
        )


def test_the_version_never_goes_back() -> None:
    """An older version is refused, the floor itself is not."""
    with pytest.raises(RollbackError):
        open_bundle(DATA, TRUSTED, version_floor=43)


def test_a_bomb_is_stopped() -> None:
    """A payload that unpacks to more than stated, or states too much, is refused."""
    with pytest.raises(TooLargeError):
        open_bundle(signed_by_hand(bytes(10**7), payload_bytes=1000), TRUSTED, version_floor=0)
    with pytest.raises(TooLargeError):
        open_bundle(
            signed_by_hand(b"x", payload_bytes=limits.BUNDLE_PAYLOAD_BYTES_MAX + 1),
            TRUSTED,
            version_floor=0,
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"payload_bytes": 10**6},
        {"payload_sha256": bytes(32)},
        {"frame_bytes": 1},
        {"engine_min": ENGINE_VERSION + 1, "engine_max": ENGINE_VERSION + 1},
        {"programme": "another"},
        {"version": 43},
    ],
    ids=str,
)
def test_a_header_that_lies_is_refused(changes: dict[str, object]) -> None:
    """Even with a good signature, header and payload must agree."""
    with pytest.raises(TrustError):
        open_bundle(signed_by_hand(encode_program(PROGRAM), **changes), TRUSTED, version_floor=0)
