"""What can be said of filters without any receipt."""

from __future__ import annotations

from typing import Final

from shared.engine.program import EVERYTHING, Filter, Span

KEPT_AWAY: Final = frozenset({"tobacco", "gift_card", "no_discount"})
"""Flags of lines that no discount and no points touch."""
EARN_NOTHING: Final = frozenset({"tobacco", "gift_card"})


def covers(wide: Filter, narrow: Filter) -> bool:
    """Whether every line that matches ``narrow`` surely matches ``wide``; False if unsure."""
    if wide in (EVERYTHING, narrow):
        return True
    return (
        _within(wide.skus, skus_of(narrow))
        and _within(wide.brands, narrow.brands)
        and _within(wide.flags, narrow.flags)
        and _below_all(wide.categories, narrow.categories)
        and _contains(wide.price_minor, narrow.price_minor)
        and wide.favourite in (None, narrow.favourite)
        and wide.discounted in (None, narrow.discounted)
        and all(test in narrow.attributes for test in wide.attributes)
        and _lists_cover(wide, narrow)
        and (
            wide.exclude is None
            or (narrow.exclude is not None and covers(narrow.exclude, wide.exclude))
        )
    )


def skus_of(wanted: Filter) -> frozenset[str] | None:
    """The only SKUs that can match, where they are known."""
    if wanted.skus is not None or wanted.lists is None:
        return wanted.skus
    found: set[str] = set()
    for each in wanted.lists:
        if each.skus is None:
            return None
        found |= each.skus
    return frozenset(found)


def price_high(wanted: Filter) -> int | None:
    """The highest shelf price that matches, where there is such a bound."""
    bounds = [] if wanted.price_minor is None else [wanted.price_minor.high]
    if wanted.lists:
        highs = [price_high(each) for each in wanted.lists]
        bounds.append(None if None in highs else max(high or 0 for high in highs))
    return min((bound for bound in bounds if bound is not None), default=None)


def why_nothing_matches(wanted: Filter) -> str | None:
    """Why no line can match; None where some line might."""
    for word, values in (
        ("sku", wanted.skus),
        ("list", wanted.lists),
        ("category", wanted.categories),
        ("brand", wanted.brands),
        ("flags", wanted.flags),
    ):
        if values is not None and not values:
            return f"its {word} is an empty list"
    if any(test.values is not None and not test.values for test in wanted.attributes):
        return "an attribute has an empty list"
    if wanted.lists and all(why_nothing_matches(each) is not None for each in wanted.lists):
        return "nothing matches its product lists"
    listed = None if wanted.lists is None else skus_of(Filter(lists=wanted.lists))
    if wanted.skus is not None and listed is not None and wanted.skus.isdisjoint(listed):
        return "none of its SKUs is in its product lists"
    if wanted.exclude is not None and covers(
        wanted.exclude, _without_exclude(wanted, wanted.exclude)
    ):
        return "it excludes all that it names"
    return None


def only_flagged(wanted: Filter, flags: frozenset[str]) -> bool:
    """Whether every line that matches has one of these flags."""
    return wanted.flags is not None and bool(wanted.flags) and wanted.flags <= flags


def _without_exclude(wanted: Filter, exclude: Filter) -> Filter:
    """The filter as its own exclusion sees it."""
    return Filter(
        skus=wanted.skus,
        lists=wanted.lists,
        categories=wanted.categories,
        brands=wanted.brands,
        attributes=wanted.attributes,
        flags=wanted.flags,
        price_minor=wanted.price_minor,
        favourite=wanted.favourite,
        discounted=wanted.discounted,
        list_names=wanted.list_names if exclude.lists == wanted.lists else [],
    )


def _within(wide: frozenset[str] | None, narrow: frozenset[str] | None) -> bool:
    return wide is None or (narrow is not None and narrow <= wide)


def _below_all(wide: list[str] | None, narrow: list[str] | None) -> bool:
    return wide is None or (
        narrow is not None
        and all(any(each == top or each.startswith(top + "/") for top in wide) for each in narrow)
    )


def _contains(wide: Span | None, narrow: Span | None) -> bool:
    if wide is None:
        return True
    if narrow is None:
        return wide == Span()
    return (wide.low is None or (narrow.low is not None and narrow.low >= wide.low)) and (
        wide.high is None or (narrow.high is not None and narrow.high <= wide.high)
    )


def _lists_cover(wide: Filter, narrow: Filter) -> bool:
    if wide.lists is None:
        return True
    if narrow.lists is not None:
        return all(any(covers(top, each) for top in wide.lists) for each in narrow.lists)
    return any(covers(top, narrow) for top in wide.lists)
