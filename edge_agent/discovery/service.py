"""Discovery for ``app`` to wire: the loops of whoever announces or looks, by the agent's role."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from edge_agent.discovery.network import Announcer, Finder
from edge_agent.discovery.policy import Places

Round = Callable[[], Awaitable[None]]


class Discovery:
    """``listen``: HOST:PORT of a hub that lets itself be found; ``finds``: this till looks."""

    def __init__(
        self, *, edge_id: int, listen: str | None, hub_url: str | None, finds: bool
    ) -> None:
        self.places = Places(hub_url) if finds or hub_url is not None else None
        self._finder = None if self.places is None or not finds else Finder(self.places)
        self._announcer = None
        if listen is not None:
            host = listen.rpartition(":")[0].strip("[]")
            self._announcer = Announcer(edge_id=edge_id, listen_host=host)

    def rounds(self, port: Callable[[], int]) -> list[tuple[str, Round]]:
        """The loops for the supervisor, by name; ``port``: where the hub listens by then."""
        found: list[tuple[str, Round]] = []
        if (announcer := self._announcer) is not None:
            found.append(("announce", lambda: announcer.round(port())))
        if self._finder is not None:
            found.append(("find_hub", self._finder.round))
        return found

    async def close(self) -> None:
        """Say goodbye to the network."""
        for each in (self._announcer, self._finder):
            if each is not None:
                await each.close()
