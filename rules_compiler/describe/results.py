"""Results in words: which file speaks of which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from rules_compiler.describe import accruals, discounts, information, pieces, receipt
from rules_compiler.describe.voice import Voice


def result(voice: Voice, described: Mapping[str, Any]) -> str:
    """What one result does."""
    kind = str(described.get("do", ""))
    tell = _RESULTS.get(kind)
    return voice.quoted(kind) if tell is None else tell(voice, described)


_RESULTS: Final[dict[str, Callable[[Voice, Mapping[str, Any]], str]]] = {
    "discount_goods": discounts.discount_goods,
    "set_price": discounts.set_price,
    "manual": discounts.manual,
    "external": discounts.external,
    "nth": pieces.nth,
    "set": pieces.goods_set,
    "gift_goods": pieces.gift_goods,
    "chips_price": pieces.chips_price,
    "counter_nth": pieces.counter_nth,
    "discount_receipt": receipt.discount_receipt,
    "spend_points": receipt.spend_points,
    "round_total": receipt.round_total,
    "accrue_points": accruals.accrue_points,
    "accrue_chips": accruals.accrue_chips,
    "count": accruals.count,
    "issue_coupon": information.issue_coupon,
    "message": information.message,
    "gift_info": information.gift_info,
    "service": information.service,
}
