"""How much is lent, for how long, and what is done with a lease whose holder is silent. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from shared.wire.assets import AssetKind, asset_parts

DAY_MS: Final = 86_400_000
LEASE_TERM_MS: Final = 14 * DAY_MS
PPM: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lending:
    """How an asset is lent.

    A lease is filled up to ``share_ppm`` of what its owner could spend anywhere, at most ``cap``
    in the asset's unit, when it has less than ``refill_below_ppm`` of that left. It is prolonged
    to ``term_ms`` from now when less than ``renew_below_ms`` of it is left.
    """

    share_ppm: int = PPM
    cap: int = 10**15
    term_ms: int = LEASE_TERM_MS
    refill_below_ppm: int = PPM
    renew_below_ms: int = LEASE_TERM_MS // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """When the rest of a lease goes back to its owner although its holder says nothing.

    Up to ``write_off_max`` that is done ``wait_ms`` after the lease ran out: the customer comes
    first, and what is spent on it all the same is the company's. Above that a person decides.
    """

    write_off_max: int
    wait_ms: int = 30 * DAY_MS


LENDING: Final[dict[str, Lending]] = {
    AssetKind.POINTS: Lending(cap=1_000_000),
    AssetKind.BUDGET: Lending(share_ppm=100_000, refill_below_ppm=300_000),
}
"""By kind of asset; what is not named here is lent whole."""
SETTLING: Final[dict[str, Settling]] = {
    AssetKind.POINTS: Settling(write_off_max=30_000),
    AssetKind.COUPON: Settling(write_off_max=1),
    AssetKind.LIMIT: Settling(write_off_max=100),
    AssetKind.BUDGET: Settling(write_off_max=0),
    AssetKind.GIFT: Settling(write_off_max=0),
}
"""By kind of asset: what a campaign or a gift card has left is never given twice by a timer."""


class Fate(enum.StrEnum):
    """What becomes of a lease that has run out."""

    WAIT = "wait"
    """Its holder may still be heard of."""
    WRITE_OFF = "write_off"
    ASK = "ask"
    """A person has to decide."""


def lending_of(asset: str) -> Lending:
    """How this asset is lent."""
    return LENDING.get(asset_parts(asset)[0], Lending())


def settling_of(asset: str) -> Settling:
    """How a silent lease of this asset is settled."""
    return SETTLING.get(asset_parts(asset)[0], Settling(write_off_max=0))


def fate_of(asset: str, *, rest: int, spend_until_ms: int, now_ms: int) -> Fate:
    """What to do with a lease whose holder has not closed it; ``rest``: what it has left."""
    settling = settling_of(asset)
    if now_ms < spend_until_ms + settling.wait_ms:
        return Fate.WAIT
    return Fate.WRITE_OFF if rest <= settling.write_off_max else Fate.ASK
