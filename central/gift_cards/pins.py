"""Tags of numbers and hashes of PINs: what of a card head office keeps.

Both are keyed with a secret that is not in the database, so a stolen database gives neither numbers
nor PINs, short as they are; the hash of a PIN is slow and salted as well.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from central.config import KEY_BYTES
from shared.crypto.tags import CARD_TAG_BYTES

_TIME_COST: Final = 2
_MEMORY_KIB: Final = 8 * 1024
"""About ten milliseconds: a file of many thousand cards is registered within minutes."""


class Pins:
    """One key's tags and hashes. ``close`` ends the hashing threads."""

    def __init__(self, key: bytes) -> None:
        assert len(key) >= KEY_BYTES, "the key is 32 bytes"
        self._key = key
        self._hasher = PasswordHasher(time_cost=_TIME_COST, memory_cost=_MEMORY_KIB, parallelism=1)
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="pin")

    def close(self) -> None:
        """End the hashing threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def key_check(self) -> bytes:
        """Tells this key from another without telling it."""
        return self._keyed("kopilka.gift_card.key_check.v1")[:CARD_TAG_BYTES]

    def tag(self, number: str) -> bytes:
        """16 bytes that stand for a number (``plain_number``)."""
        return self._keyed("kopilka.gift_card.tag.v1", number)[:CARD_TAG_BYTES]

    def hash_now(self, number: str, pin: str) -> str:
        """The hash of a card's PIN; takes its time."""
        return self._hasher.hash(self._secret(number, pin))

    async def is_right(self, pin_hash: str, number: str, pin: str) -> bool:
        """Whether that is the card's PIN, compared in constant time off the loop."""
        loop = asyncio.get_running_loop()
        secret = self._secret(number, pin)
        return await loop.run_in_executor(self._threads, self._verify, pin_hash, secret)

    def _verify(self, pin_hash: str, secret: bytes) -> bool:
        try:
            return self._hasher.verify(pin_hash, secret)
        except (VerifyMismatchError, InvalidHashError):
            return False

    def _secret(self, number: str, pin: str) -> bytes:
        return self._keyed("kopilka.gift_card.pin.v1", number, pin)

    def _keyed(self, *parts: str) -> bytes:
        return hmac.digest(self._key, "\x00".join(parts).encode(), hashlib.sha256)
