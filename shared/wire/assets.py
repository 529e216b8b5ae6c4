"""What can run short, and whose it is: the names under which the ledger and the leases know it.

An asset's name says its kind and which one: ``points:main``. Amounts are whole numbers of the
kind's smallest unit.
"""

from __future__ import annotations

import enum


class AssetKind(enum.StrEnum):
    """Kinds of assets, with the unit of their amounts and their owner."""

    POINTS = "points"
    """Hundredths of a point of one points account; the owner is a customer id."""
    COUPON = "coupon"
    """Uses of a personal coupon code; the owner is a customer id."""
    LIMIT = "limit"
    """Applications of a promotion that one customer has left; the owner is a customer id."""
    BUDGET = "budget"
    """Minor units or applications that a promotion has left in all; the owner is its id."""
    GIFT = "gift"
    """Minor units on a gift card; the owner is the card's tag in hexadecimal."""


def asset_of(kind: AssetKind, name: str) -> str:
    """``points:main``."""
    return f"{kind.value}:{name}"


def points_asset(account: str) -> str:
    """The asset of a points account."""
    return asset_of(AssetKind.POINTS, account)


def asset_parts(asset: str) -> tuple[str, str]:
    """Kind and name; the kind of a newer release is given as it stands."""
    kind, _, name = asset.partition(":")
    return kind, name
