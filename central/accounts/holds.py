"""Sales that ask central: set aside, then captured or released; one answer per uid. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from central.accounts.books import (
    AMOUNT_MAX,
    Account,
    AccountKind,
    Books,
    Hold,
    HoldState,
    Lease,
    Origin,
    transfer_id_of,
)
from central.accounts.ledger import free
from shared.wire.facts import Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a request to set aside came to.

    ``granted``: it is set aside. Otherwise ``available`` is what is free, and ``reserved`` are the
    leases that keep the rest, for the store to say so or for central to recall them.
    """

    granted: bool
    available: int
    reserved: list[Lease]


def hold(
    books: Books,
    origin: Origin,
    uid: bytes,
    owner: str,
    asset: str,
    amount: int,
    *,
    expires_at_ms: int,
) -> Held:
    """Set an amount aside for one sale; asked again under the same uid, the answer is the same."""
    purse = books.purse(owner, asset)
    known = books.hold(uid)
    free_amount = books.balance(AccountKind.AVAIL, purse)
    if known is not None:
        same = (books.owner_of(known.owner), known.asset, known.amount, known.state) == (
            purse.owner,
            asset,
            amount,
            HoldState.HELD,
        )
        return Held(granted=same, available=free_amount, reserved=[])
    if not 0 < amount <= AMOUNT_MAX or free_amount < amount:
        lent = [lease for lease in books.leases_of(purse) if books.escrow(lease) > 0]
        return Held(granted=False, available=free_amount, reserved=lent)
    held = Account(AccountKind.HELD, purse.owner, asset)
    avail = Account(AccountKind.AVAIL, purse.owner, asset)
    books.move(transfer_id_of(uid, "held"), avail, held, amount, "hold.held", uid)
    books.put_hold(
        Hold(
            uid=uid,
            owner=purse.owner,
            asset=asset,
            amount=amount,
            captured_amount=0,
            store_id=origin.store_id,
            expires_at_ms=expires_at_ms,
            state=HoldState.HELD,
        )
    )
    return Held(granted=True, available=free_amount - amount, reserved=[])


def capture(
    books: Books, origin: Origin, uid: bytes, owner: str, asset: str, amount: int
) -> list[Incident]:
    """The sale was made and took ``amount``: what was set aside beyond it is free again.

    A sale that was made stands: what its hold no longer covers is taken of what is free, and the
    rest is the store's shortage.
    """
    known = books.hold(uid)
    if not 0 < amount <= AMOUNT_MAX:
        return [Incident(code="bad_amount", detail=f"{amount} can be no amount")]
    if known is not None and known.state is HoldState.CAPTURED:
        if known.captured_amount == amount:
            return []
        return [Incident(code="spend_differs", detail="a hold was captured with another amount")]
    purse = books.purse(known.owner if known and known.owner else owner, asset)
    covered = 0
    if known is not None and known.state is HoldState.HELD:
        covered = min(amount, known.amount)
        _let_go(books, known, kept=covered)
    redeemed = Account(AccountKind.REDEEMED, origin.store_id, asset)
    held = Account(AccountKind.HELD, purse.owner, asset)
    avail = Account(AccountKind.AVAIL, purse.owner, asset)
    shortage = Account(AccountKind.SHORTAGE, origin.store_id, asset)
    books.move(transfer_id_of(uid, "captured"), held, redeemed, covered, "hold.captured", uid)
    more = min(amount - covered, books.balance(AccountKind.AVAIL, purse))
    books.move(transfer_id_of(uid, "more"), avail, redeemed, more, "hold.captured", uid)
    short = amount - covered - more
    books.move(transfer_id_of(uid, "short"), shortage, redeemed, short, "hold.shortage", uid)
    books.put_hold(
        Hold(
            uid=uid,
            owner=purse.owner,
            asset=asset,
            amount=known.amount if known is not None else 0,
            captured_amount=amount,
            store_id=origin.store_id,
            expires_at_ms=known.expires_at_ms if known is not None else 0,
            state=HoldState.CAPTURED,
        )
    )
    if not short:
        return []
    return [Incident(code="points_shortage", detail=f"{short} of {asset} were no longer held")]


def release(books: Books, origin: Origin, uid: bytes) -> None:
    """Nothing came of the sale; a hold that has not been asked for yet is refused from now on."""
    known = books.hold(uid)
    if known is None:
        books.put_hold(
            Hold(
                uid=uid,
                owner="",
                asset="",
                amount=0,
                captured_amount=0,
                store_id=origin.store_id,
                expires_at_ms=0,
                state=HoldState.RELEASED,
            )
        )
    elif known.state is HoldState.HELD:
        _let_go(books, known, kept=0)
        known.state = HoldState.RELEASED
        books.put_hold(known)


def expire_holds(books: Books, *, now_ms: int) -> int:
    """Let go the loaded holds that nobody has captured in time; how many."""
    due = [
        key
        for key, known in sorted(books.holds.items())
        if known.state is HoldState.HELD and known.expires_at_ms <= now_ms
    ]
    for key in due:
        known = books.holds[key]
        _let_go(books, known, kept=0)
        known.state = HoldState.RELEASED
        books.put_hold(known)
    return len(due)


def _let_go(books: Books, known: Hold, *, kept: int) -> None:
    purse = books.purse(known.owner, known.asset)
    held = Account(AccountKind.HELD, purse.owner, known.asset)
    name = transfer_id_of(known.uid, "released")
    free(books, purse, held, known.amount - kept, name, "hold.released", known.uid)
