"""What only central can read, whoever carries it: a sealed box to its X25519 key. Pure.

The sender's key is made for one box and forgotten, so that the sender itself cannot open it again.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.errors import InputError

SEAL_KEY_BYTES: Final = 32
_NONCE: Final = bytes(12)
"""Each key seals once."""
_OVERHEAD_BYTES: Final = 48
SEALED_BYTES_MAX: Final = 512


def seal(data: bytes, public_key: bytes, once: bytes) -> bytes:
    """The box. ``once``: 32 random bytes, used for this box alone.

    Raises:
        InputError: the public key is none.
    """
    assert len(data) + _OVERHEAD_BYTES <= SEALED_BYTES_MAX, "boxes are for short things"
    own = X25519PrivateKey.from_private_bytes(once)
    own_public = own.public_key().public_bytes_raw()
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(public_key))
    except ValueError as error:
        raise InputError("an X25519 key is 32 raw bytes", code="bad_key") from error
    key = _key(shared, own_public, public_key)
    return own_public + ChaCha20Poly1305(key).encrypt(_NONCE, data, None)


class Opener:
    """The private half."""

    def __init__(self, private_key: bytes) -> None:
        """``private_key``: 32 raw bytes."""
        self._key = X25519PrivateKey.from_private_bytes(private_key)
        self.public_key = self._key.public_key().public_bytes_raw()

    def open(self, sealed: bytes) -> bytes:
        """What was sealed to this key.

        Raises:
            InputError: ``bad_seal``: it was sealed to another, or changed on the way.
        """
        own_public, body = sealed[:SEAL_KEY_BYTES], sealed[SEAL_KEY_BYTES:]
        if len(sealed) > SEALED_BYTES_MAX:
            raise _not_ours()
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(own_public))
            key = _key(shared, own_public, self.public_key)
            return ChaCha20Poly1305(key).decrypt(_NONCE, body, None)
        except (ValueError, InvalidTag) as error:
            raise _not_ours() from error


def _key(shared: bytes, sender: bytes, receiver: bytes) -> bytes:
    info = b"kopilka.sealed.v1" + sender + receiver
    return HKDF(algorithm=SHA256(), length=SEAL_KEY_BYTES, salt=None, info=info).derive(shared)


def _not_ours() -> InputError:
    return InputError("this was not sealed to us", code="bad_seal")
