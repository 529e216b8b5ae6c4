"""What days and people do to owners: points become free, expire, are merged, are given. Pure."""

from __future__ import annotations

from central.accounts.books import (
    CENTRAL,
    NO_EXPIRY,
    Account,
    AccountKind,
    Books,
    Purse,
    transfer_id_of,
)
from central.accounts.ledger import free
from central.accounts.lending import overdue, used

_OWNED = (AccountKind.PENDING, AccountKind.HELD, AccountKind.AVAIL, AccountKind.DEBT)


def activate(books: Books, today: str) -> int:
    """Free the pending lots that are loaded and whose day has come; how many lots."""
    due = sorted(key for key, lot in books.pending.items() if lot.active_on <= today and lot.amount)
    for key in due:
        lot = books.pending[key]
        purse = books.purse(lot.owner, lot.asset)
        pending = Account(AccountKind.PENDING, purse.owner, purse.asset)
        name = transfer_id_of(lot.lot_id, "activated")
        free(books, purse, pending, lot.amount, name, "points.activated")
        books.add_lot(purse, lot.expires_on, lot.amount)
        lot.amount = 0
        books.put_pending(lot)
    return len(due)


def expire(books: Books, owner: str, asset: str, today: str, *, now_ms: int) -> int:
    """Take what an owner has left of lots whose last day is before ``today``; how much.

    ``now_ms`` names the movement: what came back since may expire on the same day.

    The customer comes first: what is in leases and holds is taken to be what expires first, so
    that nothing a shop may still hand out is taken away. It expires when it has come back; leases
    are not prolonged for it.
    """
    purse = books.purse(owner, asset)
    # More was given back than spent, by returns of what the first release sold: that never expires.
    books.add_lot(purse, NO_EXPIRY, max(0, -used(books, purse)))
    set_aside = books.lent(purse) + books.balance(AccountKind.HELD, purse)
    amount = min(
        max(0, overdue(books, purse, today) - set_aside), books.balance(AccountKind.AVAIL, purse)
    )
    avail = Account(AccountKind.AVAIL, purse.owner, purse.asset)
    expired = Account(AccountKind.EXPIRED, CENTRAL, purse.asset)
    name = transfer_id_of("expired", purse.owner, purse.asset, now_ms)
    return amount if books.move(name, avail, expired, amount, "points.expired") else 0


def merge(books: Books, alias: str, owner: str, assets: list[str]) -> None:
    """Give all that one owner has to another, now and in future; leases stay where they are.

    ``assets``: every asset of which the first has anything. Merging twice changes nothing.
    """
    into = books.owner_of(owner)
    if books.owner_of(alias) == into:
        return
    source = books.owner_of(alias)
    for asset in sorted(assets):
        old, new = books.purse(source, asset), books.purse(into, asset)
        for kind in _OWNED:
            amount = books.balance(kind, old)
            sides = Account(kind, old.owner, asset), Account(kind, new.owner, asset)
            name = transfer_id_of("merged", old.owner, new.owner, asset, kind.value)
            debit, credit = sides if amount > 0 else sides[::-1]
            books.move(name, debit, credit, abs(amount), "customer.merged")
        for day, amount in books.lots_of(old).copy().items():
            books.add_lot(old, day, -amount)
            books.add_lot(new, day, amount)
    books.put_alias(source, into)
    for asset in sorted(assets):
        _pay_own_debt(books, books.purse(into, asset), source)


def _pay_own_debt(books: Books, purse: Purse, alias: str) -> None:
    """One of the two may have owed what the other has."""
    pays = min(books.owed(purse), books.balance(AccountKind.AVAIL, purse))
    books.move(
        transfer_id_of("merged", alias, purse.owner, purse.asset, "paid"),
        Account(AccountKind.AVAIL, purse.owner, purse.asset),
        Account(AccountKind.DEBT, purse.owner, purse.asset),
        pays,
        "customer.merged",
    )


def give_goodwill(
    books: Books, owner: str, asset: str, amount: int, *, cause: bytes, expires_on: str | None
) -> None:
    """A present by a person's decision, at the company's cost, once per ``cause``."""
    if cause not in books.transfer_ids:
        purse = books.purse(owner, asset)
        free(books, purse, Account(AccountKind.GOODWILL, CENTRAL, asset), amount, cause, "goodwill")
        books.add_lot(purse, expires_on or NO_EXPIRY, amount)
