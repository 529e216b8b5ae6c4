"""Whether central's certificate is of today, for a machine that may not know what day it is.

A dead battery says 1970 and a slip of the finger 2046; by such a clock every certificate is not yet
valid, or no longer, and the shop could not even ask what time it is. So dates are compared here and
not by OpenSSL. Where the machine's clock and trusted time both lie within a certificate's dates it
is good. Otherwise it is in doubt, and one question is asked over a connection whose dates are not
looked at, though its authority and name are: what time is it? The answer carries a signature of the
key that signs programmes, over a number that was never used before. From then on trusted time alone
decides.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.crypto.signing import verify
from shared.errors import SignatureError, UnavailableError
from shared.ids import Chance
from shared.logs import get_logger
from shared.wire.central_time import NONCE_BYTES, TIME_SIGNATURE_KIND, TimeReply, signed_time

_NO_CHECK_TIME: Final = ssl.VerifyFlags(0x200000)
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which Python does not name."""
_LOG = get_logger(__name__)


class DatesError(ssl.SSLCertVerificationError):
    """The certificate's dates do not fit the time, or the time is in doubt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTime:
    """The clocks of this machine. ``hear`` gets central's time in ms once it is proven.

    ``keys``: raw public keys by id of those who sign programmes.
    """

    wall_now_ms: Callable[[], int]
    trusted_now_ms: Callable[[], int]
    hear: Callable[[int], None]
    keys: Mapping[str, bytes]
    chance: Chance


class Dates:
    """Judges the dates of one central's certificates."""

    def __init__(self, kept: KeptTime) -> None:
        self._kept = kept
        self._told = False

    @property
    def told(self) -> bool:
        """Whether central has said what time it is since this start."""
        return self._told

    def strict_context(self, ca_file: Path) -> ssl.SSLContext:
        """For everything: authority, name and dates must be right."""
        judge = self._judge

        class Dated(ssl.SSLObject):
            """A connection whose certificate is judged before a byte is sent over it."""

            def do_handshake(self) -> None:
                super().do_handshake()
                judge(self.getpeercert() or {})

        context = self.lenient_context(ca_file)
        context.sslobject_class = Dated
        return context

    def lenient_context(self, ca_file: Path) -> ssl.SSLContext:
        """For the one question: authority and name must be right."""
        context = ssl.create_default_context(cafile=str(ca_file))
        context.verify_flags |= _NO_CHECK_TIME
        return context

    def nonce(self) -> bytes:
        """A number for the question."""
        return self._kept.chance.token_bytes(NONCE_BYTES)

    def hear(self, nonce: bytes, reply: TimeReply) -> None:
        """Central's answer.

        Raises:
            UnavailableError: it is not central's, or not to this question.
        """
        try:
            signed = signed_time(nonce, reply.server_time_ms)
            verify(TIME_SIGNATURE_KIND, signed, reply.signature, reply.key_id, self._kept.keys)
        except (SignatureError, OverflowError) as error:
            raise UnavailableError(
                "what tells the time has not the key of central",
                code="not_central",
                hint="Set this machine's clock, or enrol it again if central's key was renewed.",
            ) from error
        _LOG.warning(
            "clock.told",
            central_ms=reply.server_time_ms,
            wall_ms=self._kept.wall_now_ms(),
            trusted_ms=self._kept.trusted_now_ms(),
        )
        self._kept.hear(reply.server_time_ms)
        self._told = True

    def _judge(self, certificate: Mapping[str, Any]) -> None:
        try:
            first_ms = ssl.cert_time_to_seconds(certificate["notBefore"]) * 1000
            last_ms = ssl.cert_time_to_seconds(certificate["notAfter"]) * 1000
        except (KeyError, ValueError) as error:
            raise DatesError("the certificate has no dates") from error
        clocks = [self._kept.trusted_now_ms()]
        if not self._told:
            clocks.append(self._kept.wall_now_ms())
        if not all(first_ms <= now_ms <= last_ms for now_ms in clocks):
            raise DatesError("the certificate is not of today")
