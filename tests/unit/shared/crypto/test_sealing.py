"""What is sealed to central is read by central alone, and whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.sealing import SEALED_BYTES_MAX, Opener, seal
from shared.errors import InputError

OURS, OTHERS = Opener(b"\x01" * 32), Opener(b"\x02" * 32)


@given(data=st.binary(max_size=64), once=st.binary(min_size=32, max_size=32))
def test_only_the_receiver_reads_it(data: bytes, once: bytes) -> None:
    sealed = seal(data, OURS.public_key, once)
    assert OURS.open(sealed) == data
    assert len(data) < 8 or data not in sealed
    with pytest.raises(InputError):
        OTHERS.open(sealed)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_any_changed_byte_is_noticed(place: int, change: int) -> None:
    sealed = bytearray(seal(b"+79161234567", OURS.public_key, b"\x07" * 32))
    index = place % len(sealed)
    sealed[index] ^= change
    # The highest bit of an X25519 key means nothing; everything else does.
    if index == 31 and change == 128:
        return
    with pytest.raises(InputError):
        OURS.open(bytes(sealed))


@given(st.binary(max_size=2 * SEALED_BYTES_MAX))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(InputError):
        OURS.open(noise)


def test_no_key_seals_nothing() -> None:
    with pytest.raises(InputError):
        seal(b"x", b"short", b"\x07" * 32)
