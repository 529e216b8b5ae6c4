"""Central's word of what time it is, believed by its signature and not by the connection."""

from __future__ import annotations

from typing import Final

import msgspec

TIME_SIGNATURE_KIND: Final = "central_time"
NONCE_BYTES: Final = 16


class TimeReply(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to ``GET /v1/time?nonce=HEX``. ``signature`` is over ``signed_time``.

    Empty where no nonce was given: then nobody may believe it.
    """

    server_time_ms: int
    key_id: str = ""
    signature: bytes = b""


def signed_time(nonce: bytes, server_time_ms: int) -> bytes:
    """What is signed: the asker's nonce, so that no old answer serves, and the time."""
    return nonce + server_time_ms.to_bytes(8, "big")
