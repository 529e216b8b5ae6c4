"""Who competes in the mode ``best``, and with what."""

from __future__ import annotations

from shared.engine.allowance import Allowance
from shared.engine.program import Promotion
from shared.engine.ready import GOODS, Work
from shared.engine.turn import Offer


class Entrant:
    """A promotion that competes: what it offers result by result, and what its limits leave."""

    __slots__ = ("allowance", "offers", "work")

    def __init__(self, work: Work, allowance: Allowance, offers: list[Offer]) -> None:
        self.work: Work = work
        self.allowance: Allowance = allowance
        self.offers: list[Offer] = offers


class Result:
    """One result of an entrant, numbered through."""

    __slots__ = ("entrant", "index", "offer", "promotion", "spec")

    def __init__(
        self, entrant: int, index: int, offer: Offer, promotion: Promotion, spec: object
    ) -> None:
        self.entrant: int = entrant
        self.index: int = index
        self.offer: Offer = offer
        self.promotion: Promotion = promotion
        self.spec: object = spec


def results_of(entrants: list[Entrant]) -> list[Result]:
    """The results of all entrants in their order."""
    return [
        Result(number, index, offer, entrant.work.promotion, step.result)
        for number, entrant in enumerate(entrants)
        for index, (step, offer) in enumerate(
            zip(entrant.work.stages[GOODS], entrant.offers, strict=True)
        )
    ]
