"""The ledger's laws under whatever edges, people and days do, in any order."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from central.accounts import holds, ledger, lending, upkeep
from central.accounts.books import (
    SYSTEM,
    AccountKind,
    Books,
    HoldState,
    Lease,
    Origin,
    Purse,
    SpendState,
    exact_hash,
    ledger_hash,
)
from central.accounts.lending import Holder
from shared.wire.facts import Incident, LeaseClosed, LeaseSpent, SpendVoided, SubLeaseGranted
from shared.wire.feed import LeaseState
from tests.support.examples import examples

ASSET = "points:main"
DAYS = ("2026-11-24", "2026-12-01", "2027-01-01")
OWNERS = st.sampled_from(("anna", "bert", "carl"))
AMOUNTS = st.integers(1, 80)
HUBS = st.sampled_from((1, 2))
PICKS = st.integers(0, 10**6)


def uid(number: int) -> bytes:
    return number.to_bytes(16, "big")


def at(edge_id: int) -> Origin:
    return Origin(edge_id=edge_id, store_id=f"S{edge_id % 10}")


def spent(lease: Lease | None, owner: str, amount: int, sub: str | None = None) -> LeaseSpent:
    return LeaseSpent(
        lease_id=lease.lease_id if lease else None,
        sub_lease_id=sub,
        owner=owner,
        asset=ASSET,
        amount=amount,
        receipt_id="r",
        spent_at_ms=1,
    )


class LedgerMachine(RuleBasedStateMachine):
    """Everything that may happen to whole books."""

    @initialize()
    def begin(self) -> None:
        self.books = Books(whole=True)
        self.number = 0
        self.epochs = {1: 1, 2: 1}
        self.given: dict[str, int] = defaultdict(int)
        self.shortage = 0

    def next_uid(self) -> bytes:
        self.number += 1
        return uid(self.number)

    def pick_lease(self, pick: int) -> Lease | None:
        keys = sorted(self.books.leases)
        return self.books.leases[keys[pick % len(keys)]] if keys else None

    def see(self, incidents: list[Incident]) -> None:
        """Every growth of a shortage has its incident (I10)."""
        now = -sum(
            amount
            for account, amount in self.books.balances.items()
            if account.kind is AccountKind.SHORTAGE
        )
        if now > self.shortage:
            assert "points_shortage" in {incident.code for incident in incidents}
        self.shortage = now

    @rule(owner=OWNERS, amount=AMOUNTS, expires=st.sampled_from((None, *DAYS[1:])))
    def fund(self, owner: str, amount: int, expires: str | None) -> None:
        lending.fund(self.books, owner, ASSET, amount, cause=self.next_uid(), expires_on=expires)
        self.given[self.books.owner_of(owner)] += amount

    @rule(owner=OWNERS, amount=AMOUNTS, hub=HUBS, day=st.sampled_from(DAYS))
    def earn(self, owner: str, amount: int, hub: int, day: str) -> None:
        earning = ledger.Earning(
            record_uid=self.next_uid(),
            index=0,
            owner=owner,
            asset=ASSET,
            amount=amount,
            earned_on=DAYS[0],
            active_on=day,
            expires_on=DAYS[2],
        )
        for _ in range(2):
            self.see(ledger.earn(self.books, at(hub), earning))
        self.given[self.books.owner_of(owner)] += amount

    @rule(owner=OWNERS, amount=AMOUNTS, hub=HUBS, pick=PICKS, day=st.sampled_from(DAYS))
    def claw_back(self, owner: str, amount: int, hub: int, pick: int, day: str) -> None:
        taking = ledger.Taking(
            record_uid=self.next_uid(),
            index=0,
            owner=owner,
            asset=ASSET,
            amount=amount,
            sale_uid=uid(pick % (self.number + 1)),
            active_on=day,
            expires_on=DAYS[2],
        )
        for _ in range(2):
            self.see(ledger.claw_back(self.books, at(hub), taking))
        self.given[self.books.owner_of(owner)] -= amount

    @rule(owner=OWNERS, hub=HUBS, cap=st.integers(1, 100))
    def grant(self, owner: str, hub: int, cap: int) -> None:
        holder = Holder(edge_id=hub, store_id=at(hub).store_id, epoch=self.epochs[hub])
        rules = lending.Lending(cap=cap)
        self.number += 1
        lease = lending.grant(self.books, holder, owner, ASSET, now_ms=self.number, lending=rules)
        assert lease is None or self.books.escrow(lease) <= cap

    @rule(pick=PICKS, amount=AMOUNTS, again=st.booleans(), firm=st.booleans(), till=st.booleans())
    def spend(self, pick: int, amount: int, again: bool, firm: bool, till: bool) -> None:
        lease = self.pick_lease(pick)
        if lease is None:
            return
        spend_uid = uid(pick % (self.number + 1)) if again else self.next_uid()
        edge_id = lease.edge_id + 10 if till else lease.edge_id
        fact = spent(lease, lease.owner, amount, f"part-{lease.lease_id}" if till else None)
        for _ in range(2):
            self.see(ledger.spend(self.books, at(edge_id), spend_uid, fact, firm=firm))

    @rule(owner=OWNERS, amount=AMOUNTS, hub=HUBS)
    def spend_without_a_lease(self, owner: str, amount: int, hub: int) -> None:
        fact = spent(None, owner, amount)
        self.see(ledger.spend(self.books, at(hub), self.next_uid(), fact))

    @rule(pick=PICKS, hub=HUBS)
    def void(self, pick: int, hub: int) -> None:
        fact = SpendVoided(spend_uid=uid(pick % (self.number + 2)), receipt_id="r")
        for _ in range(2):
            self.see(ledger.void(self.books, at(hub), fact))

    @rule(pick=PICKS, more=st.integers(0, 1), amount=st.integers(0, 40))
    def close(self, pick: int, more: int, amount: int) -> None:
        lease = self.pick_lease(pick)
        if lease is None:
            return
        fact = LeaseClosed(
            lease_id=lease.lease_id,
            spend_count=lease.spent_count + more,
            spent_amount=lease.spent_amount + more * amount,
        )
        self.see(ledger.close(self.books, at(lease.edge_id), fact))

    @rule(pick=PICKS, amount=AMOUNTS)
    def sub_lease(self, pick: int, amount: int) -> None:
        lease = self.pick_lease(pick)
        if lease is None:
            return
        fact = SubLeaseGranted(
            sub_lease_id=f"part-{lease.lease_id}",
            lease_id=lease.lease_id,
            till_edge_id=lease.edge_id + 10,
            amount=amount,
            spend_until_ms=1,
        )
        self.see(ledger.sub_lease_granted(self.books, at(lease.edge_id), fact))

    @rule(pick=PICKS)
    def recall(self, pick: int) -> None:
        if (lease := self.pick_lease(pick)) is not None:
            lending.recall(self.books, lease)

    @rule(pick=PICKS)
    def write_off(self, pick: int) -> None:
        if pick % 3 == 0 and (lease := self.pick_lease(pick)) is not None:
            lending.write_off(self.books, lease)

    @rule(hub=HUBS)
    def freeze(self, hub: int) -> None:
        lending.freeze(self.books, hub, self.epochs[hub], now_ms=1)
        self.epochs[hub] += 1

    @rule(hub=HUBS)
    def clear(self, hub: int) -> None:
        lending.clear(self.books, hub, self.epochs[hub])

    @rule(owner=OWNERS, amount=AMOUNTS, hub=HUBS, pick=PICKS)
    def hold(self, owner: str, amount: int, hub: int, pick: int) -> None:
        hold_uid = uid(pick % (self.number + 1)) if pick % 4 == 0 else self.next_uid()
        first = holds.hold(
            self.books, at(hub), hold_uid, owner, ASSET, amount, expires_at_ms=self.number
        )
        again = holds.hold(
            self.books, at(hub), hold_uid, owner, ASSET, amount, expires_at_ms=self.number
        )
        assert first.granted == again.granted

    @rule(owner=OWNERS, amount=AMOUNTS, hub=HUBS, pick=PICKS)
    def capture(self, owner: str, amount: int, hub: int, pick: int) -> None:
        hold_uid = uid(pick % (self.number + 1))
        for _ in range(2):
            self.see(holds.capture(self.books, at(hub), hold_uid, owner, ASSET, amount))

    @rule(hub=HUBS, pick=PICKS)
    def release(self, hub: int, pick: int) -> None:
        holds.release(self.books, at(hub), uid(pick % (self.number + 1)))

    @rule(back=st.integers(0, 20))
    def expire_holds(self, back: int) -> None:
        holds.expire_holds(self.books, now_ms=self.number - back)

    @rule(owner=OWNERS, amount=AMOUNTS, hub=HUBS)
    def give_back(self, owner: str, amount: int, hub: int) -> None:
        giving = ledger.Giving(
            record_uid=self.next_uid(), index=0, owner=owner, asset=ASSET, amount=amount
        )
        for _ in range(2):
            self.see(ledger.give_back(self.books, at(hub), giving))
        self.given[self.books.owner_of(owner)] += amount

    @rule(day=st.sampled_from(DAYS))
    def activate(self, day: str) -> None:
        upkeep.activate(self.books, day)

    @rule(owner=OWNERS, day=st.sampled_from(DAYS))
    def expire(self, owner: str, day: str) -> None:
        self.number += 2
        taken = upkeep.expire(self.books, owner, ASSET, day, now_ms=self.number - 1)
        assert upkeep.expire(self.books, owner, ASSET, day, now_ms=self.number) == 0
        self.given[self.books.owner_of(owner)] -= taken

    @precondition(lambda self: len(self.books.aliases) == 0)
    @rule(alias=OWNERS, owner=OWNERS)
    def merge(self, alias: str, owner: str) -> None:
        if self.number % 5 == 0 and alias != owner:
            upkeep.merge(self.books, alias, owner, [ASSET])
            self.given[owner] += self.given.pop(alias, 0)

    @invariant()
    def sums_to_zero(self) -> None:
        """I1."""
        if hasattr(self, "books"):
            assert sum(self.books.balances.values()) == 0

    @invariant()
    def nobody_is_below_zero(self) -> None:
        """I2; and nobody owes while they have something free."""
        for account, amount in self.books.balances.items():
            if account.kind is AccountKind.DEBT:
                assert amount <= 0
                purse = Purse(account.owner, account.asset)
                assert amount == 0 or self.books.balance(AccountKind.AVAIL, purse) == 0
            elif account.kind not in SYSTEM:
                assert amount >= 0, account

    @invariant()
    def leases_add_up(self) -> None:
        """I3 and I8; what a lease counts are its spends, each once (I4)."""
        live: set[tuple[Purse, int, int]] = set()
        spends = [s for s in self.books.spends.values() if s.state is SpendState.COUNTED]
        for lease in self.books.leases.values():
            own = [s for s in spends if s.on_lease and s.lease_id == lease.lease_id]
            assert (lease.spent_count, lease.spent_amount) == (
                len(own),
                sum(s.amount for s in own),
            )
            redeemed = lease.spent_amount - lease.short_amount
            left = self.books.escrow(lease)
            assert lease.granted == redeemed + lease.returned_amount + left
            if lease.live and not lease.closing:
                right = (Purse(lease.owner, lease.asset), lease.edge_id, lease.epoch)
                assert right not in live
                live.add(right)
            assert lease.live or left == 0

    @invariant()
    def every_spend_is_redeemed_once(self) -> None:
        """I4, I5: what owners have is what they were given, less what they spent of their own."""
        books = self.books
        redeemed = sum(
            n for account, n in books.balances.items() if account.kind is AccountKind.REDEEMED
        )
        spends = sum(s.amount for s in books.spends.values() if s.state is SpendState.COUNTED)
        captured = sum(
            h.captured_amount for h in books.holds.values() if h.state is HoldState.CAPTURED
        )
        given_back = sum(t.amount for t in books.changes.transfers if t.reason.endswith("_back"))
        assert redeemed == spends + captured - given_back
        has = sum(n for account, n in books.balances.items() if account.kind not in SYSTEM)
        assert has == sum(self.given.values()) - (spends + captured - self.shortage)

    @invariant()
    def held_is_what_holds_hold(self) -> None:
        """No hold is forgotten."""
        held = sum(h.amount for h in self.books.holds.values() if h.state is HoldState.HELD)
        assert held == sum(
            n for account, n in self.books.balances.items() if account.kind is AccountKind.HELD
        )


TestLedgerLaws = LedgerMachine.TestCase
TestLedgerLaws.settings = examples(60)


FACTS = st.lists(
    st.tuples(st.sampled_from(("spend", "spend", "part", "void", "clone")), AMOUNTS, PICKS),
    max_size=14,
)


def history(seed: int, steps: list[tuple[str, int, int]], closes: bool) -> list[Any]:
    """What two leases' holders, their tills and a clone report, told as calls upon books."""
    spends: list[tuple[int, int, int]] = []
    voided: set[int] = set()
    calls: list[Any] = []
    for number, (kind, amount, pick) in enumerate(steps):
        if kind == "void" and spends:
            which = spends[pick % len(spends)][0]
            voided.add(which)
            calls.append(("void", which))
        elif kind != "void":
            spends.append((number, pick % 2, amount))
            calls.append(("spend", number, pick % 2, amount, kind == "part"))
            if pick % 3:
                calls.append(("receipt", number, pick % 2, amount, kind == "part"))
    if closes:
        for which in (0, 1):
            own = [s for s in spends if s[1] == which and s[0] not in voided]
            calls.append(("close", which, len(own), sum(s[2] for s in own)))
    chance = random.Random(seed)
    for number in range(chance.randint(0, 4)):
        calls.append(("earn", 100 + number, chance.randint(1, 30), chance.choice(DAYS)))
        if chance.random() < 0.5:
            calls.append(("take", 100 + number, chance.randint(1, 40), calls[-1][3]))
    return calls


def deliver(calls: list[Any], *, write_off: int | None = None) -> Books:
    """Two leases of 100, then these calls; before call ``write_off`` one lease is written off."""
    books = Books(whole=True)
    leases = []
    for hub in (1, 2):
        lending.fund(books, "anna", ASSET, 100, cause=uid(900 + hub))
        holder = Holder(edge_id=hub, store_id="S1")
        lease = lending.grant(books, holder, "anna", ASSET, now_ms=hub)
        assert lease is not None
        leases.append(lease)
    for place, call in enumerate(calls):
        if place == write_off:
            lending.write_off(books, leases[0])
        kind, number, *rest = call
        if kind in {"spend", "receipt"}:
            lease = leases[rest[0]]
            firm = kind == "spend"
            edge_id = lease.edge_id + 10 if rest[2] or not firm else lease.edge_id
            fact = spent(lease, "anna", rest[1], f"part-{lease.lease_id}" if rest[2] else None)
            origin = Origin(edge_id=edge_id, store_id="S1")
            ledger.spend(books, origin, uid(number), fact, firm=firm)
        elif kind == "void":
            fact_void = SpendVoided(spend_uid=uid(number), receipt_id="r")
            ledger.void(books, Origin(edge_id=11, store_id="S1"), fact_void)
        elif kind == "close":
            lease = leases[number]
            close = LeaseClosed(lease_id=lease.lease_id, spend_count=rest[0], spent_amount=rest[1])
            ledger.close(books, Origin(edge_id=lease.edge_id, store_id="S1"), close)
        elif kind == "earn":
            earning = ledger.Earning(
                record_uid=uid(number),
                index=0,
                owner="anna",
                asset=ASSET,
                amount=rest[0],
                earned_on=DAYS[0],
                active_on=rest[1],
            )
            ledger.earn(books, Origin(edge_id=1, store_id="S1"), earning)
        else:
            taking = ledger.Taking(
                record_uid=uid(number + 100),
                index=0,
                owner="anna",
                asset=ASSET,
                amount=rest[0],
                sale_uid=uid(number),
                active_on=rest[1],
            )
            ledger.claw_back(books, Origin(edge_id=1, store_id="S1"), taking)
    return books


@given(seed=st.integers(0, 2**32), steps=FACTS, closes=st.booleans())
@examples(300)
def test_any_order_and_any_repetition_give_the_same_ledger(
    seed: int, steps: list[tuple[str, int, int]], closes: bool
) -> None:
    """I11: the hash is the same; once all is free, so is every account, lease and spend."""
    calls = history(seed, steps, closes)
    chance = random.Random(seed)
    shuffled = calls + chance.choices(calls, k=5) if calls else calls
    chance.shuffle(shuffled)
    straight, other = deliver(calls), deliver(shuffled)

    assert ledger_hash(straight) == ledger_hash(other), f"seed {seed}"
    for books in (straight, other):
        upkeep.activate(books, "9999-01-01")
    assert exact_hash(straight) == exact_hash(other), f"seed {seed}"
    lots = [{d: n for d, n in b.lots[Purse("anna", ASSET)].items() if n} for b in (straight, other)]
    assert lots[0] == lots[1]


@given(seed=st.integers(0, 2**32), steps=FACTS)
@examples(300)
def test_a_write_off_at_any_moment_changes_who_pays_and_nothing_else(
    seed: int, steps: list[tuple[str, int, int]]
) -> None:
    """Spends before it are the customer's, later ones the store's: in the hash, one number."""
    calls = history(seed, steps, closes=False)
    hashes = set()
    for place in range(len(calls)):
        books = deliver(calls, write_off=place)
        lease = books.leases[min(books.leases)]
        hashes.add(ledger_hash(books))
        assert sum(books.balances.values()) == 0
        assert lease.state in {LeaseState.OPEN, LeaseState.WRITTEN_OFF}

    assert len(hashes) <= 1
