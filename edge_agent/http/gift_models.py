"""The JSON of the calls about gift cards as structures; see ``models``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from edge_agent.http.models import Date, Identifier, In, Money, MoneyIn

Number = Annotated[
    str,
    Meta(min_length=1, max_length=200, description="the card's number, blanks and dashes allowed"),
]
OperationId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="the till's id of this operation: repeated, it gives the first answer",
    ),
]


class GiftCardSold(In):
    """A card was sold for its face value on this receipt."""

    operation_id: OperationId
    receipt_id: Identifier
    number: Number
    amount: MoneyIn


class GiftCardAsked(In):
    """A card whose balance is asked for."""

    number: Number
    pin: Identifier | None = None


class GiftCardPays(In):
    """A card pays for a receipt; without an amount, with all that is on it."""

    operation_id: OperationId
    receipt_id: Identifier
    number: Number
    amount: MoneyIn | None = None
    pin: Identifier | None = None


class GiftCardUndone(In):
    """The operation of this id is undone, or will never be done."""

    operation_id: OperationId


class GiftCardNow(Struct, kw_only=True):
    """How the card stands; ``amount`` is what was moved.

    ``whole_only``: one purchase takes all of it. The currency of what was never heard of is null.
    """

    amount: Money
    balance: Money
    currency: str | None
    active: bool
    expires_on: Date | None
    whole_only: bool
