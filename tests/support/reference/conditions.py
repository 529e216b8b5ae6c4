"""Filters and conditions (section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from .amounts import dec, kopecks
from .model import Context, Line, State


@dataclass
class Scope:
    """Where a condition or a filter is evaluated.

    `frozen`: which lines were discounted at the start of the group, in `sum` and `best`.
    """

    ctx: Context
    state: State
    frozen: dict[int, bool] | None = None

    def is_discounted(self, line: Line) -> bool:
        if self.frozen is not None:
            return self.frozen[line.number]
        return self.state.line_net(line.number) < line.list

    def matching(self, filter_: Any) -> list[Line]:
        return [line for line in self.ctx.lines if matches(filter_, line, self)]


def frozen_discounts(ctx: Context, state: State) -> dict[int, bool]:
    return {line.number: state.line_net(line.number) < line.list for line in ctx.lines}


def within(value: Fraction, low: Any, high: Any, scale: int = 1) -> bool:
    """Inclusive bounds, null is open."""
    return (low is None or value >= dec(low) * scale) and (
        high is None or value <= dec(high) * scale
    )


def under(category: str, node: str) -> bool:
    return category == node or category.startswith(node + "/")


def as_number(value: Any) -> Fraction | None:
    try:
        return dec(value)
    except (ValueError, ZeroDivisionError):
        return None


def attribute_matches(value: Any, wanted: Any) -> bool:
    if value is None:
        return False
    if isinstance(wanted, dict):
        number = as_number(value)
        return number is not None and within(number, wanted.get("from"), wanted.get("to"))
    return str(value) in {str(w) for w in wanted}


def matches(filter_: Any, line: Line, scope: Scope) -> bool:
    """Whether a line matches a filter."""
    filter_ = filter_ or {}
    raw = line.raw
    for key, wanted in filter_.items():
        if wanted is None:
            continue
        if key == "sku":
            good = line.sku in wanted
        elif key == "list":
            lists = scope.ctx.programme.get("product_lists") or {}
            good = any(matches(lists[name], line, scope) for name in wanted)
        elif key == "category":
            good = any(under(raw.get("category") or "", node) for node in wanted)
        elif key == "brand":
            good = raw.get("brand") in wanted
        elif key == "attrs":
            attrs = raw.get("attrs") or {}
            good = all(attribute_matches(attrs.get(k), v) for k, v in wanted.items())
        elif key == "flags":
            good = bool(line.flags & set(wanted))
        elif key == "price":
            good = within(line.price, wanted[0], wanted[1], 100)
        elif key == "favourite":
            good = (line.sku in ((scope.ctx.customer or {}).get("favourites") or ())) is wanted
        elif key == "discounted":
            good = scope.is_discounted(line) is wanted
        elif key == "exclude":
            good = not matches(wanted, line, scope)
        else:
            raise ValueError(key)
        if not good:
            return False
    return True


def holds(condition: Any, scope: Scope) -> bool:
    """Whether a condition holds."""
    if not condition:
        return True
    ((key, value),) = condition.items()
    if key == "all":
        return all(holds(c, scope) for c in value)
    if key == "any":
        return any(holds(c, scope) for c in value)
    if key == "not":
        return not holds(value, scope)
    return LEAVES[key](value, scope)


def _store(value: Any, scope: Scope) -> bool:
    groups = scope.ctx.programme.get("store_groups") or {}
    stores: set[str] = set()
    for item in value:
        stores.update(groups[item["group"]] if isinstance(item, dict) else [item])
    return scope.ctx.receipt["store"] in stores


def _channel(value: Any, scope: Scope) -> bool:
    return (scope.ctx.receipt.get("channel") or "pos") in value


def _register(value: Any, scope: Scope) -> bool:
    return scope.ctx.receipt.get("register") in value


def _online(value: Any, scope: Scope) -> bool:
    seen = scope.ctx.receipt.get("online")
    return (True if seen is None else seen) is value


def as_date(value: Any) -> date | None:
    return None if value is None else date.fromisoformat(str(value)[:10])


def birthday_in(born: date, year: int) -> date:
    """The birthday of a year; 29 February is 28 February in common years."""
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def _customer(value: dict[str, Any], scope: Scope) -> bool:
    customer = scope.ctx.customer
    if customer is None:
        return value == {"identified": False}
    today = scope.ctx.time.date()
    return all(_customer_key(k, v, customer, today, scope) for k, v in value.items())


def _customer_key(
    key: str, value: Any, customer: dict[str, Any], today: date, scope: Scope
) -> bool:
    if key == "identified":
        return value is True
    if key == "segment":
        return bool(set(value) & set(customer.get("segments") or ()))
    if key == "not_segment":
        return not set(value) & set(customer.get("segments") or ())
    if key in ("id", "level", "card_category", "gender", "organisation"):
        return customer.get(key) in value
    if key == "attributes":
        own = customer.get("attributes") or {}
        return all(attribute_matches(own.get(k), v) for k, v in value.items())
    if key == "age":
        born = as_date(customer.get("birthday"))
        if born is None:
            return False
        age = today.year - born.year - (today < birthday_in(born, today.year))
        return within(Fraction(age), *value)
    if key in ("registered_days", "last_purchase_days"):
        field = {"registered_days": "registered", "last_purchase_days": "last_purchase"}[key]
        day = as_date(customer.get(field))
        return day is not None and within(Fraction((today - day).days), *value)
    if key == "purchase_number":
        number = int(customer.get("purchases") or 0) + 1
        if isinstance(value, dict):
            return number % int(value["every"]) == 0
        return number == int(value)
    if key == "spent":
        total = kopecks((customer.get("spent") or {}).get(value["window"]) or 0)
        if value.get("with_current"):
            total += sum(lot.net for lot in scope.state.lots)
        return within(total, value.get("from"), value.get("to"), 100)
    if key == "control":
        return bool(customer.get("control")) is value
    raise ValueError(key)


def _birthday(value: dict[str, Any], scope: Scope) -> bool:
    customer = scope.ctx.customer
    if customer is None:
        return False
    whose = value.get("of") or "self"
    dates = [customer.get("birthday")] if whose == "self" else customer.get("children") or []
    today = scope.ctx.time.date()
    before, after = int(value.get("before") or 0), int(value.get("after") or 0)
    for born in map(as_date, dates):
        if born is None:
            continue
        for year in (today.year - 1, today.year, today.year + 1):
            day = birthday_in(born, year)
            if day - timedelta(days=before) <= today <= day + timedelta(days=after):
                return True
    return False


def total_of(value: dict[str, Any], scope: Scope) -> Fraction:
    lines = scope.matching(value.get("filter"))
    if value.get("base") == "list":
        return Fraction(sum(line.list for line in lines))
    return Fraction(sum(scope.state.line_net(line.number) for line in lines))


def quantity_of(value: dict[str, Any], scope: Scope) -> Fraction:
    base = value.get("unit") == "base"
    lines = scope.matching(value.get("filter"))
    return sum((x.qty * (x.base_qty if base else 1) for x in lines), Fraction(0))


def distinct_of(value: dict[str, Any], scope: Scope) -> Fraction:
    return Fraction(len({line.sku for line in scope.matching(value.get("filter"))}))


def _total(value: dict[str, Any], scope: Scope) -> bool:
    return within(total_of(value, scope), value.get("from"), value.get("to"), 100)


def _quantity(value: dict[str, Any], scope: Scope) -> bool:
    return within(quantity_of(value, scope), value.get("from"), value.get("to"))


def _distinct(value: dict[str, Any], scope: Scope) -> bool:
    return within(distinct_of(value, scope), value.get("from"), value.get("to"))


def _any_line(value: dict[str, Any], scope: Scope) -> bool:
    low, high = value.get("qty") or (None, None)
    return any(within(line.qty, low, high) for line in scope.matching(value.get("filter")))


def _coupon(value: list[str], scope: Scope) -> bool:
    codes = {v.casefold() for v in value}
    return any(
        (c.get("state") or "valid") == "valid"
        and (c.get("series") in value or str(c.get("code")).casefold() in codes)
        for c in scope.ctx.receipt.get("coupons") or ()
    )


def _payment(value: dict[str, Any], scope: Scope) -> bool:
    for payment in scope.ctx.receipt.get("payments") or ():
        if value.get("type") is not None and payment.get("type") not in value["type"]:
            continue
        bin_ = str(payment.get("bin") or "")
        if value.get("bin") is not None and not any(bin_.startswith(b) for b in value["bin"]):
            continue
        if within(kopecks(payment.get("amount") or 0), value.get("from"), value.get("to"), 100):
            return True
    return False


def _counter(value: dict[str, Any], scope: Scope) -> bool:
    customer = scope.ctx.customer
    if customer is None:
        return False
    count = dec((customer.get("counters") or {}).get(value["id"]) or 0)
    if value.get("every") is not None:
        return (count + 1) % dec(value["every"]) == 0
    if value.get("with_current") is not None:
        count += quantity_of({"filter": value["with_current"]}, scope)
    return within(count, value.get("from"), value.get("to"))


def _points(value: dict[str, Any], scope: Scope) -> bool:
    return _balance("points", value, scope)


def _chips(value: dict[str, Any], scope: Scope) -> bool:
    return _balance("chips", value, scope)


def _balance(kind: str, value: dict[str, Any], scope: Scope) -> bool:
    customer = scope.ctx.customer
    if customer is None:
        return False
    balance = dec((customer.get(kind) or {}).get(value["account"]) or 0)
    return within(balance, value.get("from"), value.get("to"))


def _applied(value: list[str], scope: Scope) -> bool:
    return any(p in scope.state.acted for p in value)


def _not_applied(value: list[str], scope: Scope) -> bool:
    return not _applied(value, scope)


LEAVES = {
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
    "counter": _counter,
    "points": _points,
    "chips": _chips,
    "applied": _applied,
    "not_applied": _not_applied,
}
