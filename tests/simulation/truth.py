"""What really happened in the town, which no machine in it knows: receipts that were handed out."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from shared.wire.facts import ReceiptCommitted


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """A receipt in a customer's hand. ``spend_uids``: the spends it names."""

    agent: str
    record_uid: bytes
    fact: ReceiptCommitted
    owner: str | None
    spent: int
    spend_uids: tuple[bytes, ...]


class Moment:
    """Something that happens again and again, for those who wait for its next time."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def wait(self) -> None:
        await self._event.wait()

    def now(self) -> None:
        """Wake all who wait."""
        event, self._event = self._event, asyncio.Event()
        event.set()


@dataclass(slots=True)
class Truth:
    """Everything handed out, and what came back."""

    printed: dict[bytes, Printed] = field(default_factory=dict)
    returned: set[bytes] = field(default_factory=set)
    merged: dict[str, str] = field(default_factory=dict)
    tally: Counter[str] = field(default_factory=Counter)
    asked: Moment = field(default_factory=Moment)
    """A register asks for points now."""

    def print_receipt(self, agent: str, record_uid: bytes, fact: ReceiptCommitted) -> None:
        """The customer has it: from here on the spend is real, recorded or not."""
        customer = fact.receipt.customer
        self.printed[record_uid] = Printed(
            agent=agent,
            record_uid=record_uid,
            fact=fact,
            owner=None if customer is None else customer.id,
            spent=sum(part.points_centi for part in fact.lease_spends),
            spend_uids=tuple(part.spend_uid for part in fact.lease_spends),
        )
        self.tally["receipts"] += 1
        if fact.lease_spends:
            self.tally["spends"] += 1

    def owner_of(self, customer_id: str) -> str:
        """Who this member is now."""
        return self.merged.get(customer_id, customer_id)

    def spent_by(self, *, of: set[bytes] | None = None) -> dict[str, int]:
        """By member, what was spent and not returned; ``of``: only these records."""
        spent: dict[str, int] = defaultdict(int)
        for uid, receipt in self.printed.items():
            if receipt.owner is None or not receipt.spent or uid in self.returned:
                continue
            if of is None or uid in of:
                spent[self.owner_of(receipt.owner)] += receipt.spent
        return spent
