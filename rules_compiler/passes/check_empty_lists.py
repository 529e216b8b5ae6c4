"""Lists that name nothing where something must be named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rules_compiler.diagnostics import Diagnostic
from rules_compiler.document import Document
from rules_compiler.promotions import Written
from rules_compiler.walk import (
    below,
    conditions,
    enabled,
    filter_of_condition,
    filters_of_result,
    leaf_place,
    results,
    root,
)
from rules_compiler.warn import warning
from shared.wire.reading import Place

_LEAVES: Final = frozenset({"store", "channel", "register", "coupon", "applied"})
_TESTS: Final = ("id", "segment", "level", "card_category", "gender", "organisation")
_FILTER_KEYS: Final = ("sku", "list", "category", "brand", "flags")
_RESULT_KEYS: Final = ("permission", "by_category", "by_level")


def check_empty_lists(document: Document) -> Iterator[Diagnostic]:
    """Warn of each: what asks for one of nothing never holds."""
    for declared in ("store_groups", "product_lists"):
        place = below(document.place, declared)
        for name in sorted(place.value) if place.step == declared else ():
            inner = below(place, name)
            yield from _empty(inner)
            yield from _of_filter(inner)
    for written in enabled(document):
        yield from _of_promotion(written)


def _of_promotion(written: Written) -> Iterator[Diagnostic]:
    for node in conditions(root(written)):
        tag = str(node[0].__struct_config__.tag)
        place = leaf_place(node)
        if tag in _LEAVES or (tag == "any" and place.step == "any"):
            yield from _empty(place)
        elif tag == "customer":
            yield from _of_keys(place, *_TESTS)
            yield from _values(below(place, "attributes"), "attributes")
        elif tag == "payment":
            yield from _of_keys(place, "type", "bin")
        found = filter_of_condition(node)
        if found is not None:
            yield from _of_filter(found[1])
    for result, place in results(written):
        yield from _of_keys(place, *_RESULT_KEYS)
        for _, inner in filters_of_result(result, place):
            yield from _of_filter(inner)


def _of_filter(place: Place) -> Iterator[Diagnostic]:
    if isinstance(place.value, dict):
        yield from _of_keys(place, *_FILTER_KEYS)
        yield from _values(below(place, "attrs"), "attrs")


def _of_keys(place: Place, *keys: str) -> Iterator[Diagnostic]:
    for key in keys:
        inner = below(place, key)
        if inner.step == key:
            yield from _empty(inner)


def _values(place: Place, step: str) -> Iterator[Diagnostic]:
    """Attributes that name no value; a range of numbers may be open at both ends."""
    if place.step == step and isinstance(place.value, dict):
        for key in sorted(place.value):
            if place.value[key] == []:
                yield from _empty(below(place, key))


def _empty(place: Place) -> Iterator[Diagnostic]:
    if place.value in ([], {}):
        yield warning(
            place,
            "empty_list",
            "this names nothing, so that nothing can ever match it",
            "Name something, or leave the key out if everything is meant.",
        )
