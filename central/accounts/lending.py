"""Leases: granted, filled up, prolonged, recalled, frozen, settled, written off. Pure.

What a lease holds comes back by its holder's close, by a proof that nothing of its holder is
missing, or by writing it off; never because time has passed.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from central.accounts.books import (
    AMOUNT_MAX,
    CENTRAL,
    NO_EXPIRY,
    Account,
    AccountKind,
    Books,
    Lease,
    Purse,
    transfer_id_of,
)
from central.accounts.ledger import end_lease, finish_close, free
from central.accounts.policy import PPM, Fate, Lending, fate_of, lending_of
from shared.wire.assets import AssetKind, asset_parts
from shared.wire.facts import Incident
from shared.wire.feed import LeaseEntry, LeaseState

PROMISE_KEPT_MS: Final = 24 * 3_600_000
"""A till takes a promise back that nobody came for in a day (``edge_agent.lan.till``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """An edge that may hold leases, in its present epoch."""

    edge_id: int
    store_id: str
    epoch: int = 1


def grant(
    books: Books,
    holder: Holder,
    owner: str,
    asset: str,
    *,
    now_ms: int,
    lending: Lending | None = None,
    quota: int | None = None,
    keep_quota: bool = False,
) -> Lease | None:
    """Lend an owner's asset to an edge, or fill its lease up; None where nothing was changed.

    An edge has at most one lease of an owner's asset in an epoch that it has not closed. ``quota``
    is what the lease should hold, such as a store's part of a campaign's budget; without it the
    share and the cap of ``lending`` say; with ``keep_quota`` it is filled up to that by
    ``refill`` from then on. Nothing is added to a lease that is recalled or frozen,
    or on which more was spent than it held.
    """
    rules = lending or lending_of(asset)
    purse = books.purse(owner, asset)
    lease = live_lease(books, holder, purse)
    if lease is not None and (lease.state is not LeaseState.OPEN or lease.short_amount):
        return None
    has = books.escrow(lease) if lease is not None else 0
    wanted = quota
    if wanted is None:
        wanted = min(rules.cap, books.owned(purse) * rules.share_ppm // PPM)
    missing = min(wanted - has, books.balance(AccountKind.AVAIL, purse), AMOUNT_MAX)
    if missing <= 0 or (lease is not None and has * PPM >= wanted * rules.refill_below_ppm):
        return None
    if lease is None:
        lease = Lease(
            lease_id=lease_id_of(holder, purse, now_ms),
            owner=purse.owner,
            asset=asset,
            edge_id=holder.edge_id,
            epoch=holder.epoch,
            store_id=holder.store_id,
        )
        if lease.lease_id in books.leases:
            return None
    name = transfer_id_of(lease.lease_id, "granted", lease.grants)
    avail = Account(AccountKind.AVAIL, purse.owner, purse.asset)
    books.move(name, avail, lease.account, missing, "lease.granted")
    lease.grants += 1
    lease.granted += missing
    lease.quota = quota if keep_quota else lease.quota
    lease.spend_until_ms = max(lease.spend_until_ms, now_ms + rules.term_ms)
    books.put_lease(lease)
    return lease


def refill(books: Books, *, now_ms: int) -> int:
    """Fill up the leases with a quota that were spent from and are nearly empty; how many."""
    count = 0
    for lease_id in sorted(books.changes.leases):
        lease = books.leases[lease_id]
        if lease.quota is None or not lease.spent_count or lease.state is not LeaseState.OPEN:
            continue
        holder = Holder(edge_id=lease.edge_id, store_id=lease.store_id, epoch=lease.epoch)
        filled = grant(
            books,
            holder,
            lease.owner,
            lease.asset,
            now_ms=now_ms,
            quota=lease.quota,
            keep_quota=True,
        )
        count += filled is not None
    return count


def live_lease(books: Books, holder: Holder, purse: Purse) -> Lease | None:
    """The lease of a purse that an edge holds in this epoch and has not closed."""
    for lease in books.leases_of(purse):
        held = (lease.edge_id, lease.epoch) == (holder.edge_id, holder.epoch)
        if held and not lease.closing:
            return lease
    return None


def lease_id_of(holder: Holder, purse: Purse, now_ms: int) -> str:
    """A short name for a lease that is opened now: it travels with every spend."""
    digest = transfer_id_of("lease", holder.edge_id, holder.epoch, purse.owner, purse.asset, now_ms)
    return f"L{base64.b32encode(digest[:10]).decode()}"


def entry_of(lease: Lease) -> LeaseEntry:
    """A lease as its holder is told of it."""
    return LeaseEntry(
        lease_id=lease.lease_id,
        owner=lease.owner,
        asset=lease.asset,
        granted=lease.granted,
        spend_until_ms=lease.spend_until_ms,
        state=lease.state,
        edge_id=lease.edge_id,
        epoch=lease.epoch,
    )


def renew(
    books: Books, lease: Lease, *, now_ms: int, today: str, lending: Lending | None = None
) -> bool:
    """Prolong a lease whose holder is in touch, if little is left of its term.

    Not while its owner has points past their last day: those live on in leases only until the
    leases run out (see ``upkeep.expire``). Nor when a coupon is used up: nothing more comes of it.
    ``today``: ISO day.
    """
    rules = lending or lending_of(lease.asset)
    if lease.state is not LeaseState.OPEN or lease.closing:
        return False
    if lease.spend_until_ms >= now_ms + rules.renew_below_ms:
        return False
    if asset_parts(lease.asset)[0] == AssetKind.COUPON and not books.escrow(lease):
        return False
    if overdue(books, books.purse(lease.owner, lease.asset), today) > 0:
        return False
    lease.spend_until_ms = now_ms + rules.term_ms
    books.put_lease(lease)
    return True


def used(books: Books, purse: Purse) -> int:
    """What an owner was given in all less what is left: spent, expired, taken."""
    left = (
        books.balance(AccountKind.AVAIL, purse)
        + books.balance(AccountKind.HELD, purse)
        + books.lent(purse)
        - books.owed(purse)
    )
    return sum(books.lots_of(purse).values()) - left


def overdue(books: Books, purse: Purse, today: str) -> int:
    """How much an owner still has of lots whose last day is past.

    What was used is taken to have been used in the order in which it would have expired.
    """
    days = books.lots_of(purse).items()
    past = sum(amount for day, amount in days if day < today and day != NO_EXPIRY)
    return max(0, past - max(0, used(books, purse)))


def recall(books: Books, lease: Lease) -> bool:
    """Ask a lease back; its holder closes it when it hears of that."""
    if lease.state is not LeaseState.OPEN:
        return False
    lease.state = LeaseState.RECALLED
    books.put_lease(lease)
    return True


def freeze(books: Books, edge_id: int, epoch: int, *, now_ms: int) -> list[Lease]:
    """Hold everything that an edge has of this epoch and older ones, until ``clear``.

    The edge was restored, cloned or lost: spends on these leases are posted as ever, yet nothing
    of them comes back, for what it said of closing may not be the whole truth.
    """
    frozen: list[Lease] = []
    for lease in books.leases_at(edge_id, epoch_max=epoch):
        if lease.state is not LeaseState.FROZEN:
            lease.state = LeaseState.FROZEN
            lease.frozen_at_ms = now_ms
            books.put_lease(lease)
            frozen.append(lease)
    return frozen


def clear(
    books: Books, edge_id: int, epoch: int, *, heard_until_ms: int | None = None
) -> list[Lease]:
    """Settle what was frozen exactly: its holder has proved that no record of it is missing.

    The rest of each lease goes back to its owner, and so does that of leases of a hub that wait for
    what this till may have spent of its part. Call it when the proof was accepted *and* the old
    epoch's last record has been taken.

    ``heard_until_ms``: up to when the other agents of the store have told everything; None: there
    are none. A till may still spend its part of a lease, or print a receipt for a promise that a
    database put back has forgotten, and tell of it later: such a lease stays frozen until they can
    no more, and have reported since.
    """
    cleared: list[Lease] = []
    for lease in books.leases_at(edge_id, epoch_max=epoch):
        if lease.state is LeaseState.FROZEN and _is_told(lease, heard_until_ms):
            end_lease(books, lease, LeaseState.CLOSED, "lease.closed")
            cleared.append(lease)
    for sub in list(books.sub_leases.values()):
        if sub.till_edge_id == edge_id and not sub.is_certain:
            sub.is_certain = True
            books.put_sub_lease(sub)
            if (lease_of_part := books.lease(sub.lease_id)) is not None:
                finish_close(books, lease_of_part)
    return cleared


def _is_told(lease: Lease, heard_until_ms: int | None) -> bool:
    if heard_until_ms is None:
        return True
    last_use_ms = max(lease.spend_until_ms, (lease.frozen_at_ms or 0) + PROMISE_KEPT_MS)
    return heard_until_ms > last_use_ms


def settle(books: Books, lease: Lease, *, now_ms: int) -> Fate:
    """Do with a lease that has run out what the policy says; what that was."""
    fate = fate_of(
        lease.asset,
        rest=books.escrow(lease),
        spend_until_ms=max(lease.spend_until_ms, lease.frozen_at_ms or 0),
        now_ms=now_ms,
    )
    if fate is Fate.WRITE_OFF and lease.live:
        write_off(books, lease)
    return fate


def write_off(books: Books, lease: Lease) -> list[Incident]:
    """Give the rest of a lease back without its holder's word; later spends are the store's."""
    if not lease.live:
        return []
    rest = books.escrow(lease)
    end_lease(books, lease, LeaseState.WRITTEN_OFF, "lease.written_off")
    return [Incident(code="lease_written_off", detail=f"{lease.lease_id}: {rest} went back")]


def fund(
    books: Books,
    owner: str,
    asset: str,
    amount: int,
    *,
    cause: bytes,
    expires_on: str | None = None,
    store_id: str = CENTRAL,
    reason: str = "funded",
) -> None:
    """Give an owner something once per ``cause``.

    Points brought along, the money on a gift card when it is sold, a personal coupon, a customer's
    limit, a campaign's budget.
    """
    assert 0 < amount <= AMOUNT_MAX, "amounts are checked at the border"
    purse = books.purse(owner, asset)
    issued = Account(AccountKind.ISSUED, store_id, asset)
    if cause in books.transfer_ids:
        return
    free(books, purse, issued, amount, cause, reason)
    books.add_lot(purse, expires_on or NO_EXPIRY, amount)


def unfund(
    books: Books, owner: str, asset: str, amount: int, *, cause: bytes, store_id: str = CENTRAL
) -> bool:
    """Take a gift back whole, such as the activation of a gift card; False when it is used."""
    assert 0 < amount <= AMOUNT_MAX, "amounts are checked at the border"
    purse = books.purse(owner, asset)
    if cause in books.transfer_ids:
        return True
    if books.balance(AccountKind.AVAIL, purse) < amount:
        return False
    avail = Account(AccountKind.AVAIL, purse.owner, asset)
    books.move(cause, avail, Account(AccountKind.ISSUED, store_id, asset), amount, "unfunded")
    books.add_lot(purse, NO_EXPIRY, -amount)
    return True
