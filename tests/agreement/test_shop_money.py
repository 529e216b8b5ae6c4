"""A hub, two tills and central's ledger agree on every point, whatever the shop's network does.

The shop is the real code on SQLite; central is its real ledger in memory. Questions are lost,
answered twice or never, programs end at any moment, words reach central in any order of streams.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from central.accounts import ledger, lending
from central.accounts.books import Account, AccountKind, Books, Origin
from central.accounts.lending import Holder
from edge_agent.lan.till import GRANTED_STALE_MS
from edge_agent.leases.policy import Paid, Reason
from shared.errors import UnavailableError
from shared.wire.facts import (
    LeaseClosed,
    LeaseSpend,
    LeaseSpent,
    SpendVoided,
    SubLeaseClosed,
    SubLeaseGranted,
)
from shared.wire.feed import LeaseState
from tests.support.examples import examples
from tests.support.shop_network import ASSET, HUB, OWNER, Fault, Node, Shop, Till

STORE = "S1"
FUNDED = 100_000
HOLDER = Holder(edge_id=HUB, store_id=STORE)
STEPS = 150


class ShopMoney:
    """One customer whose points are spent at two tills and at the hub itself."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.shop = Shop()
        self.books = Books(whole=True)
        purse = self.books.purse(OWNER, ASSET)
        issued = Account(AccountKind.ISSUED, "central", ASSET)
        avail = Account(AccountKind.AVAIL, OWNER, ASSET)
        self.books.move(b"opening".ljust(16), issued, avail, FUNDED, "opening")
        self.purse = purse
        self.version = 0
        self.receipts = 0
        self.frozen: dict[str, tuple[Till, int, int]] = {}
        self.untold: list[tuple[Node, str, list[Paid]]] = []
        self.delivered: dict[int, int] = {}
        self.closed: set[str] = set()

    def live(self) -> None:
        """Whatever happens; then all is well again, everything is told, and the sums are right."""
        happenings: list[tuple[int, Callable[[], None]]] = [
            (6, self.freeze),
            (4, self.pay_frozen),
            (1, self.cancel),
            (4, self.sell_at_once),
            (3, self.sell_at_hub),
            (6, self.settle),
            (1, self.end_and_begin),
            (2, self.hub_line),
            (2, self.time_passes),
            (3, self.upkeep),
            (3, self.grant),
            (1, self.recall),
            (4, self.stream),
            (3, self.receipt),
        ]
        weights = [weight for weight, _ in happenings]
        self.grant()
        for _ in range(STEPS):
            [(_, happening)] = self.chance.choices(happenings, weights)
            happening()
            self.no_lease_pays_more_than_it_was_given()
        self.heal()
        self.check_end()

    # --- what happens in the shop

    def freeze(self) -> None:
        till, amount, fault = self.a_till(), self.an_amount(), self.a_fault()
        till.line.faults = [fault]
        receipt_id = self.new_receipt()
        reason = self.shop.run(till.freeze(receipt_id, amount))
        till.line.faults = []
        if reason is None:
            self.frozen[receipt_id] = (till, amount, self.shop.time.now_ms)
        elif reason is Reason.DOUBTFUL:
            assert fault in (Fault.LOSE_ANSWER, Fault.LOSE_QUESTION, Fault.LATE)

    def pay_frozen(self) -> None:
        if not self.frozen:
            return
        fault, other = self.a_fault(), self.chance.random() < 0.1
        receipt_id = self.chance.choice(sorted(self.frozen))
        till, amount, frozen_at_ms = self.frozen.pop(receipt_id)
        till.line.faults = [fault]
        [paid] = self.sell(till, receipt_id, amount + 1 if other else amount)
        if not other and self.shop.time.now_ms - frozen_at_ms < GRANTED_STALE_MS:
            assert all(part.lease_id is not None for part in paid.parts), "it was promised"

    def cancel(self) -> None:
        if self.frozen:
            receipt_id = self.chance.choice(sorted(self.frozen))
            till, _, _ = self.frozen.pop(receipt_id)
            self.shop.run(till.cancel(receipt_id))

    def sell_at_once(self) -> None:
        till, amount, fault = self.a_till(), self.an_amount(), self.a_fault()
        till.line.faults = [fault]
        self.sell(till, self.new_receipt(), amount)

    def sell_at_hub(self) -> None:
        receipt_id = self.new_receipt()
        paid = self.shop.run(self.shop.hub.record(receipt_id, self.an_amount()))
        self.untold.append((self.shop.hub, receipt_id, paid))

    def settle(self) -> None:
        till = self.a_till()
        if self.chance.random() < 0.5:
            till.line.faults = [self.a_fault() for _ in range(self.chance.randrange(5))]
        with contextlib.suppress(UnavailableError):
            self.shop.run(till.desk.settle())
        till.line.faults = []

    def end_and_begin(self) -> None:
        self.a_till().begin()

    def hub_line(self) -> None:
        self.a_till().line.always = self.chance.choice([Fault.DOWN, Fault.NONE, Fault.NONE])

    def time_passes(self) -> None:
        self.shop.time.now_ms += self.chance.choice([1, 20_000, 20_000, 70_000, 90_000_000])

    def upkeep(self) -> None:
        self.shop.run(self.shop.hub.desk.upkeep())

    # --- what central does

    def grant(self) -> None:
        quota = self.chance.choice([100, 300, 1_000])
        lease = lending.grant(
            self.books, HOLDER, OWNER, ASSET, now_ms=self.shop.time.now_ms, quota=quota
        )
        if lease is not None:
            self.announce()

    def recall(self) -> None:
        for lease in list(self.books.leases.values()):
            lending.recall(self.books, lease)
        self.announce()

    def stream(self) -> None:
        nodes = [self.shop.hub, *self.shop.tills]
        self.deliver(self.chance.choice(nodes), self.chance.randint(1, 5))

    def receipt(self) -> None:
        if self.untold:
            self.tell_receipt(*self.untold.pop(self.chance.randrange(len(self.untold))))

    # --- laws

    def no_lease_pays_more_than_it_was_given(self) -> None:
        for lease in self.books.leases.values():
            assert lease.short_amount == 0, "a lease was spent above its grants"
            assert self.books.escrow(lease) >= 0
        assert sum(self.books.balances.values()) == 0

    # --- how

    def a_till(self) -> Till:
        return self.chance.choice(self.shop.tills)

    def an_amount(self) -> int:
        return self.chance.choice([5, 20, 40, 80, 160])

    def a_fault(self) -> Fault:
        return self.chance.choice([Fault.NONE, Fault.NONE, Fault.NONE, Fault.NONE, *Fault])

    def new_receipt(self) -> str:
        self.receipts += 1
        return f"r{self.receipts}"

    def sell(self, till: Till, receipt_id: str, amount: int) -> list[Paid]:
        paid = self.shop.run(till.sell(receipt_id, amount))
        till.line.faults = []
        self.untold.append((till, receipt_id, paid))
        return paid

    def announce(self) -> None:
        self.version += 1
        for lease in self.books.leases.values():
            self.shop.hub.lease(
                lease.lease_id,
                lease.granted,
                self.version,
                spend_until_ms=lease.spend_until_ms,
                state=LeaseState(lease.state),
            )

    def deliver(self, node: Node, count: int) -> None:
        facts = node.facts()
        start = self.delivered.get(node.edge_id, 0)
        origin = Origin(edge_id=node.edge_id, store_id=STORE)
        for index, (uid, fact) in enumerate(facts[start : start + count], start):
            if isinstance(fact, LeaseClosed):
                self.check_close(fact, facts[:index], facts[index:])
            self.post(origin, uid, fact)
        self.delivered[node.edge_id] = min(start + count, len(facts))

    def check_close(self, fact: LeaseClosed, before: list[Any], after: list[Any]) -> None:
        """The same stream never spends on the lease behind its close, and closes it once."""
        assert fact.lease_id not in self.closed
        self.closed.add(fact.lease_id)
        later = [each for _, each in after if isinstance(each, LeaseSpent)]
        assert all(each.lease_id != fact.lease_id for each in later)
        voided = {each.spend_uid for _, each in before if isinstance(each, SpendVoided)}
        own = [
            each
            for uid, each in before
            if isinstance(each, LeaseSpent) and each.lease_id == fact.lease_id
            if uid not in voided
        ]
        parts = [
            each
            for _, each in before
            if isinstance(each, SubLeaseClosed) and each.lease_id == fact.lease_id
        ]
        assert fact.spend_count == len(own) + sum(each.spend_count for each in parts)
        assert fact.spent_amount == (
            sum(each.amount for each in own) + sum(each.spent_amount for each in parts)
        )

    def post(self, origin: Origin, uid: bytes, fact: Any) -> None:
        if isinstance(fact, LeaseSpent):
            ledger.spend(self.books, origin, uid, fact)
        elif isinstance(fact, SpendVoided):
            ledger.void(self.books, origin, fact)
        elif isinstance(fact, LeaseClosed):
            assert ledger.close(self.books, origin, fact) == []
        elif isinstance(fact, SubLeaseGranted):
            assert ledger.sub_lease_granted(self.books, origin, fact) == []
        elif isinstance(fact, SubLeaseClosed):
            assert ledger.sub_lease_closed(self.books, origin, fact) == []

    def tell_receipt(self, node: Node, receipt_id: str, paid: list[Paid]) -> None:
        origin = Origin(edge_id=node.edge_id, store_id=STORE)
        for each in paid:
            for index, part in enumerate(each.parts):
                spend = LeaseSpend(
                    lease_id=part.lease_id,
                    account="main",
                    points_centi=part.amount,
                    spend_uid=part.spend_uid,
                    sub_lease_id=part.sub_lease_id,
                )
                uid, fact = ledger.spend_of_receipt(
                    b"x" * 16, index, spend, owner=OWNER, receipt_id=receipt_id, at_ms=1
                )
                ledger.spend(self.books, origin, uid, fact, firm=False)

    def heal(self) -> None:
        """All lines work, everybody settles, what was frozen is given back, all is told."""
        for receipt_id, (till, _, _) in self.frozen.items():
            self.shop.run(till.cancel(receipt_id))
        self.recall()
        self.shop.time.now_ms += 120_000
        for till in self.shop.tills:
            till.line.always, till.line.faults = Fault.NONE, []
            for _ in range(5):
                self.shop.run(till.desk.settle())
        self.upkeep()
        for node in (self.shop.hub, *self.shop.tills):
            self.deliver(node, 10_000)
        while self.untold:
            self.tell_receipt(*self.untold.pop())

    def check_end(self) -> None:
        self.no_lease_pays_more_than_it_was_given()
        sold: dict[str | None, int] = {}
        for node in (self.shop.hub, *self.shop.tills):
            for paid in node.receipts.values():
                for part in (part for each in paid for part in each.parts):
                    sold[part.lease_id] = sold.get(part.lease_id, 0) + part.amount
        for lease in self.books.leases.values():
            assert lease.state is LeaseState.CLOSED, "what was recalled has come back"
            assert lease.spent_amount == sold.get(lease.lease_id, 0), "each spend is posted once"
        shortage = Account(AccountKind.SHORTAGE, STORE, ASSET)
        assert -self.books.balances[shortage] == sold.get(None, 0)
        avail = Account(AccountKind.AVAIL, OWNER, ASSET)
        covered = sum(sold.values()) - sold.get(None, 0)
        assert self.books.balances[avail] == FUNDED - covered


@given(st.integers(0, 2**32))
@examples(40)
def test_every_point_is_spent_once_and_none_is_lost(seed: int) -> None:
    """Whatever happens in whatever order, central's ledger ends with the sums of the sales."""
    money = ShopMoney(random.Random(seed))
    try:
        money.live()
    finally:
        money.shop.close()
