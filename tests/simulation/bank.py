"""The ledger of the simulated central: the real books, whole, with a check after every change.

Whoever posts or decides something calls ``settle_up``, which looks at what was changed and notes
every invariant that does not hold any more.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final

import msgspec

from central.accounts import holds, lending, upkeep
from central.accounts.books import (
    SYSTEM,
    Account,
    AccountKind,
    Books,
    Lease,
    Origin,
    Purse,
    Transfer,
)
from central.accounts.policy import Lending, lending_of
from central.accounts.visiting import lend_for_visit
from central.uplink.posting import post, sort_out
from central.uplink.reading import Stream, read_records
from shared.wire.assets import asset_parts, points_asset
from shared.wire.facts import ReceiptCommitted
from shared.wire.feed import BalanceEntry, LeaseState, Topic
from shared.wire.loan import LoanReply
from shared.wire.stream import Verdict
from tests.simulation.goods import ACCOUNT
from tests.simulation.scenario import Scenario, Wrong

ASSET: Final = points_asset(ACCOUNT)
CENTI: Final = 100
HOUR_MS: Final = 3_600_000
_BELOW_ZERO: Final = frozenset({AccountKind.DEBT}) | SYSTEM


@dataclass(slots=True)
class Member:
    """A customer; ``homes``: the stores whose hubs hold leases."""

    homes: tuple[str, ...]
    funded: int = 0


@dataclass(slots=True)
class Bank:
    """Everything of central's that moves points."""

    scenario: Scenario
    books: Books = field(default_factory=lambda: Books(whole=True))
    members: dict[str, Member] = field(default_factory=dict)
    holders: dict[int, lending.Holder] = field(default_factory=dict)
    contents: dict[bytes, bytes] = field(default_factory=dict)
    sold: dict[int, set[str]] = field(default_factory=dict)
    """Receipt ids by the edge that sent them."""
    incidents: Counter[str] = field(default_factory=Counter)
    shortages: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    transfers: int = 0
    posted: dict[bytes, int] = field(default_factory=lambda: defaultdict(int))
    """What the records of each cause moved to redeemed, less what was moved back."""
    covered: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """What each owner's own points paid for."""
    _touched: set[Purse] = field(default_factory=set)
    _leases: set[str] = field(default_factory=set)

    # --- deciding

    def join(self, customer_id: str, homes: tuple[str, ...], points: int) -> None:
        """A new member with points brought along."""
        self.members[customer_id] = Member(homes=homes)
        if points:
            lending.fund(
                self.books, customer_id, ASSET, points, cause=b"join" + customer_id.encode()
            )
        self.settle_up()

    def appoint(self, holder: lending.Holder) -> None:
        """An edge holds its store's leases from now on; a store has one such."""
        for edge_id in [e for e, its in self.holders.items() if its.store_id == holder.store_id]:
            del self.holders[edge_id]
        self.holders[holder.edge_id] = holder

    def lend(self, now_ms: int) -> None:
        """Fill up the leases of everybody whose points were moved."""
        for purse in sorted(self._touched, key=lambda p: (p.owner, p.asset)):
            self._lend_to_homes(purse, now_ms)
        self.settle_up()

    def lend_all(self, now_ms: int) -> None:
        """The same for all members: an edge is new, or has a new epoch."""
        for customer_id in self.members:
            self._lend_to_homes(self.books.purse(customer_id, ASSET), now_ms)
        self.settle_up()

    def turn(self, today: str, now_ms: int, in_touch: set[int]) -> None:
        """Points become free; leases are prolonged, settled, or given up."""
        upkeep.activate(self.books, today)
        rules = self._rules(1)
        for lease in list(self.books.leases.values()):
            if not lease.live:
                continue
            if lease.edge_id in in_touch:
                lending.renew(self.books, lease, now_ms=now_ms, today=today, lending=rules)
            over_ms = now_ms - lease.spend_until_ms
            if self.scenario.wrong is Wrong.RECLAIM_BY_TIME and over_ms >= 0:
                lending.write_off(self.books, lease)
            elif 0 < self.scenario.write_off_hours * HOUR_MS <= over_ms:
                for incident in lending.write_off(self.books, lease):
                    self.incidents[incident.code] += 1
        self.settle_up()
        self.lend(now_ms)

    def give(self, now_ms: int) -> None:
        """A gift to everybody who has less than plenty."""
        for customer_id in self.members:
            purse = self.books.purse(customer_id, ASSET)
            missing = self.scenario.plenty_points * CENTI - self.books.owned(purse)
            if missing > 0:
                cause = f"gift{now_ms}{customer_id}".encode()
                lending.fund(self.books, purse.owner, ASSET, missing, cause=cause)
        self.settle_up()

    def freeze(self, edge_id: int, epoch: int, now_ms: int) -> None:
        """Nothing of this edge's leases comes back until it is known what became of them."""
        lending.freeze(self.books, edge_id, epoch, now_ms=now_ms)
        self.settle_up()

    def clear(self, edge_id: int, epoch: int, heard_until_ms: int | None) -> bool:
        """Settle what the edge's proof allows; whether nothing has to stay frozen."""
        lending.clear(self.books, edge_id, epoch, heard_until_ms=heard_until_ms)
        self.settle_up()
        left = self.books.leases_at(edge_id, epoch_max=epoch)
        return not any(lease.state is LeaseState.FROZEN for lease in left)

    def merge(self, alias: str, owner: str) -> None:
        """Two members turn out to be one."""
        upkeep.merge(self.books, alias, owner, [ASSET])
        self.covered[owner] += self.covered.pop(alias, 0)
        self.settle_up()

    def borrow(self, holder: lending.Holder, owner: str, amount: int, now_ms: int) -> LoanReply:
        """A lease for a visit."""
        visit = lend_for_visit(self.books, holder, owner, ASSET, amount, now_ms=now_ms)
        self.settle_up()
        lease = None if visit.lease is None else lending.entry_of(visit.lease)
        return LoanReply(lease=lease, recalled=visit.recalled)

    def hold(self, origin: Origin, uid: bytes, owner: str, amount: int, until_ms: int) -> bool:
        """Set aside for a sale somewhere that has no lease."""
        held = holds.hold(self.books, origin, uid, owner, ASSET, amount, expires_at_ms=until_ms)
        self.settle_up()
        return held.granted

    def _lend_to_homes(self, purse: Purse, now_ms: int) -> None:
        member = self.members.get(purse.owner)
        if member is None:
            return
        for store_id in member.homes:
            for holder in [h for h in self.holders.values() if h.store_id == store_id]:
                lending.grant(
                    self.books,
                    holder,
                    purse.owner,
                    purse.asset,
                    now_ms=now_ms,
                    lending=self._rules(len(member.homes)),
                )

    def _rules(self, homes: int) -> Lending:
        cap = self.scenario.cap_points * CENTI
        return Lending(
            share_ppm=900_000 // homes,
            cap=cap or lending_of(ASSET).cap,
            term_ms=self.scenario.term_hours * HOUR_MS,
            renew_below_ms=self.scenario.term_hours * HOUR_MS // 2,
        )

    # --- posting

    def take(
        self, place: Stream, first_seq: int, records: list[bytes], now_ms: int
    ) -> list[Verdict]:
        """Post what is new in a run of records; what cannot be is set aside."""
        used = self.sold.setdefault(place.sender_id, set())
        sorted_out = sort_out(read_records(place, first_seq, records), self.contents, used)
        origin = Origin(edge_id=place.edge_id, store_id=place.store_id, epoch=place.epoch)
        for one in sorted_out.fresh:
            self.contents[one.uid] = one.content_sha256
            if isinstance(one.fact, ReceiptCommitted):
                used.add(one.fact.receipt_id)
            for incident in post(self.books, origin, one, None):
                self.incidents[incident.code] += 1
                if incident.code == "points_shortage":
                    self.shortages.append(incident.detail)
        self.settle_up()
        self.lend(now_ms)
        return [Verdict(seq=one.seq, code=one.code, detail=one.detail) for one in sorted_out.aside]

    # --- checking and telling

    def settle_up(self) -> None:
        """Check what was changed, and remember whom to tell."""
        changes = self.books.take_changes()
        total = 0
        for account, delta in changes.accounts.items():
            total += delta
            held = self.books.balances[account]
            if held < 0 and account.kind not in _BELOW_ZERO:
                self.broken.append(f"I2: {account.account_id} holds {held}")
            if held > 0 and account.kind is AccountKind.DEBT:
                self.broken.append(f"I2: {account.account_id} holds {held}")
        if total:
            self.broken.append(f"I1: a change of {total} from nowhere")
        for lease_id in sorted(changes.leases):
            self._check_lease(self.books.leases[lease_id])
        for transfer in changes.transfers:
            self.transfers += 1
            for account, other, sign in (
                (transfer.credit, transfer.debit, 1),
                (transfer.debit, transfer.credit, -1),
            ):
                if account.kind is AccountKind.REDEEMED:
                    self._note_redeemed(transfer, other, sign * transfer.amount)
        for uid in sorted(changes.spends):
            self._check_spend(uid)
        self._touched |= changes.purses
        self._leases |= changes.leases
        for purse in sorted(changes.purses, key=lambda p: (p.owner, p.asset)):
            self._check_one_lease_each(purse)

    def announcements(self, now_ms: int) -> list[tuple[str, str, str, bytes]]:
        """(scope, topic, key, payload) of every balance and lease that is not as told before."""
        news = []
        for lease_id in sorted(self._leases):
            lease = self.books.leases[lease_id]
            news.append(
                (
                    lease.store_id,
                    Topic.LEASE.value,
                    lease_id,
                    msgspec.msgpack.encode(lending.entry_of(lease)),
                )
            )
        for purse in sorted(self._touched, key=lambda p: (p.owner, p.asset)):
            entry = BalanceEntry(
                customer_id=purse.owner,
                account=asset_parts(purse.asset)[1],
                available_centi=self.books.owned(purse),
                as_of_ms=now_ms,
            )
            key = f"{entry.customer_id}/{entry.account}"
            news.append(("*", Topic.BALANCE.value, key, msgspec.msgpack.encode(entry)))
        self._touched, self._leases = set(), set()
        return news

    def whole_sum(self) -> int:
        """I1 in full: zero."""
        return sum(self.books.balances.values())

    def shortage_of(self, store_id: str) -> int:
        """What a store has handed out beyond every right."""
        return -self.books.balances.get(Account(AccountKind.SHORTAGE, store_id, ASSET), 0)

    def _note_redeemed(self, transfer: Transfer, other: Account, amount: int) -> None:
        if transfer.cause_uid is not None:
            self.posted[transfer.cause_uid] += amount
        owner = other.owner
        if other.kind is AccountKind.SHORTAGE:
            return
        if other.kind is AccountKind.ESCROW:
            owner = self.books.leases[owner].owner
        self.covered[self.books.owner_of(owner)] += amount

    def _check_lease(self, lease: Lease) -> None:
        rest = self.books.escrow(lease)
        if lease.granted != lease.spent_amount - lease.short_amount + lease.returned_amount + rest:
            self.broken.append(f"I3: {lease} has {rest} left")

    def _check_spend(self, uid: bytes) -> None:
        spend = self.books.spends[uid]
        due = spend.amount if spend.state == "counted" else 0
        if self.posted[uid] != due:
            self.broken.append(f"I4: {spend} moved {self.posted[uid]}")

    def _check_one_lease_each(self, purse: Purse) -> None:
        seen: set[tuple[int, int]] = set()
        for lease in self.books.leases_of(purse):
            holder = (lease.edge_id, lease.epoch)
            if lease.owner != purse.owner or lease.state is not LeaseState.OPEN or lease.closing:
                continue
            if holder in seen:
                self.broken.append(f"I8: {purse} has two open leases at {holder}")
            seen.add(holder)
