"""A cash register: customers come, buy, spend points, change their minds, bring goods back."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Final

import apsw
import msgspec

from edge_agent.checkout.policy import wanted_of
from edge_agent.checkout.store import Recorded, Sale, cancel_receipt, commit_sale
from edge_agent.leases.policy import Wanted
from edge_agent.leases.store import spendable_of
from edge_agent.outbox.store import Fact, append_fact
from shared.errors import AppError
from shared.wire.answer import Answer
from shared.wire.facts import FactKind, ReceiptReturned
from shared.wire.receipt import Receipt
from shared.wire.stream import Lane
from tests.simulation.agent import Agent
from tests.simulation.bank import ASSET
from tests.simulation.goods import a_receipt, a_refund, an_answer
from tests.simulation.truth import Printed, Truth
from tests.simulation.world import Dice

WALK_AWAY: Final = 0.05
"""So many customers leave between the price and the payment."""
PENDING: Final = 0.5
"""So many sales give points that are free on the next day."""


class Register:
    """The till software of one lane, on the agent that it talks to."""

    def __init__(self, agent: Agent, truth: Truth, dice: Dice) -> None:
        self.agent = agent
        self._truth = truth
        self._dice = dice
        self._number = 0

    async def serve(self, member: str | None, price_minor: int, *, spends: bool) -> None:
        """One customer from the first article to the printed receipt, or to giving up.

        The register is its own program: it does not die with the agent, but gets no answer.
        """
        agent = self.agent
        if not agent.up:
            self._truth.tally["closed"] += 1
            return
        self._number += 1
        receipt_id = f"{agent.name}-{self._number}-{agent.world.now_ms()}"
        receipt = a_receipt(receipt_id, agent.store_id, agent.clock.now_ms(), price_minor, member)
        try:
            await self._sell(agent, receipt, member if spends else None)
        except AppError as error:
            agent.world.note(agent.name, "sale.failed", code=error.stable_code)

    async def _sell(self, agent: Agent, receipt: Receipt, spender: str | None) -> None:
        pending = self._dice.happens(PENDING)
        spent_centi = 0
        if spender is not None:
            spent_centi = min(await self._spendable(agent, spender), receipt.lines[0].price_minor)
        answer = an_answer(receipt, spent_centi, pending=pending)
        wanted = wanted_of(receipt, answer)
        if wanted and await self._promise(agent, receipt.receipt_id, wanted) is not None:
            answer = an_answer(receipt, 0, pending=pending)
            wanted = []
        await asyncio.sleep(self._dice.uniform(1.0, 30.0))
        if self._dice.happens(WALK_AWAY):
            await self._cancel(agent, receipt.receipt_id)
            return
        if wanted:
            await agent.desk.prepare(receipt.receipt_id, wanted)
        recorded = await self._commit(agent, receipt, answer)
        spent = sum(part.points_centi for part in recorded.fact.lease_spends)
        agent.world.note(agent.name, "receipt.printed", id=receipt.receipt_id, spent=spent)
        self._truth.print_receipt(agent.name, recorded.record_uid, recorded.fact)
        agent.note_sale()

    async def _spendable(self, agent: Agent, owner: str) -> int:
        elsewhere = await agent.desk.elsewhere(owner)
        here = await agent.reads.run(
            lambda connection: spendable_of(connection, owner, agent.desk.standing(connection))
        )
        return here.get(ASSET, 0) + elsewhere.get(ASSET, 0)

    async def _promise(self, agent: Agent, receipt_id: str, wanted: list[Wanted]) -> object:
        agent.world.note(agent.name, "points.asked", id=receipt_id)
        self._truth.asked.now()
        refusal = await agent.desk.promise(receipt_id, wanted)
        agent.world.note(agent.name, "points.promised", id=receipt_id, refused=refusal)
        return refusal

    async def _cancel(self, agent: Agent, receipt_id: str) -> None:
        now_ms = agent.clock.now_ms()
        await agent.writes.run(
            lambda connection: cancel_receipt(
                connection, receipt_id, now_ms, agent.desk.standing(connection)
            )
        )
        agent.world.note(agent.name, "receipt.cancelled", id=receipt_id)

    async def _commit(self, agent: Agent, receipt: Receipt, answer: Answer) -> Recorded:
        sale = Sale(
            receipt=receipt,
            answer=answer,
            bundle_version=1,
            business_date=datetime.fromisoformat(receipt.time).date().isoformat(),
            body_sha256=hashlib.sha256(receipt.receipt_id.encode()).digest(),
            record_uid=self._dice.token_bytes(16),
            to_pay_told_minor=answer.total.to_pay_minor,
            now_ms=agent.clock.now_ms(),
        )
        return await agent.writes.run(
            lambda connection: commit_sale(connection, sale, agent.desk.standing(connection))
        )

    async def take_back(self, sale: Printed) -> None:
        """Goods come back, at the shop that sold them."""
        agent = self.agent
        if not agent.up or sale.record_uid in self._truth.returned:
            return
        fact = ReceiptReturned(
            return_id=f"back-{sale.fact.receipt_id}",
            store_id=agent.store_id,
            register="R1",
            business_date=sale.fact.business_date,
            returned_at_ms=agent.clock.now_ms(),
            sale_uid=sale.record_uid,
            sale_receipt_id=sale.fact.receipt_id,
            customer_id=sale.owner,
            refund=a_refund(sale.fact.answer),
            incidents=[],
        )
        record = Fact(
            uid=self._dice.token_bytes(16),
            kind=FactKind.RECEIPT_RETURNED,
            body=msgspec.msgpack.encode(fact),
            recorded_at_ms=agent.clock.now_ms(),
        )
        try:
            await agent.writes.run(_appending(record))
        except AppError:
            return
        self._truth.returned.add(sale.record_uid)
        self._truth.tally["returns"] += 1
        agent.world.note(agent.name, "goods.returned", id=sale.fact.receipt_id)
        agent.note_sale()


def _appending(record: Fact) -> Callable[[apsw.Connection], object]:
    return lambda connection: append_fact(connection, int(Lane.RECEIPTS), record)
