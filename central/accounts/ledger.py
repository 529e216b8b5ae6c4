"""What edges report, posted: earning, spending, voiding, closing, returns. Pure.

Nothing here refuses what a shop has done: a fact that does not fit is posted as far as it can be,
at the store's cost where no right covers it, and gives an incident. Between two decisions of head
office the outcome does not depend on the order in which facts come, nor on how often.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from central.accounts.books import (
    AMOUNT_MAX,
    NO_EXPIRY,
    Account,
    AccountKind,
    Books,
    Lease,
    Origin,
    PendingLot,
    Purse,
    Spend,
    SpendState,
    SubLease,
    transfer_id_of,
)
from shared.wire.assets import points_asset
from shared.wire.facts import (
    Incident,
    LeaseClosed,
    LeaseSpend,
    LeaseSpent,
    RightSpend,
    SpendVoided,
    SubLeaseClosed,
    SubLeaseGranted,
)
from shared.wire.feed import LeaseState

_ENDED: Final = {LeaseState.CLOSED: "it was closed", LeaseState.WRITTEN_OFF: "it was written off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Earning:
    """What a sale gives an owner. Days are shop days; ``index`` numbers the gifts of a record."""

    record_uid: bytes
    index: int
    owner: str
    asset: str
    amount: int
    earned_on: str
    active_on: str
    expires_on: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """What a return takes back of what a sale gave; the days name the lot."""

    record_uid: bytes
    index: int
    owner: str
    asset: str
    amount: int
    sale_uid: bytes | None
    active_on: str
    expires_on: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Giving:
    """What a return gives back of what the owner had spent."""

    record_uid: bytes
    index: int
    owner: str
    asset: str
    amount: int


def earn(books: Books, origin: Origin, earning: Earning) -> list[Incident]:
    """Give an owner what a sale earned: a debt is paid first, the rest is free on its day."""
    if not _good(earning.amount):
        return [_bad_amount(earning.amount)] if earning.amount else []
    purse = books.purse(earning.owner, earning.asset)
    issued = Account(AccountKind.ISSUED, origin.store_id, earning.asset)
    name = transfer_id_of(earning.record_uid, "accrued", earning.index)
    last_day = earning.expires_on or NO_EXPIRY
    if name in books.transfer_ids:
        return []
    if earning.active_on <= earning.earned_on:
        free(books, purse, issued, earning.amount, name, "receipt.accrued", earning.record_uid)
        books.add_lot(purse, last_day, earning.amount)
        return []
    pays = _pay_debt(
        books, purse, issued, earning.amount, name, "receipt.accrued", earning.record_uid
    )
    books.add_lot(purse, last_day, pays)
    waits = earning.amount - pays
    pending = Account(AccountKind.PENDING, purse.owner, purse.asset)
    if books.move(name, issued, pending, waits, "receipt.accrued", earning.record_uid):
        books.put_pending(
            PendingLot(
                lot_id=name,
                sale_uid=earning.record_uid,
                owner=purse.owner,
                asset=purse.asset,
                amount=waits,
                active_on=earning.active_on,
                expires_on=last_day,
            )
        )
    books.transfer_ids.add(name)
    return []


def spend(
    books: Books, origin: Origin, uid: bytes, fact: LeaseSpent, *, firm: bool = True
) -> list[Incident]:
    """Post a spend, once by its uid, whatever brings it.

    ``firm``: a money record says so; what only a receipt says gives way to that.
    """
    if not _good(fact.amount):
        return [_bad_amount(fact.amount)] if fact.amount else []
    known = books.spend(uid)
    told = Spend(
        uid=uid,
        lease_id=fact.lease_id,
        sub_lease_id=fact.sub_lease_id,
        owner=fact.owner,
        asset=fact.asset,
        amount=fact.amount,
        store_id=origin.store_id,
        edge_id=origin.edge_id,
        state=SpendState.COUNTED,
        firm=firm,
    )
    if known is None:
        return _count(books, told, "spent")
    if known.amount == 0:
        return _meet_tombstone(books, known, told)
    same = (known.lease_id, known.asset, known.amount) == (told.lease_id, told.asset, told.amount)
    if known.store_id != told.store_id:
        return [Incident(code="spend_differs", detail="another store tells this spend too")]
    if firm and not known.firm:
        return _correct(books, known, told, same=same)
    if same:
        return []
    return [Incident(code="spend_differs", detail=f"{told.amount} of {told.asset} told otherwise")]


def spend_of_receipt(
    record_uid: bytes, index: int, part: LeaseSpend, *, owner: str, receipt_id: str, at_ms: int
) -> tuple[bytes, LeaseSpent]:
    """The spend that a receipt tells, with its uid; give it to ``spend`` with ``firm=False``.

    Receipts of the first release name no uid: theirs is made of the receipt and the place in it.
    """
    uid = part.spend_uid or transfer_id_of(record_uid, "spent", index)
    return uid, LeaseSpent(
        lease_id=part.lease_id,
        sub_lease_id=part.sub_lease_id,
        owner=owner,
        asset=points_asset(part.account),
        amount=part.points_centi,
        receipt_id=receipt_id,
        spent_at_ms=at_ms,
    )


def right_of_receipt(part: RightSpend, *, receipt_id: str, at_ms: int) -> LeaseSpent:
    """The spend of a right that is not points, as a receipt tells it; ``spend`` with its uid."""
    return LeaseSpent(
        lease_id=part.lease_id,
        sub_lease_id=part.sub_lease_id,
        owner=part.owner,
        asset=part.asset,
        amount=part.amount,
        receipt_id=receipt_id,
        spent_at_ms=at_ms,
    )


def void(books: Books, origin: Origin, fact: SpendVoided) -> list[Incident]:
    """Undo a spend, or leave a tombstone for one that nobody has heard of yet."""
    known = books.spend(fact.spend_uid)
    if known is None:
        books.put_spend(
            Spend(
                uid=fact.spend_uid,
                lease_id=None,
                sub_lease_id=None,
                owner="",
                asset="",
                amount=0,
                store_id=origin.store_id,
                edge_id=origin.edge_id,
                state=SpendState.VOIDED,
            )
        )
        return []
    if known.store_id != origin.store_id:
        return [_foreign_void(origin.store_id)]
    if known.state is SpendState.VOIDED:
        return []
    _uncount(books, known, "void")
    known.state = SpendState.VOIDED
    books.put_spend(known)
    return _finish_close_of(books, known)


def close(books: Books, origin: Origin, fact: LeaseClosed) -> list[Incident]:
    """The holder will spend no more: give the rest back once all it spent has been seen."""
    lease = books.lease(fact.lease_id)
    if lease is None or lease.edge_id != origin.edge_id:
        return [Incident(code="unknown_lease", detail="an edge closed a lease that is not its own")]
    if fact.spend_count < 0 or not 0 <= fact.spent_amount <= AMOUNT_MAX:
        return [_bad_amount(fact.spent_amount)]
    told = (fact.spend_count, fact.spent_amount)
    if lease.close_count is not None:
        if (lease.close_count, lease.close_amount) != told:
            return [Incident(code="close_differs", detail="two closes of one lease differ")]
        return []
    if lease.state is LeaseState.WRITTEN_OFF:
        return []
    lease.close_count, lease.close_amount = told
    books.put_lease(lease)
    return finish_close(books, lease)


def sub_lease_granted(books: Books, origin: Origin, fact: SubLeaseGranted) -> list[Incident]:
    """A hub gave a till a part of its lease; nothing moves, for the lease holds it all along."""
    lease = books.lease(fact.lease_id)
    if lease is None or lease.edge_id != origin.edge_id:
        return [Incident(code="unknown_lease", detail="a part was given of a lease not one's own")]
    if not _good(fact.amount):
        return [_bad_amount(fact.amount)]
    sub = _sub_lease(books, fact.sub_lease_id, fact.lease_id)
    if sub is None:
        return [_foreign_sub_lease(fact.sub_lease_id)]
    if sub.amount is None:
        sub.till_edge_id, sub.amount = fact.till_edge_id, fact.amount
        books.put_sub_lease(sub)
    return _overspent(sub)


def sub_lease_closed(books: Books, origin: Origin, fact: SubLeaseClosed) -> list[Incident]:
    """The till gave its part back to the hub; what it said it had spent is kept for comparison."""
    lease = books.lease(fact.lease_id)
    if lease is None or lease.store_id != origin.store_id:
        return [Incident(code="unknown_lease", detail="a part was closed of another store's lease")]
    sub = _sub_lease(books, fact.sub_lease_id, fact.lease_id)
    if sub is None:
        return [_foreign_sub_lease(fact.sub_lease_id)]
    if sub.close_count is None:
        sub.close_count, sub.close_amount = fact.spend_count, fact.spent_amount
        sub.is_certain = fact.is_certain
        books.put_sub_lease(sub)
    return []


def claw_back(books: Books, origin: Origin, taking: Taking) -> list[Incident]:
    """Take back what a returned sale had given: of its own pending lot, of free points, as debt."""
    if not _good(taking.amount):
        return [_bad_amount(taking.amount)] if taking.amount else []
    purse = books.purse(taking.owner, taking.asset)
    issued = Account(AccountKind.ISSUED, origin.store_id, taking.asset)
    last_day = taking.expires_on or NO_EXPIRY
    left = taking.amount
    parts = (taking.record_uid, "taken", taking.index)
    if transfer_id_of(*parts) in books.transfer_ids:
        return []
    books.transfer_ids.add(transfer_id_of(*parts))
    pending = Account(AccountKind.PENDING, purse.owner, purse.asset)
    for lot in books.pending_of(taking.sale_uid) if taking.sale_uid else ():
        fits = (books.owner_of(lot.owner), lot.asset, lot.active_on, lot.expires_on) == (
            purse.owner,
            purse.asset,
            taking.active_on,
            last_day,
        )
        part = min(left, lot.amount) if fits else 0
        if part:
            name = transfer_id_of(*parts, lot.lot_id)
            books.move(name, pending, issued, part, "return.taken", taking.record_uid)
            lot.amount -= part
            books.put_pending(lot)
            left -= part
    books.add_lot(purse, last_day, -left)
    avail = Account(AccountKind.AVAIL, purse.owner, purse.asset)
    part = min(left, books.balance(AccountKind.AVAIL, purse))
    books.move(
        transfer_id_of(*parts, "avail"), avail, issued, part, "return.taken", taking.record_uid
    )
    debt = Account(AccountKind.DEBT, purse.owner, purse.asset)
    books.move(
        transfer_id_of(*parts, "debt"), debt, issued, left - part, "return.owed", taking.record_uid
    )
    return []


def give_back(books: Books, origin: Origin, giving: Giving) -> list[Incident]:
    """Give an owner back what they had spent on goods that came back; a debt is paid first."""
    if not _good(giving.amount):
        return [_bad_amount(giving.amount)] if giving.amount else []
    purse = books.purse(giving.owner, giving.asset)
    redeemed = Account(AccountKind.REDEEMED, origin.store_id, giving.asset)
    name = transfer_id_of(giving.record_uid, "given_back", giving.index)
    free(books, purse, redeemed, giving.amount, name, "return.given_back", giving.record_uid)
    return []


def free(
    books: Books,
    purse: Purse,
    source: Account,
    amount: int,
    name: bytes,
    reason: str,
    cause_uid: bytes | None = None,
) -> None:
    """Move an amount to what an owner may use freely, their debt first; ``name``: transfer id."""
    if name in books.transfer_ids:
        return
    pays = _pay_debt(books, purse, source, amount, name, reason, cause_uid)
    avail = Account(AccountKind.AVAIL, purse.owner, purse.asset)
    books.move(name, source, avail, amount - pays, reason, cause_uid)
    books.transfer_ids.add(name)


def finish_close(books: Books, lease: Lease) -> list[Incident]:
    """Give the rest of a closed lease back, if every spend that its holder counted was seen.

    The holder counts its tills' parts as they told them. A till that was put back told of less than
    it had spent before: those spends are seen here, and count as told, once it has proved that no
    more of them can come.
    """
    if lease.close_count is None or not lease.live or lease.state is LeaseState.FROZEN:
        return []
    assert lease.close_amount is not None, "a close has a count and a sum"
    parts = [sub for sub in books.sub_leases.values() if sub.lease_id == lease.lease_id]
    if not all(sub.is_certain for sub in parts):
        return []
    untold_count, untold_amount = _untold(parts)
    told = (lease.close_count + untold_count, lease.close_amount + untold_amount)
    seen = (lease.spent_count, lease.spent_amount)
    if seen == told:
        end_lease(books, lease, LeaseState.CLOSED, "lease.closed")
        return []
    if seen[0] >= told[0]:
        return [
            Incident(code="close_differs", detail=f"{lease.lease_id} has more spends than told")
        ]
    return []


def _untold(parts: Iterable[SubLease]) -> tuple[int, int]:
    """Spends on tills' parts of a lease beyond what the tills told when they gave them back."""
    count = amount = 0
    for sub in parts:
        if sub.close_count is not None and sub.spent_count > sub.close_count:
            assert sub.close_amount is not None, "a close has a count and a sum"
            count += sub.spent_count - sub.close_count
            amount += sub.spent_amount - sub.close_amount
    return count, amount


def end_lease(books: Books, lease: Lease, state: LeaseState, reason: str) -> None:
    """Give back what a lease has left, for good."""
    purse = books.purse(lease.owner, lease.asset)
    rest = books.escrow(lease)
    if lease.state is LeaseState.RECALLED:
        books.wanted.add(purse)
    if rest:
        name = transfer_id_of(lease.lease_id, reason, lease.returned_amount)
        free(books, purse, lease.account, rest, name, reason)
    lease.returned_amount += rest
    lease.state = state
    books.put_lease(lease)


def _count(books: Books, told: Spend, step: str) -> list[Incident]:
    """Post a spend that counts: from its lease as far as that reaches, the rest on the store."""
    lease = books.lease(told.lease_id)
    redeemed = Account(AccountKind.REDEEMED, told.store_id, told.asset)
    shortage = Account(AccountKind.SHORTAGE, told.store_id, told.asset)
    reason = f"lease.{step}"
    why = _misfit(books, lease, told)
    told.on_lease = why is None
    books.put_spend(told)
    if lease is None or why is not None:
        name = transfer_id_of(told.uid, step, "short")
        books.move(name, shortage, redeemed, told.amount, "lease.shortage", told.uid)
        return [_shortage(told.amount, told.asset, why or "no lease was named")]
    covered = min(told.amount, books.escrow(lease)) if lease.live else 0
    short = told.amount - covered
    books.move(transfer_id_of(told.uid, step), lease.account, redeemed, covered, reason, told.uid)
    if short:
        name = transfer_id_of(told.uid, step, "short")
        books.move(name, shortage, redeemed, short, "lease.shortage", told.uid)
    lease.spent_count += 1
    lease.spent_amount += told.amount
    lease.short_amount += short
    books.put_lease(lease)
    incidents: list[Incident] = []
    if short:
        why = _ENDED.get(lease.state, "more was spent than was granted")
        incidents.append(_shortage(short, told.asset, f"{lease.lease_id}: {why}"))
    if told.sub_lease_id is not None:
        sub = _sub_lease(books, told.sub_lease_id, lease.lease_id)
        if sub is None:
            incidents.append(_foreign_sub_lease(told.sub_lease_id))
        else:
            sub.spent_count += 1
            sub.spent_amount += told.amount
            books.put_sub_lease(sub)
            incidents += _overspent(sub)
    return incidents + finish_close(books, lease)


def _uncount(books: Books, known: Spend, step: str) -> None:
    """Move back what a spend moved: the store's shortage first, then the owner's."""
    redeemed = Account(AccountKind.REDEEMED, known.store_id, known.asset)
    shortage = Account(AccountKind.SHORTAGE, known.store_id, known.asset)
    lease = books.lease(known.lease_id) if known.on_lease else None
    relief = known.amount if lease is None else min(known.amount, lease.short_amount)
    name = transfer_id_of(known.uid, step, "short")
    books.move(name, redeemed, shortage, relief, "spend.voided", known.uid)
    if lease is None:
        return
    rest = known.amount - relief
    name = transfer_id_of(known.uid, step)
    if lease.state is LeaseState.CLOSED and lease.close_count is not None and rest:
        # It counted a spend that did not happen, so one that did is still missing: it waits again.
        lease.state = LeaseState.RECALLED
    if lease.live:
        books.move(name, redeemed, lease.account, rest, "spend.voided", known.uid)
    else:
        purse = books.purse(lease.owner, lease.asset)
        free(books, purse, redeemed, rest, name, "spend.voided", known.uid)
        lease.returned_amount += rest
    lease.spent_count -= 1
    lease.spent_amount -= known.amount
    lease.short_amount -= relief
    books.put_lease(lease)
    if known.sub_lease_id is not None:
        sub = _sub_lease(books, known.sub_lease_id, lease.lease_id)
        if sub is not None:
            sub.spent_count -= 1
            sub.spent_amount -= known.amount
            books.put_sub_lease(sub)


def _meet_tombstone(books: Books, tombstone: Spend, told: Spend) -> list[Incident]:
    """A spend that was voided before it was heard of: nothing is posted, everything is kept."""
    if tombstone.store_id != told.store_id:
        return [_foreign_void(tombstone.store_id), *_count(books, told, "spent")]
    lease = books.lease(told.lease_id)
    told.on_lease = _misfit(books, lease, told) is None
    told.state = SpendState.VOIDED
    books.put_spend(told)
    return []


def _correct(books: Books, known: Spend, told: Spend, *, same: bool) -> list[Incident]:
    """The money record has come after the receipt: what it says stands."""
    if same or known.state is SpendState.VOIDED:
        told.state, told.on_lease = known.state, known.on_lease
        if same and known.sub_lease_id == told.sub_lease_id:
            books.put_spend(told)
            return []
        if known.state is SpendState.VOIDED:
            told.on_lease = _misfit(books, books.lease(told.lease_id), told) is None
            books.put_spend(told)
            return []
    told.state = SpendState.COUNTED
    _uncount(books, known, "corrected")
    detail = f"the receipt said {known.amount}, the money record {told.amount} of {told.asset}"
    return [Incident(code="spend_differs", detail=detail), *_count(books, told, "respent")]


def _misfit(books: Books, lease: Lease | None, told: Spend) -> str | None:
    """Why a spend cannot count on the lease it names."""
    if lease is None:
        return "no lease was named" if told.lease_id is None else "the lease is not known"
    if lease.asset != told.asset or books.owner_of(lease.owner) != books.owner_of(told.owner):
        return "the lease is of another owner or asset"
    if lease.store_id != told.store_id:
        return "the lease is another store's"
    return None


def _sub_lease(books: Books, sub_lease_id: str, lease_id: str) -> SubLease | None:
    found = books.sub_lease(sub_lease_id)
    if found is None:
        return SubLease(sub_lease_id=sub_lease_id, lease_id=lease_id)
    return found if found.lease_id == lease_id else None


def _finish_close_of(books: Books, known: Spend) -> list[Incident]:
    lease = books.lease(known.lease_id) if known.on_lease else None
    return [] if lease is None else finish_close(books, lease)


def _pay_debt(
    books: Books,
    purse: Purse,
    source: Account,
    amount: int,
    name: bytes,
    reason: str,
    cause_uid: bytes | None,
) -> int:
    pays = min(books.owed(purse), amount)
    if pays == 0:
        return 0
    debt = Account(AccountKind.DEBT, purse.owner, purse.asset)
    books.move(transfer_id_of(name, "debt"), source, debt, pays, reason, cause_uid)
    return pays


def _good(amount: int) -> bool:
    return 0 < amount <= AMOUNT_MAX


def _overspent(sub: SubLease) -> list[Incident]:
    if sub.amount is None or sub.spent_amount <= sub.amount:
        return []
    detail = f"{sub.sub_lease_id}: {sub.spent_amount} were spent of {sub.amount}"
    return [Incident(code="sub_lease_overspent", detail=detail)]


def _bad_amount(amount: int) -> Incident:
    return Incident(code="bad_amount", detail=f"{amount} can be no amount")


def _shortage(amount: int, asset: str, why: str) -> Incident:
    return Incident(code="points_shortage", detail=f"{amount} of {asset} on the store: {why}")


def _foreign_void(store_id: str) -> Incident:
    return Incident(code="foreign_void", detail=f"store {store_id} voids a spend that is not its")


def _foreign_sub_lease(sub_lease_id: str) -> Incident:
    return Incident(code="foreign_sub_lease", detail=f"{sub_lease_id} is of another lease")
