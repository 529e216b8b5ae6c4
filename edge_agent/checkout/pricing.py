"""A receipt on its way to its price: who else is asked, what is filled in, what it takes.

Reading and pricing are for a thread with a reader connection; asking others is for the event loop.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import apsw
from msgspec.structs import replace

from edge_agent.checkout.bodies import Asked
from edge_agent.checkout.calculations import Calculation
from edge_agent.checkout.desk import Desk
from edge_agent.checkout.filling import Filled, Known, fill_in
from edge_agent.checkout.knowledge import (
    find_customer,
    lacking_coupons,
    lacking_limits,
    limits_are_strict,
    look_up_uses,
    unproven_points_max,
)
from edge_agent.checkout.proof import Proofs, bounded
from edge_agent.leases.policy import Standing
from edge_agent.limits.policy import (
    NO_USES,
    Limited,
    fill_usage,
    shortages,
    with_budgets,
)
from shared.bundle.trust import VerifiedBundle
from shared.coupons import conditions_of, coupons_used
from shared.engine.evaluate import evaluate
from shared.uses import used_of
from shared.wire.answer import Answer
from shared.wire.feed import CustomerEntry, UseEntry
from shared.wire.receipt import Receipt

_Nothing = TypeVar("_Nothing")
LookUp = Callable[[apsw.Connection, Receipt, str | None, Standing, Mapping[str, int]], Known]
"""``edge_agent.checkout.knowledge.look_up``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What of a receipt somebody else has to be asked for.

    ``owner``: whose points it asks to spend; ``promotions``: of whose budgets it may take.
    ``coupons``: rights (assets) that are not here, to personal coupons and strict limits of
    ``coupons_of``. ``uses_of``: the customer whose use of promotions the hub may have counted.
    """

    owner: str | None = None
    promotions: tuple[str, ...] = ()
    coupons_of: str = ""
    coupons: tuple[str, ...] = ()
    uses_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """What somebody else would set aside: the owner's by asset, budgets by promotion and asset.

    ``uses``: what other edges of the shop have counted of the customer.
    """

    points: Mapping[str, int] = field(default_factory=dict)
    budgets: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    uses: Sequence[UseEntry] = ()


NOWHERE: Final = Elsewhere()
"""Nobody was asked."""


class Pricing:
    """Prices receipts with what this shop knows."""

    def __init__(
        self, *, look_up: LookUp, desk: Desk, proofs: Proofs, now_ms: Callable[[], int]
    ) -> None:
        self._look_up = look_up
        self._desk = desk
        self._proofs = proofs
        self._now_ms = now_ms
        self._limited_of: dict[int, Limited] = {}

    def wishes(
        self, reader: apsw.Connection, bundle: VerifiedBundle, asked: Asked
    ) -> Wishes | None:
        """What of this receipt somebody else has to be asked for; None: nothing."""
        owner: str | None = None
        coupons: tuple[str, ...] = ()
        entry: CustomerEntry | None = None
        if asked.receipt.spend is not None or asked.receipt.coupons:
            entry = find_customer(reader, asked.receipt.customer, asked.card)
        if entry is not None and not entry.blocked:
            owner = None if asked.receipt.spend is None else entry.customer_id
            coupons = lacking_coupons(reader, asked.receipt, entry, self._desk.standing(reader))
        limited = self._limited_wishes(reader, bundle, asked)
        wishes = dataclasses.replace(
            limited,
            owner=owner,
            coupons_of=limited.coupons_of if entry is None else entry.customer_id,
            coupons=(*coupons, *limited.coupons),
        )
        wanted = (wishes.owner, wishes.promotions, wishes.coupons, wishes.uses_of)
        return wishes if any(wanted) else None

    def _limited_wishes(
        self, reader: apsw.Connection, bundle: VerifiedBundle, asked: Asked
    ) -> Wishes:
        """Whose budgets are wanted, and to whose limits rights, or else what was counted."""
        limited, asks_hub = self._limited(bundle), self._desk.asks_for_budgets
        if not limited.limits:
            return Wishes()
        strict = (
            limited.has_customers
            and asked.receipt.customer is not None
            and limits_are_strict(reader, asked.receipt.store)
        )
        if not asks_hub and not strict:
            return Wishes()
        standing = self._desk.standing(reader)
        filled = self._filled(reader, asked, standing, {})
        offered = limited.offered(filled.receipt)
        promotions = tuple(with_budgets(offered)) if asks_hub else ()
        customer = filled.receipt.customer
        counts = any(each.per_customer is not None for each in offered.values())
        if not counts or customer is None or customer.id is None:
            return Wishes(promotions=promotions)
        if strict:
            limits = lacking_limits(reader, filled.receipt, offered, standing)
            return Wishes(promotions=promotions, coupons_of=customer.id, coupons=limits)
        return Wishes(promotions=promotions, uses_of=customer.id)

    async def ask(self, wishes: Wishes) -> Elsewhere:
        """What they would set aside; all are asked at once, so that silence is waited for once."""
        desk, owner, promotions = self._desk, wishes.owner, wishes.promotions
        points, coupons, budgets, uses = await asyncio.gather(
            _nothing({}) if owner is None else desk.elsewhere(owner),
            desk.coupons(wishes.coupons_of, wishes.coupons) if wishes.coupons else _nothing({}),
            desk.budgets(promotions) if promotions else _nothing({}),
            desk.uses(wishes.uses_of) if wishes.uses_of else _nothing(()),
        )
        return Elsewhere(points={**points, **coupons}, budgets=budgets, uses=uses)

    def _filled(
        self,
        reader: apsw.Connection,
        asked: Asked,
        standing: Standing,
        elsewhere: Mapping[str, int],
    ) -> Filled:
        known = self._look_up(reader, asked.receipt, asked.card, standing, elsewhere)
        if known.customer is not None and asked.receipt.spend is not None:
            known = self._bounded(reader, asked, known, known.customer.customer_id)
        return fill_in(asked.raw, asked.receipt, asked.card, known)

    def _bounded(
        self, reader: apsw.Connection, asked: Asked, known: Known, customer_id: str
    ) -> Known:
        """What is known, with no more points to spend than the customer's proof is good for."""
        points_max_centi = unproven_points_max(reader, asked.receipt.store)
        if points_max_centi is None:
            return known
        if self._proofs.proves(asked.proof, customer_id, self._now_ms()):
            return known
        spendable_centi = bounded(known.spendable_centi, points_max_centi)
        return dataclasses.replace(known, spendable_centi=spendable_centi)

    def calculate(
        self,
        reader: apsw.Connection,
        bundle: VerifiedBundle,
        asked: Asked,
        elsewhere: Elsewhere,
        *,
        trace: bool,
        hints: bool = False,
    ) -> tuple[Calculation, Answer]:
        """What is kept (without trace and hints), and what is told."""
        standing = self._desk.standing(reader)
        filled = self._filled(reader, asked, standing, elsewhere.points)
        offered = self._limited(bundle).offered(filled.receipt)
        uses = NO_USES
        if offered:
            uses = look_up_uses(
                reader,
                filled.receipt,
                offered,
                standing,
                elsewhere.budgets,
                elsewhere.points,
                elsewhere.uses,
            )
            receipt = fill_usage(filled.receipt, offered, uses)
            filled = dataclasses.replace(filled, receipt=receipt)
        answer = evaluate(bundle.ready, filled.receipt, trace=trace, hints=hints)
        used = tuple(used_of(filled.receipt, answer, offered, strict=uses.strict))
        for short in shortages(offered, uses, used):
            self._desk.want_more(short.promotion, short.asset, short.amount)
        coupons: list[str] = []
        if filled.personal:
            conditions = conditions_of(bundle.ready.program, answer.applied)
            coupons = coupons_used(filled.receipt.coupons, filled.personal, conditions)
        calculation = Calculation(
            raw_sha256=asked.raw_sha256,
            filled=filled,
            answer=replace(answer, trace=[], hints=[]) if trace or hints else answer,
            bundle_version=bundle.header.version,
            used=used,
            coupons=tuple(coupons),
        )
        return calculation, answer

    def _limited(self, bundle: VerifiedBundle) -> Limited:
        """The limited promotions of a bundle, made once; threads may make it twice."""
        version = bundle.header.version
        known = self._limited_of.get(version)
        if known is None or known.ready is not bundle.ready:
            known = Limited(bundle.ready)
            # The active one and the one before are asked for, and no other.
            kept = sorted(self._limited_of.items())[-1:]
            self._limited_of = {**dict(kept), version: known}
        return known


async def _nothing(empty: _Nothing) -> _Nothing:
    return empty
