"""Conditions: from the document to what the engine judges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rules_compiler.customer_tests import read_birthday, read_customer
from rules_compiler.filters import filter_of, filter_or_none
from rules_compiler.names import Names, not_declared
from rules_compiler.reading import (
    MONEY_MAX,
    POINTS_MAX,
    SUM_MILLI_MAX,
    from_to,
    name,
    span,
    whole,
    words,
)
from shared import limits
from shared.engine.program import (
    AllOf,
    AnyLine,
    AnyOf,
    Applied,
    ChannelIs,
    ChipsAre,
    Condition,
    CounterIs,
    CouponShown,
    Distinct,
    Not,
    OnlineIs,
    PaymentIs,
    PointsAre,
    Quantity,
    RegisterIs,
    Span,
    StoreIs,
    Total,
)
from shared.wire.reading import Place

_DEPTH_MAX: Final = 64
_CHANNELS: Final = ("pos", "sco", "selfscan", "online")


def read_condition(place: Place, names: Names, *, depth: int = 0) -> Condition | None:
    """The condition at this place; None where it cannot be read (a finding says why)."""
    if depth > _DEPTH_MAX:
        place.fail("too_deep", f"at most {_DEPTH_MAX} conditions in one another")
        return None
    if not isinstance(place.value, dict) or len(place.value) != 1:
        place.fail(
            "condition",
            "an object with exactly one key",
            hint='Join several conditions by {"all": [...]}.',
        )
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
            stores |= _store_group(each, names)
        elif (store := each.text()) is not None:
            stores.add(store)
    return StoreIs(values=frozenset(stores))


def _store_group(place: Place, names: Names) -> frozenset[str]:
    place.object(frozenset({"group"}), required=("group",))
    group = place.get("group")
    found = None if group is None else group.text()
    if group is None or found is None:
        return frozenset()
    if found not in names.store_groups:
        not_declared(group, "store_groups")
    return names.store_groups.get(found, frozenset())


def _channel(place: Place, _names: Names) -> Condition:
    found = {each.choice(*_CHANNELS) for each in place.items("a list of channels")}
    return ChannelIs(values=frozenset(each for each in found if each is not None))


def _register(place: Place, _names: Names) -> Condition:
    return RegisterIs(values=frozenset(place.texts()))


def _online(place: Place, _names: Names) -> Condition:
    return OnlineIs(value=bool(place.truth()))


def _total(place: Place, names: Names) -> Condition | None:
    if not place.object(frozenset({"filter", "from", "to", "base"})):
        return None
    base = place.get("base")
    return Total(
        filter=filter_of(place, names),
        span=from_to(place, 2, MONEY_MAX),
        at_list=base is not None and base.choice("running", "list") == "list",
    )


def _quantity(place: Place, names: Names) -> Condition | None:
    if not place.object(frozenset({"filter", "from", "to", "unit"})):
        return None
    unit = place.get("unit")
    return Quantity(
        filter=filter_of(place, names),
        span=from_to(place, 3, SUM_MILLI_MAX),
        in_base_units=unit is not None and unit.choice("base") == "base",
    )


def _distinct(place: Place, names: Names) -> Condition | None:
    if not place.object(frozenset({"filter", "from", "to"})):
        return None
    return Distinct(filter=filter_of(place, names), span=from_to(place, 0, 10**9))


def _any_line(place: Place, names: Names) -> Condition | None:
    if not place.object(frozenset({"filter", "qty"})):
        return None
    quantity = place.get("qty")
    return AnyLine(
        filter=filter_of(place, names),
        span=Span() if quantity is None else span(quantity, 3, limits.QUANTITY_MILLI_MAX),
    )


def _coupon(place: Place, _names: Names) -> Condition:
    found = place.texts("a list of series or codes")
    return CouponShown(series=frozenset(found), codes=frozenset(word.upper() for word in found))


def _payment(place: Place, _names: Names) -> Condition | None:
    if not place.object(frozenset({"type", "bin", "from", "to"})):
        return None
    bins = words(place, "bin")
    return PaymentIs(
        types=words(place, "type"),
        bins=None if bins is None else sorted(bins),
        span=from_to(place, 2, MONEY_MAX),
    )


def _counter(place: Place, names: Names) -> Condition | None:
    keys = frozenset({"id", "from", "to", "with_current", "every"})
    if not place.object(keys, required=("id",)):
        return None
    bounds = [key for key in ("from", "to", "with_current") if place.get(key) is not None]
    if bounds and place.get("every") is not None:
        place.fail("one_of", f"either 'every' or {', '.join(bounds)}")
    return CounterIs(
        counter=name(place, "id"),
        span=from_to(place, 3, SUM_MILLI_MAX),
        every=whole(place.get("every"), low=1),
        with_current=filter_or_none(place, names, "with_current"),
    )


def _points(place: Place, names: Names) -> Condition | None:
    if not place.object(frozenset({"account", "from", "to"}), required=("account",)):
        return None
    return PointsAre(account=names.account(place), span=from_to(place, 2, POINTS_MAX))


def _chips(place: Place, names: Names) -> Condition | None:
    if not place.object(frozenset({"account", "from", "to"}), required=("account",)):
        return None
    return ChipsAre(account=names.chip(place, "account"), span=from_to(place, 0, 10**9))


def _applied(place: Place, _names: Names) -> Condition:
    return Applied(promotions=frozenset(place.texts("a list of promotions")), wanted=True)


def _not_applied(place: Place, _names: Names) -> Condition:
    return Applied(promotions=frozenset(place.texts("a list of promotions")), wanted=False)


_LEAVES: Final[dict[str, Callable[[Place, Names], Condition | None]]] = {
    "store": _store,
    "channel": _channel,
    "register": _register,
    "online": _online,
    "customer": read_customer,
    "birthday": read_birthday,
    "total": _total,
    "quantity": _quantity,
    "distinct": _distinct,
    "any_line": _any_line,
    "coupon": _coupon,
    "payment": _payment,
    "counter": _counter,
    "points": _points,
    "chips": _chips,
    "applied": _applied,
    "not_applied": _not_applied,
}
