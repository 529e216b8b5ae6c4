"""What may be done with a gift card, and how often somebody may guess. Pure.

A PIN has four digits or a few more, so what protects it is not its hash but the waiting: two slips
cost nothing, the third and fourth cost seconds, and from the fifth on the card waits an hour after
every wrong guess. Whoever tries many cards instead is met by the count of the agent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from shared.errors import ConflictError, InputError
from shared.limits import IDENTIFIER_CHARS_MAX
from shared.money import format_minor
from shared.wire.assets import AssetKind, asset_of

FACE_MINOR_MAX: Final = 10**10
"""The most one card can be sold for, in the smallest unit: far beyond any card in a shop."""
VALID_DAYS_MAX: Final = 36_500
PIN_WAITS_MS: Final = (0, 0, 5_000, 30_000, 3_600_000)
"""After the first, second … wrong PIN in a row; the last stays."""
EDGE_MISSES_MAX: Final = 60
"""Wrong PINs and unknown numbers of one agent in ``EDGE_WINDOW_MS``: a busy day's slips."""
EDGE_WINDOW_MS: Final = 10 * 60_000
_NUMBER: Final = re.compile(r"[0-9A-Z]{8,40}")
_PIN: Final = re.compile(r"[0-9A-Za-z]{4,16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card as head office knows it: by the tag of its number, never by the number.

    ``face_minor_min`` to ``face_minor_max``: what it can be sold for. ``expires_on``: its last day,
    known when it is printed, or ``valid_days`` after it was sold.
    """

    card_tag: bytes
    currency: str
    pin_hash: str | None
    face_minor_min: int
    face_minor_max: int
    valid_days: int | None
    expires_on: str | None
    whole_only: bool
    active: bool

    @property
    def owner(self) -> str:
        """Under which name the ledger knows it."""
        return self.card_tag.hex()

    @property
    def asset(self) -> str:
        """``gift:rub``."""
        return gift_asset(self.currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guesses:
    """Wrong guesses so far; instants in UTC milliseconds, ``since_ms`` that of the first."""

    count: int = 0
    since_ms: int = 0
    wait_until_ms: int = 0


def gift_asset(currency: str) -> str:
    """The asset of a currency's cards."""
    return asset_of(AssetKind.GIFT, currency.lower())


def plain_number(text: str) -> str:
    """A number as it is tagged: without blanks and dashes, in capitals.

    Raises:
        InputError: no number of a card.
    """
    number = text.replace(" ", "").replace("-", "").upper()
    if not _NUMBER.fullmatch(number):
        raise InputError(
            "a gift card's number has 8 to 40 letters and digits",
            code="bad_gift_card",
            pointer="/number",
        )
    return number


def plain_pin(text: str) -> str:
    """A PIN that can be one.

    Raises:
        InputError: it cannot.
    """
    if not _PIN.fullmatch(text):
        raise InputError(
            "a PIN has 4 to 16 letters and digits", code="bad_gift_card", pointer="/pin"
        )
    return text


def named(text: str, pointer: str) -> str:
    """The id of an operation or of a receipt, which a till makes.

    Raises:
        InputError: it is empty, too long or holds what cannot be printed.
    """
    if not 0 < len(text) <= IDENTIFIER_CHARS_MAX or not text.isprintable():
        raise InputError(
            f"an id has 1 to {IDENTIFIER_CHARS_MAX} printable characters",
            code="bad_gift_card",
            pointer=pointer,
        )
    return text


def after_wrong_pin(guesses: Guesses, now_ms: int) -> Guesses:
    """A PIN was wrong: the next may come after a wait that grows."""
    count = guesses.count + 1
    wait_ms = PIN_WAITS_MS[min(count, len(PIN_WAITS_MS)) - 1]
    return Guesses(
        count=count,
        since_ms=guesses.since_ms or now_ms,
        wait_until_ms=max(guesses.wait_until_ms, now_ms + wait_ms),
    )


def after_miss(guesses: Guesses, now_ms: int) -> Guesses:
    """An agent tried what there is not: after too many it waits for the end of the window."""
    if now_ms >= guesses.since_ms + EDGE_WINDOW_MS:
        guesses = Guesses(since_ms=now_ms)
    count = guesses.count + 1
    ends_ms = guesses.since_ms + EDGE_WINDOW_MS
    return Guesses(
        count=count,
        since_ms=guesses.since_ms,
        wait_until_ms=ends_ms if count >= EDGE_MISSES_MAX else 0,
    )


def wait_ms(guesses: Guesses, now_ms: int) -> int:
    """How long to wait before the next try; 0: none. A clock that went back shortens nothing."""
    return max(guesses.wait_until_ms - now_ms, 0)


def check_currency(card: Card, currency: str) -> None:
    """A card is good where its currency is.

    Raises:
        ConflictError: ``gift_card_currency``.
    """
    if card.currency != currency:
        raise ConflictError(
            f"the card is in {card.currency}, the store in {currency}", code="gift_card_currency"
        )


def check_sale(card: Card, amount_minor: int, today: str) -> None:
    """Whether a card can be sold for this now.

    Raises:
        InputError: the amount is outside its face values.
        ConflictError: ``gift_card_sold``, ``gift_card_expired``.
    """
    if card.active:
        raise ConflictError(
            "this card is sold already", code="gift_card_sold", hint="Take another card."
        )
    if card.expires_on is not None and today > card.expires_on:
        raise ConflictError("this card's last day is over", code="gift_card_expired")
    low, high = card.face_minor_min, card.face_minor_max
    if not low <= amount_minor <= high:
        raise InputError(
            "this card is not sold for that amount",
            code="gift_card_amount",
            pointer="/amount",
            hint=f"From {format_minor(low)} to {format_minor(high)}.",
        )


def check_use(card: Card, today: str) -> None:
    """Whether a card can pay at all.

    Raises:
        ConflictError: ``gift_card_not_sold``, ``gift_card_expired``.
    """
    if not card.active:
        raise ConflictError("this card was never sold", code="gift_card_not_sold")
    if card.expires_on is not None and today > card.expires_on:
        raise ConflictError("this card's last day is over", code="gift_card_expired")


def amount_of(card: Card, asked_minor: int | None, balance_minor: int) -> int:
    """How much a redemption takes.

    Raises:
        InputError: no amount.
        ConflictError: ``gift_card_empty``, ``gift_card_balance``, ``gift_card_whole_only``.
    """
    if balance_minor <= 0:
        raise ConflictError("nothing is left on this card", code="gift_card_empty")
    if asked_minor is None:
        return balance_minor
    if asked_minor <= 0:
        raise InputError("an amount above zero", code="gift_card_amount", pointer="/amount")
    if asked_minor > balance_minor:
        raise ConflictError(
            "there is less on the card",
            code="gift_card_balance",
            hint="Ask for the balance; take that, and the rest by another payment.",
        )
    if card.whole_only and asked_minor < balance_minor:
        raise ConflictError(
            "one purchase takes all that is on this card",
            code="gift_card_whole_only",
            hint="Tell the customer, and redeem without an amount.",
        )
    return asked_minor
