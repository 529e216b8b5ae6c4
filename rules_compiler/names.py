"""What a programme declares, so that promotions can only speak of what is there."""

from __future__ import annotations

from dataclasses import dataclass

from shared.engine.program import Account, Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Declared accounts, chips, groups of stores, lists of products and groups of promotions."""

    accounts: dict[str, Account]
    chips: frozenset[str]
    store_groups: dict[str, frozenset[str]]
    product_lists: dict[str, Filter]
    groups: list[str]
    promotion_ids: frozenset[str]
