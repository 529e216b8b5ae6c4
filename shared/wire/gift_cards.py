"""Gift cards between an agent and head office: sold, asked about, redeemed, and that undone.

POST /v1/gift-cards/{action}, msgpack both ways. The number and the PIN are in the body alone, and
neither end writes them to a log or a disk. What changes something has an operation id of the
till's: said again it gives the first reply, said again with other contents it is refused.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

GIFT_CARDS_PATH: Final = "/v1/gift-cards"


class GiftAction(enum.StrEnum):
    """The last part of the address."""

    ACTIVATE = "activate"
    BALANCE = "balance"
    REDEEM = "redeem"
    REVERSE = "reverse"


class GiftActivate(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A card was sold for its face value, in the smallest unit of the store's currency."""

    operation_id: str
    receipt_id: str
    number: str
    amount_minor: int


class GiftBalance(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What is on a card? ``pin`` where the card has one."""

    number: str
    pin: str | None = None


class GiftRedeem(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A card pays for a receipt; ``amount_minor`` None: with all that is on it."""

    operation_id: str
    receipt_id: str
    number: str
    amount_minor: int | None
    pin: str | None = None


class GiftReverse(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The operation ``operation_id`` is undone, or never to be done when it was not heard yet."""

    operation_id: str


GiftRequest = GiftActivate | GiftBalance | GiftRedeem | GiftReverse


class GiftReply(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """How the card stands after that; ``amount_minor`` is what was moved.

    ``active``: sold and to be redeemed until ``expires_on`` (a shop day, inclusive).
    ``whole_only``: one purchase takes all that is on it. A reversal of what was never heard of
    moved nothing and knows no card: its currency is empty.
    """

    amount_minor: int
    balance_minor: int
    currency: str
    active: bool
    expires_on: str | None = None
    whole_only: bool = False
