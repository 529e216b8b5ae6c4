"""Ed25519 signatures over exact bytes with a kind tag, so that none serves for another kind."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from shared.errors import InputError, SignatureError


def key_id_of(public_key: bytes) -> str:
    """The name of a key: the first 16 hex digits of SHA-256 over its 32 raw bytes."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def _tagged(kind: str, data: bytes) -> bytes:
    tag = kind.encode("ascii")
    return b"kopilka.signed.v1" + bytes([len(tag)]) + tag + data


class Signer:
    """A private key that signs; its bytes leave only through ``private_bytes``."""

    def __init__(self, private_key: bytes) -> None:
        """``private_key``: 32 raw bytes. Raises InputError when they are not."""
        try:
            self._key = Ed25519PrivateKey.from_private_bytes(private_key)
        except ValueError as error:
            raise InputError("an Ed25519 private key is 32 raw bytes", code="bad_key") from error
        self.public_key = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_id = key_id_of(self.public_key)

    def private_bytes(self) -> bytes:
        """The 32 raw private bytes, for writing to a file only the service can read."""
        return self._key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())

    def sign(self, kind: str, data: bytes) -> bytes:
        """64 bytes of signature over ``data`` as a thing of ``kind``."""
        return self._key.sign(_tagged(kind, data))


def verify(
    kind: str, data: bytes, signature: bytes, key_id: str, trusted: Mapping[str, bytes]
) -> None:
    """Check that a trusted key signed exactly these bytes as this kind of thing.

    Args:
        trusted: raw public keys by ``key_id_of``.

    Raises:
        SignatureError: the key is not trusted, or the signature does not fit.
    """
    public_key = trusted.get(key_id)
    if public_key is None:
        raise SignatureError(
            f"signed by key {key_id}, which is not trusted here",
            hint="Enrol this agent again, or add the key to its trusted keys.",
        )
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _tagged(kind, data))
    except (InvalidSignature, ValueError) as error:
        raise SignatureError(
            "the signature does not match the bytes received",
            hint="Download or export it again; it was changed on the way.",
        ) from error
