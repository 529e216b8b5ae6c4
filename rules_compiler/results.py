"""Results: from the document to what the engine does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rules_compiler import accrue_results, goods_results, inform_results, receipt_results
from rules_compiler.names import Names
from shared.engine.program import Result
from shared.wire.reading import Place


def read_result(place: Place, names: Names) -> Result | None:
    """The result at this place; None where it cannot be read (a finding says why)."""
    if not isinstance(place.value, dict):
        place.fail("type", "an object")
        return None
    do = place.get("do")
    if do is None:
        place.fail("missing_key", "the key 'do'")
        return None
    kind = do.text()
    if kind is None:
        return None
    reader = _RESULTS.get(kind)
    if reader is None:
        do.fail("unknown_result", "one of " + ", ".join(sorted(_RESULTS)))
        return None
    return reader(place, names)


_RESULTS: Final[dict[str, Callable[[Place, Names], Result | None]]] = {
    "discount_goods": goods_results.discount_goods,
    "set_price": goods_results.set_price,
    "nth": goods_results.nth,
    "set": goods_results.goods_set,
    "gift_goods": goods_results.gift_goods,
    "chips_price": goods_results.chips_price,
    "counter_nth": goods_results.counter_nth,
    "manual": goods_results.manual,
    "external": goods_results.external,
    "discount_receipt": receipt_results.discount_receipt,
    "spend_points": receipt_results.spend_points,
    "round_total": receipt_results.round_total,
    "accrue_points": accrue_results.accrue_points,
    "accrue_chips": accrue_results.accrue_chips,
    "count": accrue_results.count,
    "issue_coupon": inform_results.issue_coupon,
    "message": inform_results.message,
    "gift_info": inform_results.gift_info,
    "service": inform_results.service,
}
