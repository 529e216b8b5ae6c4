"""How often somebody may look phones up: a bound a minute, and waits for those who guess. Pure.

Every till and every cashier is counted, and the whole shop. Who asks too often, or for too many
phones that nobody has, waits a minute; the next time twice as long, up to an hour. A calm day
makes it good again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
ASKED_MAX: Final = 30
"""In a minute, of one till or cashier: nobody serves thirty customers in a minute."""
SHOP_ASKED_MAX: Final = 300
"""In an hour, of the whole shop: its customers, and not a list of phones."""
MISSED_MAX: Final = 12
"""Within ten minutes: customers misremember, but not so many."""
MISSED_SPAN_MS: Final = 10 * MINUTE_MS
BLOCK_MS: Final = MINUTE_MS
BLOCK_MS_MAX: Final = HOUR_MS
BLOCKS_MAX: Final = 6
"""2^6 minutes are more than the longest wait."""
SHOP: Final = "shop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What one subject has asked. Instants in trusted time; ``blocks``: waits since a calm day."""

    asked_since_ms: int = 0
    asked: int = 0
    missed_since_ms: int = 0
    missed: int = 0
    blocks: int = 0
    blocked_until_ms: int = 0


def wait_ms(count: Count, now_ms: int) -> int:
    """How long this subject has to wait; 0: it may ask."""
    return max(count.blocked_until_ms - now_ms, 0)


def after_asking(subject: str, count: Count, now_ms: int) -> Count:
    """One question more."""
    span_ms, bound = (HOUR_MS, SHOP_ASKED_MAX) if subject == SHOP else (MINUTE_MS, ASKED_MAX)
    if now_ms - count.asked_since_ms >= span_ms:
        count = replace(count, asked_since_ms=now_ms, asked=0)
    if count.blocks and now_ms - count.blocked_until_ms >= DAY_MS:
        count = replace(count, blocks=0)
    count = replace(count, asked=count.asked + 1)
    return _blocked(replace(count, asked=0), now_ms) if count.asked >= bound else count


def after_missing(subject: str, count: Count, now_ms: int) -> Count:
    """The phone was nobody's. The shop as a whole is not blocked for that: others are innocent."""
    if subject == SHOP:
        return count
    if now_ms - count.missed_since_ms >= MISSED_SPAN_MS:
        count = replace(count, missed_since_ms=now_ms, missed=0)
    count = replace(count, missed=count.missed + 1)
    return _blocked(replace(count, missed=0), now_ms) if count.missed >= MISSED_MAX else count


def subjects_of(till: str, register: str | None, cashier: str | None) -> list[str]:
    """Who is counted for a question. Tills that share a token are told apart by their register."""
    found = [SHOP, f"till {till}" if register is None else f"till {till} {register}"]
    return found if cashier is None else [*found, f"cashier {cashier}"]


def _blocked(count: Count, now_ms: int) -> Count:
    span_ms = min(BLOCK_MS << count.blocks, BLOCK_MS_MAX)
    return replace(
        count,
        blocks=min(count.blocks + 1, BLOCKS_MAX),
        blocked_until_ms=max(count.blocked_until_ms, now_ms + span_ms),
    )
