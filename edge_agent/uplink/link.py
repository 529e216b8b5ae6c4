"""Whether central can be reached: what the calls of all loops together say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from shared.clock import Clock
from shared.errors import AppError, UnavailableError
from shared.logs import get_logger
from shared.status import Health, Status

_LOG = get_logger(__name__)


class LinkState:
    """The state of the link; an outage is logged once, and so is its end.

    ``on_lost`` is called when a call finds nobody: somebody should try the line from now on.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.on_lost: Callable[[], None] | None = None
        self._up = asyncio.Event()
        self._down_since_ns = clock.mono_ns()
        self.last_contact_at_ms: int | None = None
        self.last_attempt_at_ms: int | None = None
        self.last_error: str | None = None
        self._outage_logged = False

    @property
    def online(self) -> bool:
        """Whether the last call was answered."""
        return self._up.is_set()

    def outage_s(self) -> float:
        """For how long nobody has answered; 0 while the link is up."""
        return 0.0 if self.online else (self._clock.mono_ns() - self._down_since_ns) / 1e9

    async def until_online(self, timeout_s: float) -> None:
        """Return when a call was answered, or when so much time has passed."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._up.wait()
        except TimeoutError:
            return

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Watch one call: an answer, even a refusal, is contact; no answer is an outage.

        Who is told when to come back has been answered.
        """
        self.last_attempt_at_ms = self._clock.now_ms()
        try:
            yield
        except UnavailableError as error:
            if error.retry_after_s is None:
                self._lost(error)
            else:
                self._reached(error.message)
            raise
        except AppError as error:
            self._reached(error.message)
            raise
        self._reached(None)

    def status(self) -> Status:
        """The link as a component; a shop without it works on, so an outage is a warning."""
        if self.online:
            health = Health.OK if self.last_error is None else Health.WARN
        else:
            health = Health.NOT_READY if self.last_error is None else Health.WARN
        return Status(
            component="link",
            health=health,
            message=self.last_error or "",
            last_attempt_at_ms=self.last_attempt_at_ms,
            last_success_at_ms=self.last_contact_at_ms,
        )

    def _reached(self, refusal: str | None) -> None:
        if self._outage_logged:
            _LOG.info("link.restored")
        self._outage_logged = False
        self._up.set()
        self.last_contact_at_ms = self._clock.now_ms()
        self.last_error = refusal

    def _lost(self, error: UnavailableError) -> None:
        if not self._outage_logged:
            _LOG.warning("link.lost", code=error.stable_code, detail=error.message)
        self._outage_logged = True
        if self.online:
            self._up.clear()
            self._down_since_ns = self._clock.mono_ns()
        self.last_error = error.message
        if self.on_lost is not None:
            self.on_lost()
