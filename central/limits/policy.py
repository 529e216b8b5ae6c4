"""How a budget is shared out, whose unused part is asked back, who used too much. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.wire.facts import Incident, PromotionUse

PPM: Final = 1_000_000
RESERVE_PPM: Final = 200_000
"""A fifth of a budget stays at central, for stores that sell more than anybody foresaw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one store still has of a budget. ``in_touch``: its agent was heard of just now."""

    lease_id: str
    edge_id: int
    left: int
    recalled: bool
    in_touch: bool


def forecast(receipts: Mapping[str, int], stores: Iterable[str]) -> dict[str, int]:
    """How much each store counts when something is shared out: as many receipts as it had.

    A store that had none counts like the average of the others, so a new one is not left out.
    """
    named = sorted(set(stores))
    known = [receipts[store] for store in named if receipts.get(store, 0) > 0]
    average = max(sum(known) // len(known), 1) if known else 1
    return {store: receipts.get(store, 0) or average for store in named}


def quotas_of(budget: int, weights: Mapping[str, int], *, reserve_ppm: int) -> dict[str, int]:
    """What each store is lent of a budget, rounded down; the reserve and the rest stay."""
    assert budget >= 0, "a budget is not owed"
    lendable = budget * (PPM - reserve_ppm) // PPM
    total = sum(weights.values())
    return {store: lendable * weight // total for store, weight in weights.items()}


def quota_for(asked: int, budget: int, store: str, weights: Mapping[str, int]) -> int:
    """What a store that asks should hold: its share of all that is left, or what it asks for."""
    weight = weights.get(store, 0)
    share = budget * weight // sum(weights.values()) if weight else 0
    return max(asked, share)


def to_recall(parts: Sequence[Part], asker: int, missing: int) -> str | None:
    """Whose part is asked back for a store that lacks so much; None: nobody's.

    The largest of an agent that is in touch; from one that is not, nothing would come back. Not
    while enough is on its way already.
    """
    others = [part for part in parts if part.edge_id != asker and part.in_touch and part.left > 0]
    if sum(part.left for part in others if part.recalled) >= missing:
        return None
    held = [part for part in others if not part.recalled]
    if not held:
        return None
    return max(held, key=lambda part: (part.left, part.lease_id)).lease_id


@dataclass(frozen=True, slots=True, kw_only=True)
class UseKey:
    """One customer's count of one promotion in one period."""

    customer_id: str
    promotion: str
    measure: str
    period: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sold:
    """What one record adds; ``edge_id``: whose stream it stands in."""

    edge_id: int
    customer_id: str
    uses: Sequence[PromotionUse]


def keys_of(sold: Sold) -> list[UseKey]:
    """The counts that a record adds to, in the order of its uses."""
    return [
        UseKey(
            customer_id=sold.customer_id,
            promotion=use.promotion,
            measure=use.measure,
            period=use.period,
        )
        for use in sold.uses
    ]


def added(sales: Iterable[Sold]) -> dict[tuple[UseKey, int], int]:
    """What the records add together, by count and edge."""
    sums: dict[tuple[UseKey, int], int] = defaultdict(int)
    for sold in sales:
        for key, use in zip(keys_of(sold), sold.uses, strict=True):
            sums[key, sold.edge_id] += use.amount
    return dict(sums)


def overshoots(sales: Sequence[Sold], after: Mapping[UseKey, int]) -> list[list[Incident]]:
    """For each record, the limits that it went beyond; ``after``: all counts with these records.

    A shop that heard of nobody gives what it may; so a customer may get it once in each place
    visited meanwhile. Nothing is refused, it is told.
    """
    running = dict(after)
    for (key, _), amount in added(sales).items():
        running[key] -= amount
    found: list[list[Incident]] = []
    for sold in sales:
        incidents: list[Incident] = []
        for key, use in zip(keys_of(sold), sold.uses, strict=True):
            running[key] += use.amount
            if running[key] > use.limit:
                detail = (
                    f"{use.promotion}: {running[key]} of {use.limit} {use.measure} in {use.period}"
                )
                incidents.append(Incident(code="limit_exceeded", detail=detail))
        found.append(incidents)
    return found
