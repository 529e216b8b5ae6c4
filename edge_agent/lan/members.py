"""A till's question for a phone or a card, as its hub answers it: itself, or by head office."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from shared.crypto.phones import PHONE_HASH_BYTES
from shared.crypto.tags import CARD_TAG_BYTES
from shared.errors import AppError, InputError
from shared.limits import LAN_TIMEOUT_S
from shared.wire.members import FindReply, FindRequest

FindMember = Callable[[FindRequest], Awaitable[FindReply]]
ASKED_PER_MINUTE_MAX: Final = 60
"""Of one till: what it is asked itself, twice. A stolen one does not go through a town's phones."""
MEMBERS_OFFLINE: Final = "members_offline"
_PATIENCE_S: Final = 0.7 * LAN_TIMEOUT_S
"""The till must hear that head office is silent before it takes the hub for dead."""
_MINUTE_MS: Final = 60_000


class AsksOfTills:
    """How often each till asked; of as many tills as a store has."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._asked: dict[int, deque[int]] = {}

    def count(self, till: int) -> None:
        """One question more; raises InputError when it is one too many."""
        now_ms = self._now_ms()
        asked = self._asked.setdefault(till, deque(maxlen=ASKED_PER_MINUTE_MAX))
        if len(asked) == ASKED_PER_MINUTE_MAX and now_ms - asked[0] < _MINUTE_MS:
            raise InputError("this till looks too many up", code=MEMBERS_OFFLINE)
        asked.append(now_ms)


async def member_for(asked: FindRequest, find: FindMember | None) -> FindReply:
    """What the hub answers.

    Raises:
        InputError: the question is none; ``members_offline``: the till asks by itself.
    """
    sizes = {
        None if value is None else len(value) == size
        for value, size in (
            (asked.phone_hash, PHONE_HASH_BYTES),
            (asked.card_tag, CARD_TAG_BYTES),
        )
    }
    if sizes != {None, True}:
        raise InputError("ask by a phone's hash or by a card's tag", code="bad_message")
    try:
        if find is None:
            raise InputError("this hub knows nobody to ask", code=MEMBERS_OFFLINE)
        async with asyncio.timeout(_PATIENCE_S):
            return await find(asked)
    except (AppError, TimeoutError) as error:
        raise InputError("nobody can say who this is", code=MEMBERS_OFFLINE) from error
