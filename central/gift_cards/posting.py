"""What happens to a gift card's money, in the ledger's books. Pure.

A card's ``avail`` is its balance. It comes from the ``issued`` of the store that sold it and goes
to the ``redeemed`` of the store that it paid in; undoing goes the same way back.
"""

from __future__ import annotations

from central.accounts import lending
from central.accounts.books import Account, AccountKind, Books, Purse, transfer_id_of
from central.accounts.ledger import free


def balance_of(books: Books, purse: Purse) -> int:
    """What can be redeemed now."""
    return books.balance(AccountKind.AVAIL, purse)


def sell(books: Books, purse: Purse, store_id: str, uid: bytes, amount_minor: int) -> None:
    """The card was sold for this."""
    lending.fund(
        books,
        purse.owner,
        purse.asset,
        amount_minor,
        cause=_sold(uid),
        store_id=store_id,
        reason="gift.sold",
    )


def take_back(books: Books, purse: Purse, store_id: str, uid: bytes, amount_minor: int) -> bool:
    """The sale of the card is undone; False when some of it is used."""
    cause = transfer_id_of(uid, "gift.taken_back")
    return lending.unfund(
        books, purse.owner, purse.asset, amount_minor, cause=cause, store_id=store_id
    )


def redeem(books: Books, purse: Purse, store_id: str, uid: bytes, amount_minor: int) -> None:
    """The card pays; it must hold as much."""
    avail = Account(AccountKind.AVAIL, purse.owner, purse.asset)
    redeemed = Account(AccountKind.REDEEMED, store_id, purse.asset)
    name = transfer_id_of(uid, "gift.redeemed")
    books.move(name, avail, redeemed, amount_minor, "gift.redeemed", uid)


def give_back(books: Books, purse: Purse, store_id: str, uid: bytes, amount_minor: int) -> None:
    """The card does not pay after all."""
    redeemed = Account(AccountKind.REDEEMED, store_id, purse.asset)
    name = transfer_id_of(uid, "gift.given_back")
    free(books, purse, redeemed, amount_minor, name, "gift.given_back", uid)


def _sold(uid: bytes) -> bytes:
    return transfer_id_of(uid, "gift.sold")
