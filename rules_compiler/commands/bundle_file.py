"""A bundle as a file: read for looking at, whoever signed it.

Only shops must know who signed; a person at a desk may look at any bundle, and is told whether the
signature was checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared import limits
from shared.bundle.layout import KEY_ID_BYTES, LENGTH_BYTES, MAGIC, SIGNATURE_KIND, TAIL_BYTES
from shared.bundle.reader import read_header, read_payload
from shared.bundle.trust import VerifiedBundle
from shared.crypto.signing import Signer, key_id_of, verify
from shared.engine.ready import Ready
from shared.errors import InputError, TooLargeError, TrustError

KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedFile:
    """What is in a bundle; ``verified`` is whether a key that was given signed it."""

    bundle: VerifiedBundle
    key_id: str
    file_bytes: int
    verified: bool


def is_bundle(data: bytes) -> bool:
    """Whether the bytes begin as a bundle does."""
    return data.startswith(MAGIC)


def open_file(path: Path, trusted: Path | None = None) -> OpenedFile:
    """The bundle of this file; with ``trusted`` its signature is checked by that key.

    Raises:
        TrustError: it is no bundle, damaged, for another engine, or signed by another key.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(limits.BUNDLE_BYTES_MAX + 1)
    if len(data) > limits.BUNDLE_BYTES_MAX:
        raise TooLargeError(f"a bundle has at most {limits.BUNDLE_BYTES_MAX} bytes")
    if not is_bundle(data):
        raise TrustError(
            f"{path} is not a bundle",
            code="damaged",
            hint="Bundles are written by `kopilka-rules compile FILE -o BUNDLE --key KEY`.",
        )
    if len(data) < len(MAGIC) + LENGTH_BYTES + TAIL_BYTES:
        raise TrustError(f"{path} is cut short", code="truncated", hint="Copy it again.")
    signed, tail = data[:-TAIL_BYTES], data[-TAIL_BYTES:]
    key_id = tail[:KEY_ID_BYTES].decode("ascii", "replace")
    if trusted is not None:
        verify(SIGNATURE_KIND, signed, tail[KEY_ID_BYTES:], key_id, _keys(trusted))
    header, frame = read_header(signed)
    contents = read_payload(header, frame)
    return OpenedFile(
        bundle=VerifiedBundle(
            header=header,
            program=contents.program,
            ready=Ready(contents.program),
            golden=contents.golden,
            sha256=hashlib.sha256(data).digest(),
        ),
        key_id=key_id,
        file_bytes=len(data),
        verified=trusted is not None,
    )


def read_key(path: Path) -> bytes:
    """The 32 raw bytes of a key file.

    Raises:
        InputError: the file has another length.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(KEY_BYTES + 1)
    if len(data) != KEY_BYTES:
        raise InputError(
            f"{path} is not a key: an Ed25519 key is {KEY_BYTES} raw bytes",
            code="bad_key",
            hint="Make one with `kopilka-rules compile FILE -o BUNDLE --new-key KEY`.",
        )
    return data


def _keys(trusted: Path) -> Mapping[str, bytes]:
    """The key of this file, be it the public half or the signing key itself."""
    data = read_key(trusted)
    signer = Signer(data)
    return {key_id_of(data): data, signer.key_id: signer.public_key}
