"""Promotions that another always forestalls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import msgspec

from rules_compiler.diagnostics import Diagnostic
from rules_compiler.document import Document
from rules_compiler.filter_logic import covers
from rules_compiler.promotions import Written
from rules_compiler.walk import enabled
from rules_compiler.warn import warning
from shared.engine.program import (
    Active,
    AllOf,
    AnyLine,
    Applied,
    Condition,
    CounterIs,
    CustomerIs,
    DiscountGoods,
    DiscountReceipt,
    Distinct,
    Filter,
    GoodsSet,
    Message,
    Not,
    Promotion,
    Quantity,
    Resolve,
    Result,
    Service,
    Total,
)
from shared.engine.ready import GOODS, RECEIPT, stage_of

_NEIGHBOURS_MAX: Final = 50
"""Rivals that one promotion is compared with: in a great programme all pairs would take hours."""


def check_shadowing(document: Document) -> Iterator[Diagnostic]:
    """Warn of promotions that an earlier or better one always forestalls, and of twins."""
    modes = {group.id: group.resolve for group in document.program.groups}
    ranks = {group.id: rank for rank, group in enumerate(document.program.groups)}
    ordered = sorted(
        enabled(document),
        key=lambda each: (ranks[each.group], each.priority, each.promotion.id),
    )
    yield from _twins(ordered)
    rivals = _Rivals(modes)
    for written in ordered:
        for rival in rivals.of(written):
            if _shadows(rival, written, modes):
                yield warning(
                    written.place,
                    "shadowed",
                    f"{rival.promotion.id!r} always acts in its place",
                    "Change their order or their conditions, or take one of them out.",
                )
                break
        rivals.add(written)
    # Of two percents the greater wins also if it stands later, but where floors make them equal.
    rivals = _Rivals(modes)
    for written in reversed(ordered):
        if modes[written.group] is Resolve.BEST:
            for rival in rivals.of(written):
                if _outbids(rival.promotion, written.promotion, strictly=True):
                    yield warning(
                        written.place,
                        "outbid",
                        f"{rival.promotion.id!r} gives more, for the same and other goods",
                        "Take it out, or make it give more.",
                    )
                    break
            rivals.add(written)


def _twins(ordered: list[Written]) -> Iterator[Diagnostic]:
    """Promotions that are alike but for their names."""
    seen: dict[tuple[str, bytes], str] = {}
    encoder = msgspec.msgpack.Encoder(order="deterministic")
    for written in ordered:
        nameless = msgspec.structs.replace(written.promotion, id="", name="", hint="")
        key = (written.group, encoder.encode(nameless))
        if key in seen:
            yield warning(
                written.place,
                "duplicate_promotion",
                f"it does the same as {seen[key]!r}",
                "Take one of them out, unless both are meant to act.",
            )
        else:
            seen[key] = written.promotion.id


class _Rivals:
    """Promotions seen so far that could forestall another, found by group, family and goods."""

    def __init__(self, modes: dict[str, Resolve]) -> None:
        self._modes = modes
        self._by_key: defaultdict[tuple[str, str, str], list[Written]] = defaultdict(list)

    def add(self, written: Written) -> None:
        """Remember a promotion, if it surely acts wherever it can."""
        promotion = written.promotion
        if not _surely_acts(promotion):
            return
        for scope in self._scopes(written):
            for key in _anchors(_filter_of(promotion.results[0])):
                found = self._by_key[(*scope, key)]
                if len(found) < _NEIGHBOURS_MAX:
                    found.append(written)

    def of(self, written: Written) -> Iterator[Written]:
        """The rivals whose goods may include all that this promotion is about."""
        for scope in self._scopes(written):
            for key in _first_anchors(_filter_of(written.promotion.results[0])):
                yield from self._by_key.get((*scope, key), ())

    def _scopes(self, written: Written) -> Iterator[tuple[str, str]]:
        """Among whom a promotion has rivals: none, for most."""
        if self._modes[written.group] in (Resolve.FIRST, Resolve.BEST):
            yield "group", written.group
        if written.promotion.only_one_of is not None:
            yield "family", written.promotion.only_one_of


def _filter_of(result: Result) -> Filter:
    found = getattr(result, "filter", None)
    return found if isinstance(found, Filter) else Filter()


def _anchors(wanted: Filter) -> list[str]:
    """Under which keys a filter is found; one with none of them is found by everybody."""
    if wanted.skus is not None:
        return [f"sku {each}" for each in sorted(wanted.skus)]
    if wanted.brands is not None:
        return [f"brand {each}" for each in sorted(wanted.brands)]
    if wanted.categories is not None:
        return [f"category {each}" for each in wanted.categories]
    return [""]


def _first_anchors(wanted: Filter) -> list[str]:
    """Whoever matches all that this filter does stands under one of these keys."""
    keys = [""]
    if wanted.skus:
        keys.append(f"sku {min(wanted.skus)}")
    if wanted.brands:
        keys.append(f"brand {min(wanted.brands)}")
    if wanted.categories:
        path = wanted.categories[0]
        while path:
            keys.append(f"category {path}")
            path = path.rpartition("/")[0]
    return keys


def _surely_acts(promotion: Promotion) -> bool:
    """Whether the promotion does something wherever its condition and filter let it."""
    if promotion.on_claim or promotion.cost is not None or promotion.limits is not None:
        return False
    if promotion.stack or len(promotion.results) != 1:
        return False
    match promotion.results[0]:
        case DiscountGoods(percent_ppm=rate, skip_count=0, quantity_max=None, cap_minor=None):
            return bool(rate)
        case DiscountReceipt(percent_ppm=rate, cap_minor=None):
            return bool(rate)
        case Message():
            return True
        case Service(donate_to_minor=None):
            return True
        case _:
            return False


def _shadows(rival: Written, written: Written, modes: dict[str, Resolve]) -> bool:
    """Whether the rival, earlier in order, always acts and thereby keeps the other from acting."""
    one, other = rival.promotion, written.promotion
    is_same_group = rival.group == written.group
    mode = modes[written.group]
    freezes = is_same_group and mode in (Resolve.FIRST, Resolve.BEST) and not other.stack
    if not _is_wider(one, other) or not (freezes or _is_steady(one)):
        return False
    if one.only_one_of is not None and one.only_one_of == other.only_one_of:
        # Who competes in a group of its own may lose there, and so do nothing.
        return is_same_group or modes[rival.group] is Resolve.ALL
    if (
        one.only_one_of is not None
        or not freezes
        or stage_of(one.results[0]) not in (GOODS, RECEIPT)
    ):
        return False
    return mode is Resolve.FIRST or _outbids(one, other, strictly=False)


def _outbids(one: Promotion, other: Promotion, *, strictly: bool) -> bool:
    """Whether a percent is at least that of the other, for the same goods and more."""
    if one.only_one_of is not None or len(other.results) != 1 or other.stack:
        return False
    if not _is_wider(one, other):
        return False
    better, worse = one.results[0], other.results[0]
    if type(better) is not type(worse) or not isinstance(better, DiscountGoods | DiscountReceipt):
        return False
    rate = worse.percent_ppm if isinstance(worse, DiscountGoods | DiscountReceipt) else None
    if rate is None or better.percent_ppm is None:
        return False
    return better.percent_ppm > rate or (better.percent_ppm == rate and not strictly)


def _is_wider(one: Promotion, other: Promotion) -> bool:
    """Whether the one is active and meant whenever the other is, for all the other's goods."""
    stage, wide = stage_of(one.results[0]), _filter_of(one.results[0])
    return (
        covers(wide, _filter_of(other.results[0]))
        and one.active in (Active(), other.active)
        and (one.ignore_floor or not other.ignore_floor)
        and (one.ignore_soft or not other.ignore_soft)
        and all(stage_of(each) == stage for each in other.results)
        and all(covers(wide, each) for each in _filters_of(other))
        and _asks_no_more(one, other)
    )


def _asks_no_more(one: Promotion, other: Promotion) -> bool:
    """Whether every condition of the one is a condition of the other."""
    others = _leaves(other.when)
    return all(leaf in others for leaf in _leaves(one.when))


def _filters_of(promotion: Promotion) -> Iterator[Filter]:
    for result in promotion.results:
        if isinstance(result, GoodsSet):
            yield from (slot.filter for slot in result.slots)
        else:
            yield _filter_of(result)


def _leaves(condition: Condition | None) -> list[Condition]:
    """The conditions all of which must hold."""
    if condition is None:
        return []
    if isinstance(condition, AllOf):
        return [leaf for part in condition.parts for leaf in _leaves(part)]
    return [condition]


def _is_steady(promotion: Promotion) -> bool:
    """Whether nothing it asks changes while a receipt is priced."""
    asked = [] if promotion.when is None else list(_within(promotion.when))
    wanted = [_filter_of(promotion.results[0])]
    wanted += [each.filter for each in asked if isinstance(each, Total | Quantity | AnyLine)]
    return all(each.discounted is None and each.exclude is None for each in wanted) and not any(
        isinstance(each, Applied | Distinct | CounterIs)
        or (isinstance(each, Total) and not each.at_list)
        or (isinstance(each, CustomerIs) and each.spent is not None)
        for each in asked
    )


def _within(condition: Condition) -> Iterator[Condition]:
    yield condition
    for part in getattr(condition, "parts", ()):
        yield from _within(part)
    if isinstance(condition, Not):
        yield from _within(condition.part)
