"""Who calls, and whether it may: the folder's tills as they are now, without a restart."""

from __future__ import annotations

import asyncio
import hmac
from pathlib import Path
from typing import Final

from edge_agent.tills.policy import Caller, Pace, Right, Till, caller_of, count_call
from edge_agent.tills.store import read_tills, stamp_of
from shared.clock import Clock
from shared.errors import BusyError, CorruptionError, ForbiddenError, UnauthorizedError
from shared.logs import get_logger
from shared.status import Health, Status

COMMON: Final = "common"
"""Who shows the folder's own token."""
LOOK_EVERY_NS: Final = 10**9
"""A token that was revoked is good for a second more at the most."""
LOOK_AGAIN_NS: Final = 50 * 10**6
"""For a token that nobody has: it may have been made a moment ago."""
_LOG = get_logger(__name__)


class Tills:
    """Admits callers.

    ``common_token``: till.token. Where ``common_sells`` is False it is good for reports alone.
    """

    def __init__(
        self, folder: Path, *, common_token: str, common_sells: bool, clock: Clock
    ) -> None:
        """Read the file.

        Raises:
            CorruptionError: it is damaged; an agent that guessed would let strangers in.
        """
        self._folder = folder
        self._common_token = common_token.encode()
        may = frozenset(Right) if common_sells else frozenset({Right.REPORT})
        self._common = Caller(name=COMMON, may=may, is_common=True)
        self._clock = clock
        self._stamp = stamp_of(folder)
        self._tills: tuple[Till, ...] = read_tills(folder)
        self._looked_ns = clock.mono_ns()
        self._paces: dict[str, Pace] = {}
        self._error: str | None = None

    async def admit(self, authorization: str) -> Caller:
        """Whoever shows this Authorization header.

        Raises:
            UnauthorizedError: no token, or nobody's.
            BusyError: ``too_many_calls``: this till asks more often than a till does.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer":
            raise _nobody()
        shown = token.encode("utf-8", "surrogateescape")
        if hmac.compare_digest(shown, self._common_token):
            return self._common
        await self._look(LOOK_EVERY_NS)
        caller = caller_of(self._tills, token)
        if caller is None and await self._look(LOOK_AGAIN_NS):
            caller = caller_of(self._tills, token)
        if caller is None:
            raise _nobody()
        self._count(caller.name)
        return caller

    @property
    def known(self) -> tuple[Till, ...]:
        """Who has, or had, a token of its own."""
        return self._tills

    def status(self) -> Status:
        """How many tokens there are, and whether the file can be read."""
        good = sum(till.revoked_at_ms is None for till in self._tills)
        message = self._error or f"tokens: {good}"
        health = Health.OK if self._error is None else Health.WARN
        return Status(component="tills", health=health, message=message)

    def _count(self, name: str) -> None:
        paced = count_call(self._paces.get(name, Pace()), self._clock.mono_ns())
        # As many paces as there are names in the file; who asks under no name has none.
        self._paces[name] = paced.pace
        if paced.wait_ns:
            raise BusyError(
                "this till asks more often than a till does",
                code="too_many_calls",
                hint="Wait as long as Retry-After says; a loop in the till's program asks again "
                "and again.",
                retry_after_s=-(-paced.wait_ns // 10**9),
            )

    async def _look(self, every_ns: int) -> bool:
        """Read the file again if it was written; False: it was looked at just now."""
        now_ns = self._clock.mono_ns()
        if now_ns - self._looked_ns < every_ns:
            return False
        self._looked_ns = now_ns
        try:
            await asyncio.to_thread(self._read)
        except CorruptionError as error:
            # Who was admitted goes on; whoever damaged the file let nobody in.
            if self._error is None:
                _LOG.warning("tills.unreadable", detail=error.message)
            self._error = error.message
        return True

    def _read(self) -> None:
        stamp = stamp_of(self._folder)
        if stamp == self._stamp:
            return
        tills = read_tills(self._folder)
        names = {till.name for till in tills}
        self._tills, self._stamp, self._error = tills, stamp, None
        self._paces = {name: pace for name, pace in self._paces.items() if name in names}
        _LOG.info("tills.read", count=len(tills))


def check_right(caller: Caller, right: Right) -> None:
    """Refuse what this caller may not.

    Raises:
        ForbiddenError: ``till_may_not``.
    """
    if right not in caller.may:
        raise ForbiddenError(
            f"this token is not for {right.value}",
            code="till_may_not",
            hint="`kopilka-edge till add` with --may gives a till another token.",
        )


def _nobody() -> UnauthorizedError:
    return UnauthorizedError(
        "the till's token is missing or wrong",
        hint="Send `Authorization: Bearer` with the token of this till.",
    )
