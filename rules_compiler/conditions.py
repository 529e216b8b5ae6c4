"""Conditions: from the document to what the engine judges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rules_compiler.filters import read_filter
from rules_compiler.names import Names
from rules_compiler.reading import POINTS_MAX, from_to, span, truth, unsupported, whole
from shared import limits
from shared.engine.program import (
    AllOf,
    AnyLine,
    AnyOf,
    Applied,
    Attribute,
    Birthday,
    ChannelIs,
    ChipsAre,
    Condition,
    CouponShown,
    CustomerIs,
    Distinct,
    Not,
    OnlineIs,
    PaymentIs,
    PointsAre,
    Quantity,
    RegisterIs,
    Span,
    SpentWindow,
    StoreIs,
    Total,
)
from shared.wire.reading import Place

_DEPTH_MAX: Final = 32
_CHANNELS: Final = ("pos", "sco", "selfscan", "online")
_MONEY_MAX: Final = limits.PRICE_MINOR_MAX * 100
_CUSTOMER_KEYS: Final = frozenset(
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


def read_condition(place: Place, names: Names, *, depth: int = 0) -> Condition | None:
    """The condition at this place; None where it cannot be read (a finding says why)."""
    if depth > _DEPTH_MAX:
        place.fail("too_deep", f"at most {_DEPTH_MAX} conditions in one another")
        return None
    if not isinstance(place.value, dict) or len(place.value) != 1:
        place.fail("condition", "an object with exactly one key")
        return None
    ((key, value),) = place.value.items()
    inner = place.child(key, value)
    if key in ("all", "any"):
        parts = [
            part
            for each in inner.items("a list of conditions")
            if (part := read_condition(each, names, depth=depth + 1)) is not None
        ]
        return AllOf(parts=parts) if key == "all" else AnyOf(parts=parts)
    if key == "not":
        part = read_condition(inner, names, depth=depth + 1)
        return None if part is None else Not(part=part)
    reader = _LEAVES.get(key)
    if reader is None:
        inner.fail("unknown_condition", "all, any, not, " + ", ".join(sorted(_LEAVES)))
        return None
    return reader(inner, names)


def _store(place: Place, names: Names) -> Condition:
    stores: set[str] = set()
    for each in place.items("a list of stores and store groups"):
        if isinstance(each.value, dict):
            each.object(frozenset({"group"}), required=("group",))
            group = each.get("group")
            name = None if group is None else group.text()
            if group is not None and name is not None and name not in names.store_groups:
                group.fail("not_declared", "a name from store_groups")
            stores |= names.store_groups.get(name or "", frozenset())
        elif (store := each.text()) is not None:
            stores.add(store)
    return StoreIs(values=frozenset(stores))


def _channel(place: Place, _names: Names) -> Condition:
    found = {each.choice(*_CHANNELS) for each in place.items("a list of channels")}
    return ChannelIs(values=frozenset(each for each in found if each is not None))


def _register(place: Place, _names: Names) -> Condition:
    return RegisterIs(values=frozenset(place.texts()))


def _online(place: Place, _names: Names) -> Condition:
    return OnlineIs(value=bool(place.truth()))


def _customer(place: Place, _names: Names) -> Condition | None:
    if not place.object(_CUSTOMER_KEYS):
        return None
    number = place.get("purchase_number")
    every = None
    exact = None
    if number is not None and isinstance(number.value, dict):
        number.object(frozenset({"every"}), required=("every",))
        every = whole(number.get("every"), low=1)
    else:
        exact = whole(number, low=1)
    identified, control = place.get("identified"), place.get("control")
    attributes = place.get("attributes")
    return CustomerIs(
        identified=None if identified is None else identified.truth(),
        ids=_words(place, "id"),
        segments=_words(place, "segment"),
        not_segments=_words(place, "not_segment"),
        levels=_words(place, "level"),
        card_categories=_words(place, "card_category"),
        genders=_words(place, "gender"),
        organisations=_words(place, "organisation"),
        attributes=[]
        if attributes is None
        else [
            Attribute(key=key, values=frozenset(str(v.value) for v in each.items("a list")))
            for key, each in attributes.entries()
        ],
        age_years=_days(place, "age"),
        registered_days=_days(place, "registered_days"),
        last_purchase_days=_days(place, "last_purchase_days"),
        purchase_number=exact,
        purchase_every=every,
        spent=_spent(place.get("spent")),
        control=None if control is None else control.truth(),
    )


def _words(place: Place, key: str) -> frozenset[str] | None:
    found = place.get(key)
    return None if found is None else frozenset(found.texts())


def _days(place: Place, key: str) -> Span | None:
    found = place.get(key)
    return None if found is None else span(found, 0, 10**6)


def _spent(place: Place | None) -> SpentWindow | None:
    keys = frozenset({"window", "from", "to", "with_current"})
    if place is None or not place.object(keys, required=("window",)):
        return None
    window = place.get("window")
    return SpentWindow(
        window="" if window is None else window.text() or "",
        span=from_to(place, 2, _MONEY_MAX),
        with_current=truth(place, "with_current"),
    )


def _birthday(place: Place, _names: Names) -> Condition | None:
    if not place.object(frozenset({"before", "after", "of"})):
        return None
    of = place.get("of")
    return Birthday(
        before_days=whole(place.get("before")) or 0,
        after_days=whole(place.get("after")) or 0,
        of="self" if of is None else of.choice("self", "child") or "self",
    )


def _total(place: Place, names: Names) -> Condition | None:
    if not place.object(frozenset({"filter", "from", "to", "base"})):
        return None
    base = place.get("base")
    return Total(
        filter=read_filter(place.get("filter"), names.product_lists),
        span=from_to(place, 2, _MONEY_MAX),
        at_list=base is not None and base.choice("running", "list") == "list",
    )


def _quantity(place: Place, names: Names) -> Condition | None:
    if not place.object(frozenset({"filter", "from", "to", "unit"})):
        return None
    unit = place.get("unit")
    return Quantity(
        filter=read_filter(place.get("filter"), names.product_lists),
        span=from_to(place, 3, limits.QUANTITY_MILLI_MAX * 1000),
        in_base_units=unit is not None and unit.choice("base") == "base",
    )


def _distinct(place: Place, names: Names) -> Condition | None:
    if not place.object(frozenset({"filter", "from", "to"})):
        return None
    return Distinct(
        filter=read_filter(place.get("filter"), names.product_lists), span=from_to(place, 0, 10**9)
    )


def _any_line(place: Place, names: Names) -> Condition | None:
    if not place.object(frozenset({"filter", "qty"})):
        return None
    quantity = place.get("qty")
    return AnyLine(
        filter=read_filter(place.get("filter"), names.product_lists),
        span=Span() if quantity is None else span(quantity, 3, limits.QUANTITY_MILLI_MAX),
    )


def _coupon(place: Place, _names: Names) -> Condition:
    words = place.texts()
    if isinstance(place.value, list) and not place.value:
        place.fail("empty", "at least one series or code")
    return CouponShown(series=frozenset(words), codes=frozenset(word.upper() for word in words))


def _payment(place: Place, _names: Names) -> Condition | None:
    if not place.object(frozenset({"type", "bin", "from", "to"})):
        return None
    bins = _words(place, "bin")
    return PaymentIs(
        types=_words(place, "type"),
        bins=None if bins is None else sorted(bins),
        span=from_to(place, 2, _MONEY_MAX),
    )


def _points(place: Place, names: Names) -> Condition | None:
    if not place.object(frozenset({"account", "from", "to"}), required=("account",)):
        return None
    account = place.get("account")
    name = None if account is None else account.text()
    if account is not None and name is not None and name not in names.accounts:
        account.fail("not_declared", "a name from accounts")
    return PointsAre(account=name or "", span=from_to(place, 2, POINTS_MAX))


def _chips(place: Place, names: Names) -> Condition | None:
    if not place.object(frozenset({"account", "from", "to"}), required=("account",)):
        return None
    account = place.get("account")
    name = None if account is None else account.text()
    if account is not None and name is not None and name not in names.chips:
        account.fail("not_declared", "a name from chips")
    return ChipsAre(account=name or "", span=from_to(place, 0, 10**9))


def _applied(place: Place, names: Names, *, wanted: bool = True) -> Condition:
    for each in place.items("a list of promotions"):
        if each.text() is not None and each.value not in names.promotion_ids:
            each.fail("not_declared", "the id of a promotion of this programme")
    return Applied(promotions=frozenset(place.texts()), wanted=wanted)


def _not_applied(place: Place, names: Names) -> Condition:
    return _applied(place, names, wanted=False)


def _counter(place: Place, _names: Names) -> Condition | None:
    unsupported(place, "counter")
    return None


_LEAVES: Final[dict[str, Callable[[Place, Names], Condition | None]]] = {
    "store": _store,
    "channel": _channel,
    "register": _register,
    "online": _online,
    "customer": _customer,
    "birthday": _birthday,
    "total": _total,
    "quantity": _quantity,
    "distinct": _distinct,
    "any_line": _any_line,
    "coupon": _coupon,
    "payment": _payment,
    "points": _points,
    "chips": _chips,
    "applied": _applied,
    "not_applied": _not_applied,
    "counter": _counter,
}
