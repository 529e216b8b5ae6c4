"""Which personal coupons a receipt has used up: from its promotions' conditions. Pure.

A promotion that acted says by its condition which coupons it wanted. Only that part of a condition
counts that speaks of coupons: of ``any`` of a coupon and something else the coupon, shown, is taken
to have done it. So a coupon never works without being used up; who need not show one should not.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from shared.engine.program import AllOf, AnyOf, Condition, CouponShown, Not, Program
from shared.wire.receipt import Coupon

VALID = "valid"


def conditions_of(program: Program, promotions: Iterable[str]) -> dict[str, Condition]:
    """The conditions of these promotions that speak of coupons, by promotion, in this order."""
    wanted = set(promotions)
    found = {
        each.id: each.when
        for group in program.groups
        for each in group.promotions
        if each.id in wanted and each.when is not None and _speaks_of_coupons(each.when)
    }
    return {name: found[name] for name in promotions if name in found}


def coupons_used(
    coupons: Sequence[Coupon], personal: Iterable[str], conditions: Mapping[str, Condition]
) -> list[str]:
    """The personal codes (upper case) that these conditions could not have done without.

    ``personal``: those codes of the receipt. ``conditions``: of the promotions that acted. A public
    code that does the same saves the personal one, and one personal coupon serves as many
    promotions as want it. Of several that do the same the first shown is used.
    """
    shown = [coupon for coupon in coupons if coupon.state == VALID]
    mine = set(personal)
    order = list(dict.fromkeys(c.code.upper() for c in shown if c.code.upper() in mine))
    used: list[str] = []
    for condition in conditions.values():
        if not _holds(condition, shown):
            continue  # Something else than coupons made it act.
        kept = {code for code in order if code not in used}
        while code := _spare(condition, shown, order, kept, mine - set(used)):
            kept.remove(code)
        used += [code for code in order if code in kept]
    return used


def _spare(
    condition: Condition,
    shown: Sequence[Coupon],
    order: Sequence[str],
    kept: set[str],
    mine: set[str],
) -> str | None:
    """The last of ``kept`` that the condition can do without. Asked again after each.

    A condition that says ``not`` may let go of a coupon only when another one has gone.
    """
    for code in reversed(order):
        if code in kept and _holds(condition, _without(shown, mine - (kept - {code}))):
            return code
    return None


def _without(shown: Iterable[Coupon], codes: Container[str]) -> list[Coupon]:
    return [coupon for coupon in shown if coupon.code.upper() not in codes]


def _speaks_of_coupons(condition: Condition) -> bool:
    if isinstance(condition, (AllOf, AnyOf)):
        return any(_speaks_of_coupons(part) for part in condition.parts)
    if isinstance(condition, Not):
        return _speaks_of_coupons(condition.part)
    return isinstance(condition, CouponShown)


def _holds(condition: Condition, coupons: Sequence[Coupon]) -> bool:
    """Whether what the condition says of coupons holds with these."""
    if isinstance(condition, Not):
        return not _holds(condition.part, coupons)
    if isinstance(condition, (AllOf, AnyOf)):
        parts = [part for part in condition.parts if _speaks_of_coupons(part)]
        together = all if isinstance(condition, AllOf) else any
        return together(_holds(part, coupons) for part in parts)
    assert isinstance(condition, CouponShown), "only what speaks of coupons is asked"
    return any(
        coupon.series in condition.series or coupon.code.upper() in condition.codes
        for coupon in coupons
    )
