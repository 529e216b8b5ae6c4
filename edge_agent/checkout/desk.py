"""Where a sale's rights come from: this agent's own leases, or (at a till) its hub's as well."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

import apsw

from edge_agent.leases.payment import promise
from edge_agent.leases.policy import NO_CAPS, Caps, Reason, Standing, Wanted
from edge_agent.leases.store import UID_BYTES, standing_of
from shared.ids import Chance
from shared.wire.feed import UseEntry

_Result = TypeVar("_Result")


class Writes(Protocol):
    """``edge_agent.database.writer.Writer``, or its twin in memory."""

    async def run(self, job: Callable[[apsw.Connection], _Result]) -> _Result:
        """Do ``job`` in one transaction; returns when it is durable."""
        ...


class Desk(Protocol):
    """What a sale asks for on its way from price to record."""

    def standing(self, connection: apsw.Connection) -> Standing:
        """As whom this agent speaks, by its trusted clock."""
        ...

    async def elsewhere(self, owner: str) -> Mapping[str, int]:
        """What somebody else would set aside of this owner's assets now; empty: nobody is there."""
        ...

    async def coupons(self, owner: str, assets: Sequence[str]) -> Mapping[str, int]:
        """What somebody else would set aside of these rights of the owner's now, by asset.

        To use personal coupons, and promotions that are strictly limited for each customer.
        """
        ...

    @property
    def asks_for_budgets(self) -> bool:
        """Whether somebody else is to be asked for what is left of a promotion's budget."""
        ...

    async def budgets(self, promotions: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        """What somebody else would set aside of budgets now, by promotion and asset."""
        ...

    async def uses(self, customer_id: str) -> Sequence[UseEntry]:
        """What other edges of this shop have counted of a customer's use of promotions."""
        ...

    def note_used(self, customer_id: str) -> None:
        """A sale was recorded that counts against limits of this customer's; must not wait."""
        ...

    def want_more(self, promotion: str, asset: str, amount: int) -> None:
        """So much of a budget was wanted here and little or nothing is left; any thread may say."""
        ...

    async def promise(self, receipt_id: str, wanted: Sequence[Wanted]) -> Reason | None:
        """Set all of it aside for the receipt, durably; None: done, else nothing is set aside."""
        ...

    async def prepare(self, receipt_id: str, wanted: Sequence[Wanted]) -> None:
        """The sale is made and about to be recorded: ask for what nobody has promised yet."""
        ...


class ShopDesk:
    """The desk of an agent that spends only its own leases.

    ``trusted_now_ms`` never goes back; ``may_spend`` is False while a medium that spends must be
    on is not written. ``bring`` has central lend this agent what an owner has elsewhere, and
    ``want_more`` remembers to ask it for more of a budget; ``bring_coupons`` has it lend the right
    to use coupons of an owner's.
    """

    def __init__(
        self,
        *,
        writer: Writes,
        edge_id: int,
        trusted_now_ms: Callable[[], int],
        chance: Chance,
        may_spend: Callable[[], bool] = lambda: True,
        caps: Caps = NO_CAPS,
        bring: Callable[[str], Awaitable[Mapping[str, int]]] | None = None,
        want_more: Callable[[str, str, int], None] | None = None,
    ) -> None:
        self._writer = writer
        self._edge_id = edge_id
        self._trusted_now_ms = trusted_now_ms
        self._chance = chance
        self._may_spend = may_spend
        self.caps = caps
        self._bring = bring
        self._want_more = want_more
        self.bring_coupons: Callable[[str, Sequence[str]], Awaitable[None]] | None = None

    def standing(self, connection: apsw.Connection) -> Standing:
        """As whom this agent speaks."""
        standing = standing_of(connection, self._edge_id, self._trusted_now_ms())
        return standing if self._may_spend() else replace(standing, may_spend=False)

    async def elsewhere(self, owner: str) -> Mapping[str, int]:
        """What central lent for the visit a moment ago; then it is among this agent's leases."""
        return {} if self._bring is None else await self._bring(owner)

    async def coupons(self, owner: str, assets: Sequence[str]) -> Mapping[str, int]:
        """What central lends for the visit comes among this agent's own leases."""
        if self.bring_coupons is not None:
            await self.bring_coupons(owner, assets)
        return {}

    @property
    def asks_for_budgets(self) -> bool:
        """No: what this agent may give is in its own leases."""
        return False

    async def budgets(self, promotions: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        """Nobody else is asked."""
        return {promotion: {} for promotion in promotions}

    async def uses(self, customer_id: str) -> Sequence[UseEntry]:
        """What was counted elsewhere comes with the feed."""
        assert customer_id, "somebody is asked about"
        return ()

    def note_used(self, customer_id: str) -> None:
        """The record tells it to central, and central to the others."""

    def want_more(self, promotion: str, asset: str, amount: int) -> None:
        """Central is asked in a moment, when no till waits for it."""
        if self._want_more is not None:
            self._want_more(promotion, asset, amount)

    async def promise(self, receipt_id: str, wanted: Sequence[Wanted]) -> Reason | None:
        """Set it aside out of this agent's leases."""
        uids = [self._chance.token_bytes(UID_BYTES) for _ in wanted]
        return await self._writer.run(
            lambda connection: promise(
                connection, receipt_id, wanted, self.standing(connection), self.caps, uids
            )
        )

    async def prepare(self, receipt_id: str, wanted: Sequence[Wanted]) -> None:
        """The transaction of the sale takes what it needs."""
