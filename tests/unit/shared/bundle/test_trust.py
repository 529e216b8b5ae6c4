"""What a bundle must be before it is used."""

from __future__ import annotations

import contextlib
import gc
import random
import tracemalloc

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import limits
from shared.bundle.golden import prove_golden
from shared.bundle.layout import FORMAT_GOLDEN, Golden, GoldenPayload
from shared.bundle.trust import open_bundle
from shared.bundle.writer import write_bundle
from shared.crypto.signing import Signer
from shared.engine.program import ENGINE_VERSION, encode_program
from shared.errors import RollbackError, SignatureError, TooLargeError, TrustError
from tests.support.bundles import SIGNER, TRUSTED, a_program, receipts, signed_by_hand

PROGRAM = a_program()
BARE = write_bundle(PROGRAM, SIGNER, created_at_ms=1)
DATA = write_bundle(PROGRAM, SIGNER, created_at_ms=1, golden=receipts(2))
CODES = {"too_large", "signature", "rollback", "truncated", "damaged", "engine_version"}
STRANGER = Signer(bytes(32))


def refusal(data: bytes, *, version_floor: int = 0) -> str:
    """The code with which a bundle is refused."""
    with pytest.raises(TrustError) as refused:
        open_bundle(data, TRUSTED, version_floor=version_floor)
    return refused.value.stable_code


def golden_payload(program: bytes, golden: bytes) -> bytes:
    return msgspec.msgpack.encode(
        GoldenPayload(program=msgspec.Raw(program), golden=msgspec.Raw(golden))
    )


def test_what_was_written_is_what_is_read() -> None:
    """Program and receipts come back equal, and the same ones give the same bytes."""
    bundle = open_bundle(DATA, TRUSTED, version_floor=42)

    assert bundle.program == PROGRAM
    assert bundle.ready.program is bundle.program
    assert [each.receipt for each in bundle.golden] == receipts(2)
    assert write_bundle(PROGRAM, SIGNER, created_at_ms=1, golden=receipts(2)) == DATA


def test_the_collector_is_left_as_it_was() -> None:
    """It waits while a bundle is opened, whether that goes well or not."""
    broken = signed_by_hand(b"no program")
    assert gc.isenabled()
    open_bundle(DATA, TRUSTED, version_floor=0)
    assert gc.isenabled()
    assert refusal(broken) == "damaged"
    assert gc.isenabled()


@pytest.mark.parametrize("data", [BARE, DATA], ids=["bare", "golden"])
def test_a_truncated_bundle_is_refused(data: bytes) -> None:
    """Cut at any byte, a bundle is refused; as cut where too little is left for a signature."""
    codes = [refusal(data[:length]) for length in range(len(data))]

    assert set(codes[:8]) == {"damaged"}
    assert set(codes[8:92]) == {"truncated"}
    assert set(codes[92:]) == {"signature"}


@pytest.mark.parametrize("data", [BARE, DATA], ids=["bare", "golden"])
def test_a_changed_bundle_is_refused(data: bytes) -> None:
    """With any one bit changed, a bundle is refused."""
    for index in range(len(data)):
        changed = bytearray(data)
        changed[index] ^= 1 << index % 8
        assert refusal(bytes(changed)) in {"damaged", "signature"}


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(1, 255)), min_size=1))
def test_bits_flipped_anywhere_are_refused(flips: list[tuple[int, int]]) -> None:
    """However many bytes are changed, the bundle is the one that was signed or refused."""
    changed = bytearray(DATA)
    for index, bits in flips:
        changed[index] ^= bits
    if changed != DATA:
        assert refusal(bytes(changed)) in {"damaged", "truncated", "signature"}


@settings(deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_junk_is_refused(junk: bytes, begins: bool) -> None:
    """Bytes that begin as a bundle or not, but are none."""
    assert refusal((DATA[:8] if begins else b"") + junk) in CODES


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_signed_payload_may_hold_anything(data: st.DataObject) -> None:
    """A payload damaged before it was signed is refused, or is a program that says how it fails."""
    program = encode_program(PROGRAM)
    golden = msgspec.msgpack.encode(open_bundle(DATA, TRUSTED, version_floor=0).golden)
    payload = bytearray(golden_payload(program, golden))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(payload)), st.integers(0, len(payload))))
    bundle = signed_by_hand(bytes(payload[:cut]), payload_format=FORMAT_GOLDEN)

    with contextlib.suppress(TrustError):
        prove_golden(open_bundle(bundle, TRUSTED, version_floor=0))


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_signed_frame_may_hold_anything(rng: random.Random) -> None:
    """A frame damaged before it was signed is refused as damaged, or gives what was packed."""
    payload = encode_program(PROGRAM)
    frame = bytearray(zstandard.compress(payload))
    frame[rng.randrange(len(frame))] = rng.randrange(256)
    frame += rng.randbytes(rng.choice([0, 0, 1, 30]))
    bundle = signed_by_hand(payload, bytes(frame))
    opened = None
    with contextlib.suppress(TrustError):
        opened = open_bundle(bundle, TRUSTED, version_floor=0)
    if opened is None:
        assert refusal(bundle) in {"damaged", "too_large"}
    else:
        assert opened.program == PROGRAM


def test_a_stranger_cannot_sign() -> None:
    """A well-made bundle of an unknown key is refused."""
    with pytest.raises(SignatureError):
        open_bundle(write_bundle(PROGRAM, STRANGER, created_at_ms=1), TRUSTED, version_floor=0)


def test_the_version_never_goes_back() -> None:
    """An older version is refused, the floor itself is not."""
    with pytest.raises(RollbackError):
        open_bundle(DATA, TRUSTED, version_floor=43)


def test_a_bomb_is_stopped() -> None:
    """What would unpack to more than stated or allowed is refused without room being made."""
    bomb_bytes = 200 * 2**20
    bomb = zstandard.compress(bytes(bomb_bytes))
    size = bomb_bytes.to_bytes(4, "little")
    assert bomb.index(size) < 14, "the frame's own statement of its size"
    lying = bomb.replace(size, (1000).to_bytes(4, "little"), 1)
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(10**7))
    tracemalloc.start()
    try:
        codes = [
            refusal(signed_by_hand(b"", bomb, payload_bytes=1000)),
            refusal(signed_by_hand(b"", lying, payload_bytes=1000)),
            refusal(signed_by_hand(b"", silent, payload_bytes=1000)),
            refusal(signed_by_hand(b"", bomb, payload_bytes=limits.BUNDLE_PAYLOAD_BYTES_MAX + 1)),
            refusal(signed_by_hand(b"", bomb, payload_bytes=-1)),
        ]
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert codes == ["too_large", "damaged", "damaged", "too_large", "too_large"]
    assert peak_bytes < 2**20


def test_a_file_too_large_is_not_looked_at() -> None:
    """More bytes than a bundle may have are refused before anything else."""
    assert refusal(bytes(limits.BUNDLE_BYTES_MAX + 1)) == "too_large"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"payload_bytes": 10**6}, "damaged"),
        ({"payload_bytes": 10}, "too_large"),
        ({"payload_sha256": bytes(32)}, "damaged"),
        ({"frame_bytes": 1}, "truncated"),
        ({"engine_min": ENGINE_VERSION + 1, "engine_max": ENGINE_VERSION + 1}, "engine_version"),
        ({"engine_max": ENGINE_VERSION - 1}, "engine_version"),
        ({"programme": "another"}, "damaged"),
        ({"version": 43}, "damaged"),
        ({"payload_format": FORMAT_GOLDEN}, "damaged"),
        ({"payload_format": 3}, "payload_format"),
    ],
    ids=str,
)
def test_a_header_that_lies_is_refused(changes: dict[str, object], code: str) -> None:
    """Even with a good signature, header and payload must agree."""
    assert refusal(signed_by_hand(encode_program(PROGRAM), **changes)) == code


@pytest.mark.parametrize(
    ("golden", "code"),
    [
        (
            [Golden(receipt=each, answer_sha256=bytes(32)) for each in receipts(201)],
            "too_large",
        ),
        ([b"\0" * (limits.BUNDLE_GOLDEN_BYTES_MAX + 1)], "too_large"),
        ([Golden(receipt=receipts(1)[0], answer_sha256=b"short")], "damaged"),
        ([1], "damaged"),
        ({}, "damaged"),
    ],
    ids=["too many", "too many bytes", "no digest", "no receipt", "no list"],
)
def test_golden_receipts_must_be_that_and_few(golden: object, code: str) -> None:
    """Their bytes are bounded before they are decoded, their number after."""
    payload = golden_payload(encode_program(PROGRAM), msgspec.msgpack.encode(golden))

    assert refusal(signed_by_hand(payload, payload_format=FORMAT_GOLDEN)) == code


def test_what_shops_would_refuse_is_not_written() -> None:
    """The writer keeps to the same bounds."""
    one = receipts(1)[0]
    long = msgspec.structs.replace(one, lines=one.lines * 40_000)
    for golden in (receipts(limits.BUNDLE_GOLDEN_MAX + 1), [long]):
        with pytest.raises(TooLargeError):
            write_bundle(PROGRAM, SIGNER, created_at_ms=1, golden=golden)
    full = write_bundle(PROGRAM, SIGNER, created_at_ms=1, golden=receipts(limits.BUNDLE_GOLDEN_MAX))
    assert len(open_bundle(full, TRUSTED, version_floor=0).golden) == limits.BUNDLE_GOLDEN_MAX
