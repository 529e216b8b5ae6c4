"""What limits and caps leave a competition: resources that run short, and sums that end.

Limits do not shorten what a promotion offers, they bind the choice (section 6 of the language).
"""

from __future__ import annotations

from shared.engine.conditions import Situation
from shared.engine.entrants import Entrant, Result
from shared.engine.offers import chips_left
from shared.engine.program import GoodsSet, Nth


class Draws:
    """What a result draws on: resources by the application, by the piece it discounts, by chips.

    -1 is none; ``cap`` is the sum that its values count towards.
    """

    __slots__ = ("applications", "cap", "chips", "pieces")

    def __init__(self) -> None:
        self.applications: list[int] = []
        self.pieces: int = -1
        self.chips: int = -1
        self.cap: int = -1


class Bounds:
    """The draws of each result, how much there is of each resource, and the caps in units."""

    __slots__ = ("caps", "complete", "draws", "supplies")

    def __init__(
        self, at: Situation, entrants: list[Entrant], results: list[Result], unit: int
    ) -> None:
        self.supplies: list[int] = []
        self.caps: list[int] = []
        self.draws: list[Draws] = []
        self.complete: bool = True
        """Whether that is all there is to bind the choice."""
        chips: dict[str, int] = {}
        applications = pieces = claimed = shared = -1
        for result in results:
            entrant = entrants[result.entrant]
            allowance = entrant.allowance
            if result.index == 0:
                applications = self._supply(allowance.applications_left)
                pieces = self._supply(allowance.pieces_left)
                claimed = self._supply(allowance.claimed_left)
                shared = -1
            draws = Draws()
            self.draws.append(draws)
            draws.pieces = pieces
            if applications >= 0:
                draws.applications.append(applications)
            if claimed >= 0 and isinstance(result.spec, (Nth, GoodsSet)):
                draws.applications.append(claimed)
            own, left = result.offer.cap_minor, allowance.discount_left_minor
            if left is not None and len(entrant.offers) > 1:
                # One limit of money for several results. A cap of their own is then looked at
                # only when the discount is given, so the optimum is not proven.
                if shared < 0:
                    shared = self._cap(left * unit)
                draws.cap = shared
                self.complete = self.complete and own is None
            elif own is not None or left is not None:
                draws.cap = self._cap(min([cap for cap in (own, left) if cap is not None]) * unit)
            account = result.offer.chips_account
            if account:
                if account not in chips:
                    chips[account] = self._supply(max(chips_left(at, account), 0))
                draws.chips = chips[account]

    def _cap(self, amount: int) -> int:
        self.caps.append(amount)
        return len(self.caps) - 1

    def _supply(self, amount: int | None) -> int:
        if amount is None:
            return -1
        self.supplies.append(max(amount, 0))
        return len(self.supplies) - 1
