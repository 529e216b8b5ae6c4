"""What has to be loaded before facts can be posted. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from central.accounts.books import Purse, transfer_id_of
from shared.wire.assets import points_asset
from shared.wire.facts import (
    LeaseClosed,
    LeaseSpent,
    ReceiptCommitted,
    ReceiptReturned,
    SpendVoided,
    SubLeaseClosed,
    SubLeaseGranted,
)

Fact = (
    LeaseSpent
    | SpendVoided
    | LeaseClosed
    | SubLeaseGranted
    | SubLeaseClosed
    | ReceiptCommitted
    | ReceiptReturned
)


@dataclass(slots=True, kw_only=True)
class Needs:
    """Keys of what a piece of work may read or change.

    The store adds what follows from them: the purses of leases and spends, the leases of purses.
    """

    purses: set[Purse] = field(default_factory=set)
    leases: set[str] = field(default_factory=set)
    sub_leases: set[str] = field(default_factory=set)
    closing: set[str] = field(default_factory=set)
    """Leases that are being closed: what their parts told is compared with what was seen."""
    spends: set[bytes] = field(default_factory=set)
    sales: set[bytes] = field(default_factory=set)
    holds: set[bytes] = field(default_factory=set)
    causes: set[bytes] = field(default_factory=set)
    """Transfers that may have been made before."""
    edges: set[int] = field(default_factory=set)
    """Edges all of whose leases are wanted."""
    lots: bool = False
    """Whether the lots of the purses are wanted, for expiry, renewal or a merge."""

    def add(self, other: Needs) -> None:
        """Need that too."""
        self.purses |= other.purses
        self.leases |= other.leases
        self.sub_leases |= other.sub_leases
        self.closing |= other.closing
        self.spends |= other.spends
        self.sales |= other.sales
        self.holds |= other.holds
        self.causes |= other.causes
        self.edges |= other.edges
        self.lots |= other.lots


def needs_of(record_uid: bytes, fact: Fact) -> Needs:
    """What posting this record may read or change."""
    needs = Needs()
    add_needs(needs, record_uid, fact)
    return needs


def add_needs(needs: Needs, record_uid: bytes, fact: Fact) -> None:
    """Need what posting this record may read or change, too."""
    if isinstance(fact, ReceiptCommitted):
        _add_receipt(needs, record_uid, fact)
    elif isinstance(fact, LeaseSpent):
        needs.spends.add(record_uid)
        needs.purses.add(Purse(fact.owner, fact.asset))
        _lease(needs, fact.lease_id, fact.sub_lease_id)
    elif isinstance(fact, SpendVoided):
        needs.spends.add(fact.spend_uid)
    elif isinstance(fact, LeaseClosed):
        needs.leases.add(fact.lease_id)
        needs.closing.add(fact.lease_id)
    elif isinstance(fact, (SubLeaseGranted, SubLeaseClosed)):
        _lease(needs, fact.lease_id, fact.sub_lease_id)
    elif isinstance(fact, ReceiptReturned):
        if fact.customer_id is not None:
            accounts = [part.account for part in fact.refund.points_returned]
            accounts += [part.account for part in fact.refund.points_taken]
            needs.purses |= {Purse(fact.customer_id, points_asset(name)) for name in accounts}
        needs.purses |= {Purse(right.owner, right.asset) for right in fact.rights_returned}
        if fact.sale_uid is not None:
            needs.sales.add(fact.sale_uid)


def _add_receipt(needs: Needs, record_uid: bytes, fact: ReceiptCommitted) -> None:
    customer = fact.receipt.customer
    owner = customer.id if customer is not None and customer.id is not None else ""
    for index, part in enumerate(fact.lease_spends):
        needs.spends.add(part.spend_uid or transfer_id_of(record_uid, "spent", index))
        needs.purses.add(Purse(owner, points_asset(part.account)))
        _lease(needs, part.lease_id, part.sub_lease_id)
    for right in fact.right_spends:
        needs.spends.add(right.spend_uid)
        needs.purses.add(Purse(right.owner, right.asset))
        _lease(needs, right.lease_id, right.sub_lease_id)
    if owner:
        for accrued in fact.answer.accrued:
            needs.purses.add(Purse(owner, points_asset(accrued.account)))


def _lease(needs: Needs, lease_id: str | None, sub_lease_id: str | None) -> None:
    if lease_id is not None:
        needs.leases.add(lease_id)
    if sub_lease_id is not None:
        needs.sub_leases.add(sub_lease_id)
