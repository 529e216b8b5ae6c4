"""Decide whether a bundle may be used: every check, in order, before anything is believed.

One check needs the engine and is left to whoever will price with the bundle:
``shared.bundle.golden.prove_golden``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from shared import limits
from shared.bundle.layout import (
    KEY_ID_BYTES,
    LENGTH_BYTES,
    MAGIC,
    SIGNATURE_KIND,
    TAIL_BYTES,
    BundleHeader,
    Golden,
)
from shared.bundle.reader import read_header, read_payload
from shared.crypto.signing import verify
from shared.engine.program import Program
from shared.engine.ready import Ready
from shared.errors import RollbackError, TooLargeError, TrustError

_AGAIN = "Download or export it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBundle:
    """A bundle that passed every check. ``sha256`` is over all its bytes.

    ``ready`` is the program as the engine wants it, made once for all receipts.
    """

    header: BundleHeader
    program: Program
    ready: Ready
    golden: tuple[Golden, ...]
    sha256: bytes


def open_bundle(data: bytes, trusted: Mapping[str, bytes], *, version_floor: int) -> VerifiedBundle:
    """Check the bytes and give the program in them.

    ``trusted`` holds raw public keys by key id. A version below ``version_floor`` is refused; the
    floor itself is accepted, so that the active bundle can be opened again.

    Raises:
        TooLargeError: more bytes than a bundle may have, packed or unpacked, or more golden
            receipts.
        SignatureError: signed by nobody trusted, or changed since.
        RollbackError: an older version.
        TrustError: truncated, damaged, or for another release (codes ``truncated``, ``damaged``,
            ``engine_version``, ``payload_format``).
    """
    if len(data) > limits.BUNDLE_BYTES_MAX:
        raise TooLargeError(f"a bundle has at most {limits.BUNDLE_BYTES_MAX} bytes")
    if not data.startswith(MAGIC):
        raise TrustError("this is not a bundle", code="damaged", hint=_AGAIN)
    if len(data) < len(MAGIC) + LENGTH_BYTES + TAIL_BYTES:
        raise TrustError("the bundle is cut short", code="truncated", hint=_AGAIN)
    signed, tail = data[:-TAIL_BYTES], data[-TAIL_BYTES:]
    # The signature first: nothing of an unsigned file is parsed.
    key_id = tail[:KEY_ID_BYTES].decode("ascii", "replace")
    verify(SIGNATURE_KIND, signed, tail[KEY_ID_BYTES:], key_id, trusted)
    header, frame = read_header(signed)
    if header.version < version_floor:
        raise RollbackError(
            f"bundle version {header.version} is older than {version_floor}, accepted before",
            hint="Publish the wanted content again with a higher version.",
        )
    contents = read_payload(header, frame)
    return VerifiedBundle(
        header=header,
        program=contents.program,
        ready=Ready(contents.program),
        golden=contents.golden,
        sha256=hashlib.sha256(data).digest(),
    )
