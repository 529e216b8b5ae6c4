"""What a programme declares, so that promotions can only speak of what is there."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from shared.engine.program import Account, Filter
from shared.wire.reading import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Declared accounts, chips, groups of stores and lists of products."""

    accounts: dict[str, Account]
    chips: frozenset[str]
    store_groups: dict[str, frozenset[str]]
    product_lists: dict[str, Filter]

    def account(self, place: Place, key: str = "account") -> str:
        """The name of a declared account under this key."""
        return _declared(place, key, self.accounts, "accounts")

    def chip(self, place: Place, key: str) -> str:
        """The name of declared chips under this key."""
        return _declared(place, key, self.chips, "chips")


def _declared(place: Place, key: str, among: Container[str], where: str) -> str:
    found = place.get(key)
    name = None if found is None else found.text()
    if found is not None and name is not None and name not in among:
        not_declared(found, where)
    return name or ""


def not_declared(place: Place, where: str) -> None:
    """Note that the name at this place is not declared."""
    place.fail(
        "not_declared",
        f"a name that the programme declares under {where}",
        hint=f"Add it to {where}, or correct the name.",
    )
