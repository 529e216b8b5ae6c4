"""Where the hub may be: addresses that were set or found, the one that answered first. Pure.

Anybody on the network can announce anything. So an address is only a place to ask: who answers
there is believed by signature alone, and one that fails, or where somebody else answers, goes to
the end of the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

PLACES_MAX: Final = 32
"""Names, and addresses in the line: a shop has one hub, seldom two."""
ADDRESSES_OF_A_NAME_MAX: Final = 8
"""A machine has two or three; one name must not take all places."""
TURNS_LOST: Final = 8
"""So often an address is passed over at which somebody else than the hub has answered."""


class Places:
    """The line of addresses (``http://HOST:PORT``); the first one is asked.

    ``fixed``: what ``hub_url`` says, if anything; it is never forgotten.
    """

    def __init__(self, fixed: str | None = None) -> None:
        self._fixed = fixed
        self._line: list[str] = [] if fixed is None else [fixed]
        self._named: dict[str, list[str]] = {}
        self._untried: set[str] = set(self._line)
        self._turns_lost: dict[str, int] = {}
        self._answered: str | None = None

    def current(self) -> str | None:
        """The address to ask now; None while none is known."""
        return self._line[0] if self._line else None

    @property
    def untried(self) -> bool:
        """Whether nobody has failed to answer yet at the address to ask now."""
        return self.current() in self._untried

    def found(self, name: str, urls: Sequence[str]) -> None:
        """An announcement of this name says that it is at these addresses now.

        Where there are too many names, the one that was announced longest ago gives way, unless
        it is being asked or the hub has answered under it: else who came first would hide the hub.
        """
        before = set(self._line)
        self._named.pop(name, None)
        if len(self._named) >= PLACES_MAX:
            kept = self._kept()
            others = [each for each in self._named if kept.isdisjoint(self._named[each])]
            del self._named[(others or list(self._named))[0]]
        self._named[name] = list(urls)[:ADDRESSES_OF_A_NAME_MAX]
        self._keep_known()
        new = [url for url in self._line if url not in before]
        self._untried.update(new)
        if not self.untried:
            # Where nobody answers, a new address need not wait for its turn.
            self._line = [*new, *(url for url in self._line if url not in new)]

    def gone(self, name: str) -> None:
        """The announcement was taken back."""
        self._named.pop(name, None)
        self._keep_known()

    def answered(self, url: str) -> None:
        """The hub has answered at this address."""
        self._answered = url
        self._untried.add(url)
        self._turns_lost.pop(url, None)

    def failed(self, url: str) -> None:
        """Nobody answered at this address: the others are asked first."""
        self._untried.discard(url)
        if url in self._line:
            self._line.remove(url)
            self._line.append(url)
        self._pass_over()

    def distrusted(self, url: str) -> None:
        """Somebody else than the hub has answered at this address: it loses its next turns."""
        self._turns_lost[url] = TURNS_LOST
        self.failed(url)

    def _kept(self) -> set[str | None]:
        """Addresses that no stranger's announcement may push out."""
        return {self._answered, self.current()}

    def _pass_over(self) -> None:
        for _ in range(len(self._line)):
            lost = self._turns_lost.get(self._line[0], 0)
            if not lost:
                return
            self._turns_lost[self._line[0]] = lost - 1
            self._line.append(self._line.pop(0))

    def _keep_known(self) -> None:
        fixed = [] if self._fixed is None else [self._fixed]
        # Each name's first address before any name's second, so that none takes another's place;
        # and the newest name's first, since older ones had their turns.
        told = [
            urls[turn]
            for turn in range(ADDRESSES_OF_A_NAME_MAX)
            for urls in reversed(self._named.values())
            if turn < len(urls)
        ]
        kept = self._kept()
        first = [url for url in told if url in kept]
        known = list(dict.fromkeys([*fixed, *first, *told]))[:PLACES_MAX]
        self._line = [url for url in self._line if url in known]
        self._line += [url for url in known if url not in self._line]
        self._untried.intersection_update(known)
        self._turns_lost = {url: n for url, n in self._turns_lost.items() if url in known}
