"""That a customer showed a code of the app, for as long as a receipt is open. Pure.

Whoever can read a card over a shoulder, or knows a phone number, can name a customer; a code of the
app cannot be copied. A store may let the former spend little (``bounded``). The till gets a proof
with the answer to a code and sends it in its receipts; nothing is kept of it here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

PROOF_MS: Final = 4 * 3_600_000
"""Longer than anybody shops; the proof is of one customer and this agent."""
_CHARS: Final = 26
_UNTIL_DIGITS_MAX: Final = 15


class Proofs:
    """Makes and checks them; ``secret``: the agent's own, the same after a restart."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"kopilka.proof.v1 " + secret.encode()).digest()

    def make(self, customer_id: str, now_ms: int) -> str:
        """The customer is here now."""
        until_ms = now_ms + PROOF_MS
        return f"{until_ms}.{self._sign(customer_id, until_ms)}"

    def proves(self, proof: str | None, customer_id: str, now_ms: int) -> bool:
        """Whether this customer showed a code at this agent a while ago."""
        until, _, signature = (proof or "").partition(".")
        if not (until.isascii() and until.isdigit()) or len(until) > _UNTIL_DIGITS_MAX:
            return False
        good = self._sign(customer_id, int(until)).encode()
        same = hmac.compare_digest(good, signature.encode("utf-8", "surrogateescape"))
        return same and now_ms < int(until) <= now_ms + PROOF_MS

    def _sign(self, customer_id: str, until_ms: int) -> str:
        text = f"{until_ms} {customer_id}".encode()
        digest = hmac.new(self._key, text, hashlib.sha256).digest()
        return base64.b32encode(digest).decode()[:_CHARS]


def bounded(spendable_centi: Mapping[str, int], points_max_centi: int | None) -> dict[str, int]:
    """What a receipt may take without a proof; None: the store sets no bound."""
    if points_max_centi is None:
        return dict(spendable_centi)
    return {name: min(value, points_max_centi) for name, value in spendable_centi.items()}
