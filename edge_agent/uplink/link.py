"""Whether central can be reached: what the calls of all loops together say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.clock import Clock
from shared.errors import AppError, UnavailableError
from shared.logs import get_logger
from shared.status import Health, Status

_LOG = get_logger(__name__)


class LinkState:
    """The state of the link; an outage is logged once, and so is its end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.online = False
        self.last_contact_at_ms: int | None = None
        self.last_attempt_at_ms: int | None = None
        self.last_error: str | None = None
        self._outage_logged = False

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Watch one call: an answer, even a refusal, is contact; no answer is an outage."""
        self.last_attempt_at_ms = self._clock.now_ms()
        try:
            yield
        except UnavailableError as error:
            self._lost(error)
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
        self.online = True
        self.last_contact_at_ms = self._clock.now_ms()
        self.last_error = refusal

    def _lost(self, error: UnavailableError) -> None:
        if not self._outage_logged:
            _LOG.warning("link.lost", code=error.stable_code, detail=error.message)
        self._outage_logged = True
        self.online = False
        self.last_error = error.message
