"""Signatures over exact bytes."""

from __future__ import annotations

import pytest

from shared.crypto.signing import Signer, key_id_of, verify
from shared.errors import InputError, SignatureError

SIGNER = Signer(bytes(range(32)))
TRUSTED = {SIGNER.key_id: SIGNER.public_key}


def test_a_signature_holds_for_its_bytes_and_kind() -> None:
    """What was signed is accepted."""
    verify("bundle", b"data", SIGNER.sign("bundle", b"data"), SIGNER.key_id, TRUSTED)


@pytest.mark.parametrize(
    ("kind", "data"), [("bundle", b"datA"), ("enrol", b"data"), ("bundl", b"edata")]
)
def test_a_signature_serves_for_nothing_else(kind: str, data: bytes) -> None:
    """Other bytes, or the same bytes as another kind of thing, are refused."""
    signature = SIGNER.sign("bundle", b"data")

    with pytest.raises(SignatureError):
        verify(kind, data, signature, SIGNER.key_id, TRUSTED)


def test_a_stranger_is_refused_even_under_a_trusted_name() -> None:
    """Another key's signature does not pass by claiming a trusted key's name."""
    stranger = Signer(bytes(32))

    with pytest.raises(SignatureError):
        verify("bundle", b"data", stranger.sign("bundle", b"data"), SIGNER.key_id, TRUSTED)
    with pytest.raises(SignatureError):
        verify("bundle", b"data", stranger.sign("bundle", b"data"), stranger.key_id, TRUSTED)


def test_a_key_comes_back_from_its_bytes() -> None:
    """Writing a key down and reading it again gives the same key; anything else is refused."""
    again = Signer(SIGNER.private_bytes())

    assert again.key_id == SIGNER.key_id == key_id_of(SIGNER.public_key)
    with pytest.raises(InputError):
        Signer(b"short")
