"""The ledger's working set: what was loaded of accounts, leases and spends, and what is changed.

``Books`` is plain memory. The store loads the part that a batch needs, the operations of
``ledger``, ``lending``, ``holds`` and ``upkeep`` change it, and the store writes the changes.
``Books(whole=True)`` knows everything, so that what is absent is zero: simulations run on it.

Every balance is credits less debits, so all of them together are zero after every movement.
"""

from __future__ import annotations

import enum
import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from shared.wire.feed import LeaseState

AMOUNT_MAX: Final = 10**15
"""The most that one movement moves: ten million of these still fit a column of 64 bits."""
NO_EXPIRY: Final = "9999-12-31"
"""The day on which points expire that never do."""
LIVE: Final = frozenset({LeaseState.OPEN, LeaseState.RECALLED, LeaseState.FROZEN})
"""States in which a lease holds what was not spent."""


class AccountKind(enum.StrEnum):
    """Whose side of a movement; the first five belong to owners, the rest to stores."""

    AVAIL = "avail"
    """Free to be lent or held; never below zero."""
    PENDING = "pending"
    """Earned, and free on a later day; never below zero."""
    DEBT = "debt"
    """What an owner owes, as a number below zero; never above zero."""
    HELD = "held"
    """Set aside for sales that ask central; never below zero."""
    ESCROW = "escrow"
    """Lent to an edge; the owner is the lease. Never below zero."""
    ISSUED = "issued"
    REDEEMED = "redeemed"
    SHORTAGE = "store_shortage"
    """Spent at the store beyond every right, at the company's cost."""
    EXPIRED = "expired"
    GOODWILL = "goodwill"

    __hash__ = (
        str.__hash__
    )  # an enumeration's own is a call of Python at every look-up of a balance


SYSTEM: Final = frozenset(
    {
        AccountKind.ISSUED,
        AccountKind.REDEEMED,
        AccountKind.SHORTAGE,
        AccountKind.EXPIRED,
        AccountKind.GOODWILL,
    }
)
"""Accounts of stores: only what they move by matters to an operation, never what they hold."""
CENTRAL: Final = "central"
"""The store id of what head office does itself."""


class NotLoadedError(LookupError):
    """An operation touched what was not loaded: the needs of its cause are wrong."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account. ``owner``: an owner of assets, a lease (escrow) or a store (system kinds)."""

    kind: AccountKind
    owner: str
    asset: str

    @property
    def account_id(self) -> str:
        """``avail:c1:points:main``; a colon in the owner is escaped, so no two ids are the same."""
        owner = self.owner
        if ":" in owner or "%" in owner:
            owner = owner.replace("%", "%25").replace(":", "%3A")
        return f"{self.kind}:{owner}:{self.asset}"


@dataclass(frozen=True, slots=True)
class Purse:
    """What one owner has of one asset."""

    owner: str
    asset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who says a fact: the edge whose stream it stands in, its store, and the stream's epoch."""

    edge_id: int
    store_id: str
    epoch: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One movement, for ever; ``cause_uid`` is the record behind it, where one is."""

    transfer_id: bytes
    debit: Account
    credit: Account
    amount: int
    reason: str
    cause_uid: bytes | None


@dataclass(slots=True, kw_only=True)
class Lease:
    """A right of one edge to spend an asset of one owner.

    granted = spent - short + returned + what is in escrow, always. ``owner`` is as the edge knows
    it, even after that customer was merged into another. A close that waits for spends stands in
    ``close_count`` and ``close_amount``.
    """

    lease_id: str
    owner: str
    asset: str
    edge_id: int
    epoch: int
    store_id: str
    granted: int = 0
    spend_until_ms: int = 0
    state: LeaseState = LeaseState.OPEN
    spent_count: int = 0
    spent_amount: int = 0
    short_amount: int = 0
    """Spent on this lease beyond what it held: the store's shortage."""
    returned_amount: int = 0
    """Given back to the owner when it ended, or when a spend was voided after that."""
    close_count: int | None = None
    close_amount: int | None = None
    grants: int = 0
    """How often something was granted; names the transfers."""
    quota: int | None = None
    """What it should hold, where it is filled up by itself: a store's part of a budget."""
    frozen_at_ms: int | None = None

    @property
    def live(self) -> bool:
        """Whether it still holds what was not spent."""
        return self.state in LIVE

    @property
    def closing(self) -> bool:
        """Whether its holder has closed it, and spends are awaited."""
        return self.live and self.close_count is not None

    @property
    def account(self) -> Account:
        """Where its unspent part stands."""
        return Account(AccountKind.ESCROW, self.lease_id, self.asset)


@dataclass(slots=True, kw_only=True)
class SubLease:
    """A till's part of a hub's lease; ``amount`` None until the hub's own record has come.

    ``is_certain`` False: its till was put back and may have forgotten spends that still come.
    """

    sub_lease_id: str
    lease_id: str
    till_edge_id: int | None = None
    amount: int | None = None
    spent_count: int = 0
    spent_amount: int = 0
    close_count: int | None = None
    close_amount: int | None = None
    is_certain: bool = True


class SpendState(enum.StrEnum):
    """What became of a spend."""

    COUNTED = "counted"
    VOIDED = "voided"


@dataclass(slots=True, kw_only=True)
class Spend:
    """One spend by its uid; with ``amount`` 0 the tombstone of one that was voided unheard."""

    uid: bytes
    lease_id: str | None
    sub_lease_id: str | None
    owner: str
    asset: str
    amount: int
    store_id: str
    edge_id: int
    state: SpendState
    on_lease: bool = False
    """Counted on its lease; otherwise all of it is the store's shortage."""
    firm: bool = False
    """Told by a money record, which is right where a receipt says otherwise."""


@dataclass(slots=True, kw_only=True)
class PendingLot:
    """What one sale earned and is not free yet; days are shop days (ISO)."""

    lot_id: bytes
    sale_uid: bytes
    owner: str
    asset: str
    amount: int
    active_on: str
    expires_on: str


class HoldState(enum.StrEnum):
    """What became of a hold."""

    HELD = "held"
    CAPTURED = "captured"
    RELEASED = "released"
    """Let go, or let go before it was asked for: such a hold is refused ever after."""


@dataclass(slots=True, kw_only=True)
class Hold:
    """Something set aside at central for one sale."""

    uid: bytes
    owner: str
    asset: str
    amount: int
    captured_amount: int
    store_id: str
    expires_at_ms: int
    state: HoldState


def transfer_id_of(*parts: bytes | str | int) -> bytes:
    """16 bytes that name a transfer for ever by what caused it, so that a retry repeats nothing."""
    joined = b"\x00".join(part if isinstance(part, bytes) else str(part).encode() for part in parts)
    return hashlib.sha256(b"kopilka.transfer.v1" + joined).digest()[:16]


@dataclass(slots=True)
class Changes:
    """What has to be written. Accounts and lots by what they grow, the rest as it is now."""

    accounts: dict[Account, int] = field(default_factory=lambda: defaultdict(int))
    lots: dict[tuple[Purse, str], int] = field(default_factory=lambda: defaultdict(int))
    transfers: list[Transfer] = field(default_factory=list)
    leases: set[str] = field(default_factory=set)
    sub_leases: set[str] = field(default_factory=set)
    spends: set[bytes] = field(default_factory=set)
    pending: set[bytes] = field(default_factory=set)
    holds: set[bytes] = field(default_factory=set)
    aliases: set[str] = field(default_factory=set)
    purses: set[Purse] = field(default_factory=set)
    """Owners who have more or less than before, in all or free."""


class Books:
    """What is known of the ledger.

    Reading what was neither loaded nor is known to be absent raises ``NotLoadedError``.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self.whole = whole
        self.balances: dict[Account, int] = defaultdict(int)
        self.leases: dict[str, Lease] = {}
        self.sub_leases: dict[str, SubLease] = {}
        self.spends: dict[bytes, Spend] = {}
        self.pending: dict[bytes, PendingLot] = {}
        self.holds: dict[bytes, Hold] = {}
        self.aliases: dict[str, str] = {}
        self.lots: dict[Purse, dict[str, int]] = {}
        self.transfer_ids: set[bytes] = set()
        self.changes = Changes()
        self.wanted: set[Purse] = set()
        """Purses that got back what was recalled: somebody else waits for it."""
        # What was asked for, whether or not it was there.
        self.known_purses: set[Purse] = set()
        self.known_lots: set[Purse] = set()
        self.known_leases: set[str] = set()
        self.known_sub_leases: set[str] = set()
        self.known_spends: set[bytes] = set()
        self.known_sales: set[bytes] = set()
        self.known_holds: set[bytes] = set()
        # What the store read, so that what is new is told from what was there.
        self.stored_accounts: set[Account] = set()
        self.stored_leases: set[str] = set()
        self.stored_spends: set[bytes] = set()
        self.stored_holds: set[bytes] = set()
        self._leases_of: dict[Purse, set[str]] = defaultdict(set)
        self._leases_at: dict[int, set[str]] = defaultdict(set)
        self._pending_of: dict[bytes, set[bytes]] = defaultdict(set)

    # --- reading

    def owner_of(self, owner: str) -> str:
        """The owner that this one was merged into, or itself."""
        return self.aliases.get(owner, owner)

    def purse(self, owner: str, asset: str) -> Purse:
        """Where an owner's movements go, through merges."""
        found = Purse(self.owner_of(owner), asset)
        if not self.whole and found not in self.known_purses:
            raise NotLoadedError(f"the purse {found} was not loaded")
        return found

    def balance(self, kind: AccountKind, purse: Purse) -> int:
        """What an owner's account holds; of a system account, only what was moved here."""
        return self.balances.get(Account(kind, purse.owner, purse.asset), 0)

    def owed(self, purse: Purse) -> int:
        """What an owner owes, zero or above."""
        return -self.balance(AccountKind.DEBT, purse)

    def escrow(self, lease: Lease) -> int:
        """What a lease has left."""
        return self.balances.get(lease.account, 0)

    def lease(self, lease_id: str | None) -> Lease | None:
        """A lease by its id."""
        if lease_id is None:
            return None
        found = self.leases.get(lease_id)
        if found is None and not self.whole and lease_id not in self.known_leases:
            raise NotLoadedError(f"the lease {lease_id} was not loaded")
        return found

    def leases_of(self, purse: Purse) -> list[Lease]:
        """The live leases of an owner, those of merged owners too, in the order of their ids."""
        if not self.whole and purse not in self.known_purses:
            raise NotLoadedError(f"the purse {purse} was not loaded")
        ids = self._leases_of.get(purse, ())
        return [lease for key in sorted(ids) if (lease := self.leases[key]).live]

    def leases_at(self, edge_id: int, *, epoch_max: int) -> list[Lease]:
        """The live leases that an edge holds, of this epoch and older ones."""
        return [
            lease
            for key in sorted(self._leases_at.get(edge_id, ()))
            if (lease := self.leases[key]).live and lease.epoch <= epoch_max
        ]

    def lent(self, purse: Purse) -> int:
        """What all of an owner's leases have left."""
        return sum(self.escrow(lease) for lease in self.leases_of(purse))

    def owned(self, purse: Purse) -> int:
        """What an owner could spend somewhere: free and lent."""
        return self.balance(AccountKind.AVAIL, purse) + self.lent(purse)

    def sub_lease(self, sub_lease_id: str) -> SubLease | None:
        """A till's part of a lease."""
        found = self.sub_leases.get(sub_lease_id)
        if found is None and not self.whole and sub_lease_id not in self.known_sub_leases:
            raise NotLoadedError(f"the sub-lease {sub_lease_id} was not loaded")
        return found

    def spend(self, uid: bytes) -> Spend | None:
        """A spend by its uid."""
        found = self.spends.get(uid)
        if found is None and not self.whole and uid not in self.known_spends:
            raise NotLoadedError(f"the spend {uid.hex()} was not loaded")
        return found

    def hold(self, uid: bytes) -> Hold | None:
        """A hold by its uid."""
        found = self.holds.get(uid)
        if found is None and not self.whole and uid not in self.known_holds:
            raise NotLoadedError(f"the hold {uid.hex()} was not loaded")
        return found

    def pending_of(self, sale_uid: bytes) -> list[PendingLot]:
        """What a sale earned that is not free yet."""
        if not self.whole and sale_uid not in self.known_sales:
            raise NotLoadedError(f"the sale {sale_uid.hex()} was not loaded")
        return [self.pending[key] for key in sorted(self._pending_of.get(sale_uid, ()))]

    def lots_of(self, purse: Purse) -> dict[str, int]:
        """What an owner was ever given, by the last day on which it is good."""
        if not self.whole and purse not in self.known_lots:
            raise NotLoadedError(f"the lots of {purse} were not loaded")
        return self.lots.get(purse, {})

    # --- changing

    def move(
        self,
        transfer_id: bytes,
        debit: Account,
        credit: Account,
        amount: int,
        reason: str,
        cause_uid: bytes | None = None,
    ) -> bool:
        """Move an amount once; False, and nothing done, for zero or a movement that was made."""
        if amount == 0 or transfer_id in self.transfer_ids:
            return False
        assert 0 < amount <= AMOUNT_MAX * 10**3, "amounts are checked at the border"
        assert debit != credit, "a movement has two sides"
        self.transfer_ids.add(transfer_id)
        for account, delta in ((debit, -amount), (credit, amount)):
            self.balances[account] += delta
            self.changes.accounts[account] += delta
            if account.kind not in SYSTEM and account.kind is not AccountKind.ESCROW:
                self.changes.purses.add(Purse(account.owner, account.asset))
        left = self.balances[debit]
        assert left >= 0 or debit.kind in SYSTEM or debit.kind is AccountKind.DEBT, (
            f"{debit.account_id} would fall to {left}"
        )
        self.changes.transfers.append(
            Transfer(
                transfer_id=transfer_id,
                debit=debit,
                credit=credit,
                amount=amount,
                reason=reason,
                cause_uid=cause_uid,
            )
        )
        return True

    def add_lot(self, purse: Purse, expires_on: str, amount: int) -> None:
        """An owner got so much that is good until that day; below zero: it was taken back."""
        if amount == 0:
            return
        days = self.lots.setdefault(purse, {})
        days[expires_on] = days.get(expires_on, 0) + amount
        self.changes.lots[purse, expires_on] += amount

    def put_lease(self, lease: Lease) -> None:
        """A lease that is new, or has changed."""
        self.know_lease(lease)
        self.changes.leases.add(lease.lease_id)
        self.changes.purses.add(Purse(self.owner_of(lease.owner), lease.asset))

    def put_sub_lease(self, sub: SubLease) -> None:
        """A till's part that is new, or has changed."""
        self.sub_leases[sub.sub_lease_id] = sub
        self.changes.sub_leases.add(sub.sub_lease_id)

    def put_spend(self, spend: Spend) -> None:
        """A spend that is new, or has changed."""
        self.spends[spend.uid] = spend
        self.changes.spends.add(spend.uid)

    def put_pending(self, lot: PendingLot) -> None:
        """A pending lot that is new, or has changed; an empty one is gone."""
        self.know_pending(lot)
        self.changes.pending.add(lot.lot_id)

    def put_hold(self, hold: Hold) -> None:
        """A hold that is new, or has changed."""
        self.holds[hold.uid] = hold
        self.changes.holds.add(hold.uid)

    def put_alias(self, alias: str, owner: str) -> None:
        """From now on what one owner has belongs to another; older aliases follow."""
        for older in [key for key, value in self.aliases.items() if value == alias]:
            self.aliases[older] = owner
            self.changes.aliases.add(older)
        self.aliases[alias] = owner
        self.changes.aliases.add(alias)
        for purse in [purse for purse in self._leases_of if purse.owner == alias]:
            self._leases_of[Purse(owner, purse.asset)] |= self._leases_of.pop(purse)

    def know_lease(self, lease: Lease) -> None:
        """Take a loaded lease in."""
        self.leases[lease.lease_id] = lease
        self.known_leases.add(lease.lease_id)
        self._leases_of[Purse(self.owner_of(lease.owner), lease.asset)].add(lease.lease_id)
        self._leases_at[lease.edge_id].add(lease.lease_id)

    def know_pending(self, lot: PendingLot) -> None:
        """Take a loaded pending lot in."""
        self.pending[lot.lot_id] = lot
        self._pending_of[lot.sale_uid].add(lot.lot_id)

    def take_changes(self) -> Changes:
        """What was changed since the last time; the books begin to count anew."""
        taken, self.changes = self.changes, Changes()
        return taken


def exact_hash(books: Books) -> bytes:
    """32 bytes over every balance, lease and spend of whole books."""
    digest = hashlib.sha256()
    _add(digest, (f"{a.account_id}={n}" for a, n in books.balances.items() if n))
    _add(digest, (f"{lease}" for lease in books.leases.values()))
    _add(digest, (f"{spend}" for spend in books.spends.values()))
    return digest.digest()


def ledger_hash(books: Books) -> bytes:
    """32 bytes that are the same however the edges' records came in, and how often.

    What a record moves is the same whenever it comes; *which account* stands for it may depend on
    what head office decided in between: after a write-off a spend is the store's shortage, while
    the owner keeps what the lease gave back. So an owner counts as one number: everything they have
    and have lent, less what they owe and less the shortages of their own leases.
    """
    positions: dict[str, int] = defaultdict(int)
    redeemed: dict[str, int] = defaultdict(int)
    for account, amount in books.balances.items():
        if account.kind is AccountKind.REDEEMED:
            redeemed[account.account_id] += amount
        elif account.kind is AccountKind.ESCROW:
            lease = books.leases[account.owner]
            positions[f"{books.owner_of(lease.owner)}\x00{lease.asset}"] += amount
        elif account.kind not in SYSTEM:
            positions[f"{account.owner}\x00{account.asset}"] += amount
    for lease in books.leases.values():
        positions[f"{books.owner_of(lease.owner)}\x00{lease.asset}"] -= lease.short_amount
    digest = hashlib.sha256()
    _add(digest, (f"{key}={amount}" for key, amount in positions.items() if amount))
    _add(digest, (f"{key}={amount}" for key, amount in redeemed.items() if amount))
    _add(
        digest,
        (f"{x.lease_id} {x.spent_count} {x.spent_amount}" for x in books.leases.values()),
    )
    _add(digest, (f"{spend}" for spend in books.spends.values()))
    return digest.digest()


def _add(digest: hashlib._Hash, lines: Iterable[str]) -> None:
    for line in sorted(lines):
        digest.update(line.encode() + b"\n")
    digest.update(b"--\n")
