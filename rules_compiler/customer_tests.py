"""Conditions on who the customer is: from the document to what the engine judges."""

from __future__ import annotations

from typing import Final

from rules_compiler.names import Names
from rules_compiler.reading import MONEY_MAX, from_to, name, span, truth, values, whole, words
from shared.engine.program import Attribute, Birthday, Condition, CustomerIs, Span, SpentWindow
from shared.wire.reading import Place

_DAYS_MAX: Final = 10**6
_KEYS: Final = frozenset(
    {
        "identified",
        "id",
        "segment",
        "level",
        "card_category",
        "gender",
        "organisation",
        "not_segment",
        "attributes",
        "age",
        "registered_days",
        "last_purchase_days",
        "purchase_number",
        "spent",
        "control",
    }
)


def read_customer(place: Place, _names: Names) -> Condition | None:
    """The leaf ``customer``."""
    if not place.object(_KEYS):
        return None
    number = place.get("purchase_number")
    exact = every = None
    if number is not None and isinstance(number.value, dict):
        number.object(frozenset({"every"}), required=("every",))
        every = whole(number.get("every"), low=1)
    else:
        exact = whole(number)
    identified, control = place.get("identified"), place.get("control")
    attributes = place.get("attributes")
    tests = (
        []
        if attributes is None
        else [Attribute(key=key, values=values(each)) for key, each in attributes.entries()]
    )
    return CustomerIs(
        identified=None if identified is None else identified.truth(),
        ids=words(place, "id"),
        segments=words(place, "segment"),
        not_segments=words(place, "not_segment"),
        levels=words(place, "level"),
        card_categories=words(place, "card_category"),
        genders=words(place, "gender"),
        organisations=words(place, "organisation"),
        attributes=sorted(tests, key=lambda test: test.key),
        age_years=_days(place, "age"),
        registered_days=_days(place, "registered_days"),
        last_purchase_days=_days(place, "last_purchase_days"),
        purchase_number=exact,
        purchase_every=every,
        spent=_spent(place.get("spent")),
        control=None if control is None else control.truth(),
    )


def read_birthday(place: Place, _names: Names) -> Condition | None:
    """The leaf ``birthday``."""
    if not place.object(frozenset({"before", "after", "of"})):
        return None
    of = place.get("of")
    return Birthday(
        before_days=whole(place.get("before"), high=_DAYS_MAX) or 0,
        after_days=whole(place.get("after"), high=_DAYS_MAX) or 0,
        of="self" if of is None else of.choice("self", "child") or "self",
    )


def _days(place: Place, key: str) -> Span | None:
    found = place.get(key)
    return None if found is None else span(found, 0, _DAYS_MAX)


def _spent(place: Place | None) -> SpentWindow | None:
    keys = frozenset({"window", "from", "to", "with_current"})
    if place is None or not place.object(keys, required=("window",)):
        return None
    return SpentWindow(
        window=name(place, "window"),
        span=from_to(place, 2, MONEY_MAX),
        with_current=truth(place, "with_current"),
    )
