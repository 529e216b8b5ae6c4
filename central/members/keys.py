"""One secret of central's, and every key that comes from it. Pure.

It is in no database: a stolen one has phones in clear, for messages are sent to them, but gives
nobody a code that a shop believes.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from shared.crypto.member_codes import member_code, member_key, period_key, period_of, step_of
from shared.crypto.phones import SALT_BYTES, phone_tag
from shared.crypto.sealing import Opener
from shared.wire.members import CodeKey, MemberKeys

_PERIODS_AHEAD: Final = 2
"""A shop that is away for two months still checks codes."""


class MemberSecret:
    """The keys of one central."""

    def __init__(self, secret: bytes) -> None:
        """``secret``: 32 random bytes that are kept for ever."""
        self._codes = _derived(secret, b"codes")
        self._phone_key = _derived(secret, b"phone tags")
        self.phone_salt = _derived(secret, b"phone salt")[:SALT_BYTES]
        self.opener = Opener(_derived(secret, b"seal"))

    def phone_tag(self, phone_hash: bytes) -> bytes:
        """What shops know a phone by."""
        return phone_tag(phone_hash, self._phone_key)

    def member_code(self, customer_id: str, now_ms: int) -> str:
        """What the member's telephone shows at this moment."""
        step = step_of(now_ms)
        key = member_key(period_key(self._codes, period_of(step)), customer_id)
        return member_code(key, customer_id, step)

    def agent_keys(self, now_ms: int) -> MemberKeys:
        """What an agent is given."""
        present = period_of(step_of(now_ms))
        return MemberKeys(
            phone_salt=self.phone_salt,
            phone_key=self._phone_key,
            seal_key=self.opener.public_key,
            code_keys=[
                CodeKey(period=period, key=period_key(self._codes, period))
                for period in range(present, present + 1 + _PERIODS_AHEAD)
            ],
        )


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return hmac.new(secret, b"kopilka.members.v1 " + purpose, hashlib.sha256).digest()
