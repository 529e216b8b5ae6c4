"""Which programmes the pages can look into."""

from __future__ import annotations

from typing import Protocol

from shared.bundle.trust import VerifiedBundle


class Bundles(Protocol):
    """Which programmes are at hand."""

    @property
    def active(self) -> VerifiedBundle | None:
        """The one that prices."""
        ...

    @property
    def previous(self) -> VerifiedBundle | None:
        """The one before."""
        ...
