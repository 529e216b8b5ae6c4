"""What a till is to the agent: a name, the hash of its token, what it may, how often. Pure."""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

TILLS_MAX: Final = 200
"""Names in one folder, revoked ones too: the largest hypermarkets have a hundred tills."""
NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
TOKEN_PREFIX: Final = "kt_"  # noqa: S105 - how tokens begin, so that a leaked one is recognised
TOKEN_BYTES: Final = 20
CALLS_PER_S_MAX: Final = 50
"""Of one till for long: a cashier scans five goods a second, each with a calculation or two."""
CALLS_AT_ONCE_MAX: Final = 200
"""On top, in one go: a till that comes back reads or repeats many receipts."""
_SECOND_NS: Final = 10**9
_CALL_NS: Final = _SECOND_NS // CALLS_PER_S_MAX


class Right(enum.StrEnum):
    """What a token may be good for."""

    SELL = "sell"
    """Price, freeze, record and cancel receipts."""
    RETURN = "return"
    """Give money back."""
    CUSTOMERS = "customers"
    """Look up who buys."""
    REGISTER = "register"
    """Make new members."""
    GIFT_CARDS = "gift-cards"
    """Sell gift cards, and let them pay."""
    PRICES = "prices"
    """Ask what one article or coupon is worth: all that a price checker needs."""
    REPORT = "report"
    """A day's totals, the agent's state and figures."""


class Till(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One token, known by its hash. ``revoked_at_ms``: since then it is nobody's."""

    name: str
    token_sha256: str
    may: tuple[Right, ...]
    made_at_ms: int
    revoked_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. ``is_common``: with the folder's own token, which tells no tills apart."""

    name: str
    may: frozenset[Right]
    is_common: bool = False


def token_hash(token: str) -> str:
    """What is kept of a token; it has 160 random bits, so a plain hash gives nothing away."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def caller_of(tills: Iterable[Till], token: str) -> Caller | None:
    """Whose token this is; as many comparisons, each of the same time, for any guess."""
    shown = token_hash(token)
    found: Caller | None = None
    for till in tills:
        same = hmac.compare_digest(shown, till.token_sha256)
        if same and till.revoked_at_ms is None:
            found = Caller(name=till.name, may=frozenset(till.may))
    return found


def is_name(text: str) -> bool:
    """Whether a till may be called so: names stand in logs and in lists."""
    return re.fullmatch(NAME_PATTERN, text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How far ahead of its share a till is: ``full_at_ns`` is when it has caught up."""

    full_at_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """Whether a call may come now; ``wait_ns``: after that it may."""

    pace: Pace
    wait_ns: int = 0


def count_call(pace: Pace, now_ns: int) -> Paced:
    """One call more: ``CALLS_AT_ONCE_MAX`` at once, then one each ``1 / CALLS_PER_S_MAX`` s."""
    full_at_ns = max(pace.full_at_ns, now_ns) + _CALL_NS
    wait_ns = full_at_ns - now_ns - CALLS_AT_ONCE_MAX * _CALL_NS
    if wait_ns > 0:
        return Paced(pace=pace, wait_ns=wait_ns)
    return Paced(pace=Pace(full_at_ns=full_at_ns))
