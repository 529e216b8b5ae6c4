"""A programme document: from JSON to the program the engine runs (section 3 of the language)."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from rules_compiler.conditions import read_condition
from rules_compiler.filters import read_filter
from rules_compiler.names import Names
from rules_compiler.reading import money, percent, points, truth, unsupported, whole
from rules_compiler.results import read_result
from shared.engine.program import (
    Account,
    Active,
    Filter,
    Group,
    Program,
    Promotion,
    Resolve,
    Window,
)
from shared.wire.reading import Place

PROMOTIONS_MAX: Final = 200_000
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_HOURS: Final = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])")
_KEYS: Final = frozenset(
    {
        "programme",
        "version",
        "currency",
        "timezone",
        "max_discount",
        "spend_as",
        "hints",
        "groups",
        "accounts",
        "chips",
        "store_groups",
        "product_lists",
        "promotions",
    }
)
_PROMOTION_KEYS: Final = frozenset(
    {
        "id",
        "name",
        "group",
        "priority",
        "enabled",
        "active",
        "when",
        "then",
        "hint",
        "stack",
        "closes",
        "only_one_of",
        "forbid_spend",
        "forbid_accrual",
        "ignore_floor",
        "ignore_soft",
        "on_claim",
        "cost",
        "limits",
    }
)


def read_document(place: Place) -> Program | None:
    """The program of a whole document; None or findings at the place where it is wrong."""
    if not place.object(_KEYS, required=("programme", "version", "currency", "promotions")):
        return None
    groups = _groups(place.get("groups"))
    names = Names(
        accounts=_accounts(place.get("accounts")),
        chips=frozenset(() if (chips := place.get("chips")) is None else chips.texts()),
        store_groups=_store_groups(place.get("store_groups")),
        product_lists=_product_lists(place.get("product_lists")),
        groups=list(groups),
        promotion_ids=_promotion_ids(place.value.get("promotions")),
    )
    hints = place.get("hints")
    if hints is not None:
        hints.object(frozenset({"pieces", "percent"}))
        whole(hints.get("pieces"))
        percent(hints.get("percent"))
    rate = percent(place.get("max_discount"))
    spend_as = place.get("spend_as")
    in_groups = _promotions(place.get("promotions"), names, groups)
    programme, version = place.get("programme"), place.get("version")
    return Program(
        programme="" if programme is None else programme.text() or "",
        version=0 if version is None else version.integer(low=1, high=2**53) or 0,
        currency=_currency(place.get("currency")),
        timezone=_timezone(place.get("timezone")),
        groups=[
            Group(id=group_id, resolve=resolve, promotions=in_groups[group_id])
            for group_id, resolve in groups.items()
        ],
        accounts=[names.accounts[key] for key in sorted(names.accounts)],
        max_discount_ppm=10**6 if rate is None else rate,
        points_are_payment=spend_as is not None
        and spend_as.choice("discount", "payment") == "payment",
    )


def _currency(place: Place | None) -> str:
    text = None if place is None else place.text()
    if place is not None and text is not None and not _CURRENCY.fullmatch(text):
        place.fail("currency", "a currency code of three letters, such as RUB")
    return text or ""


def _timezone(place: Place | None) -> str:
    text = None if place is None else place.text()
    if place is not None and text is not None:
        try:
            ZoneInfo(text)
        except (KeyError, ValueError, OSError):
            place.fail("timezone", "a time zone such as Europe/Moscow")
    return text or "UTC"


def _accounts(place: Place | None) -> dict[str, Account]:
    accounts: dict[str, Account] = {}
    for each in () if place is None else place.items("a list of accounts", most=100):
        if not each.object(frozenset({"id", "rate", "precision"}), required=("id",)):
            continue
        name = each.get("id")
        account_id = None if name is None else name.text()
        if name is None or account_id is None:
            continue
        if account_id in accounts:
            name.fail("duplicate_id", "ids that differ")
        rate, precision = money(each.get("rate")), points(each.get("precision"))
        if rate == 0 or precision == 0:
            each.fail("bounds", "a rate and a precision above zero")
        accounts[account_id] = Account(
            id=account_id, rate_minor=rate or 100, precision_centi=precision or 1
        )
    # A programme that declares none has the one that everybody means.
    return accounts if place is not None else {"main": Account(id="main")}


def _groups(place: Place | None) -> dict[str, Resolve]:
    if place is None:
        return {"main": Resolve.ALL}
    groups: dict[str, Resolve] = {}
    for each in place.items("a list of groups", most=1000):
        if not each.object(frozenset({"id", "resolve"}), required=("id",)):
            continue
        name, mode = each.get("id"), each.get("resolve")
        group_id = None if name is None else name.text()
        resolve = None if mode is None else mode.choice("all", "sum", "first", "best")
        if mode is not None and resolve in ("sum", "best"):
            unsupported(mode, f"a group that resolves {resolve}")
            resolve = None
        if name is None or group_id is None:
            continue
        if group_id in groups:
            name.fail("duplicate_id", "ids that differ")
        groups[group_id] = Resolve.ALL if resolve is None else Resolve(resolve)
    if not groups:
        place.fail("empty", "at least one group")
    return groups or {"main": Resolve.ALL}


def _store_groups(place: Place | None) -> dict[str, frozenset[str]]:
    if place is None:
        return {}
    return {key: frozenset(each.texts()) for key, each in place.entries()}


def _product_lists(place: Place | None) -> dict[str, Filter]:
    if place is None:
        return {}
    # A list may not speak of lists: there is no order in which circles could be resolved.
    return {key: read_filter(each, {}) for key, each in place.entries()}


def _promotion_ids(promotions: Any) -> frozenset[str]:
    if not isinstance(promotions, list):
        return frozenset()
    return frozenset(
        str(each["id"])
        for each in promotions
        if isinstance(each, dict) and isinstance(each.get("id"), str)
    )


def _promotions(
    place: Place | None, names: Names, groups: dict[str, Resolve]
) -> dict[str, list[Promotion]]:
    found: dict[str, list[tuple[int, str, Promotion]]] = {group: [] for group in groups}
    seen: set[str] = set()
    for each in () if place is None else place.items("a list of promotions", most=PROMOTIONS_MAX):
        if not each.object(_PROMOTION_KEYS, required=("id", "then")):
            continue
        group = _group_of(each, groups)
        promotion = _promotion(each, names, groups[group])
        if promotion.id in seen:
            each.child("id", promotion.id).fail("duplicate_id", "ids that differ")
        seen.add(promotion.id)
        priority = each.get("priority")
        order = 100 if priority is None else priority.decimal(0, low=-(10**9), high=10**9)
        if truth(each, "enabled", default=True):
            found[group].append((order or 0, promotion.id, promotion))
    return {
        group: [promotion for _, _, promotion in sorted(members, key=lambda each: each[:2])]
        for group, members in found.items()
    }


def _group_of(place: Place, groups: dict[str, Resolve]) -> str:
    named = place.get("group")
    first = next(iter(groups))
    if named is None:
        return first
    group = named.text()
    if group is not None and group not in groups:
        named.fail("not_declared", "the id of a group")
    return group if group in groups else first


def _promotion(place: Place, names: Names, resolve: Resolve) -> Promotion:
    for key in ("cost", "on_claim"):
        each = place.get(key)
        if each is not None and each.value is not False:
            unsupported(each, key)
    name, hint, family = place.get("name"), place.get("hint"), place.get("only_one_of")
    for text in (name, hint):
        if text is not None:
            text.text(empty=True)
    if family is not None and resolve is not Resolve.ALL:
        unsupported(family, "only_one_of in a competing group")
    when, then, promotion_id = place.get("when"), place.get("then"), place.get("id")
    results = [
        result
        for each in (() if then is None else then.items("a list of results", most=100))
        if (result := read_result(each, names)) is not None
    ]
    if then is not None and then.value == []:
        then.fail("empty", "at least one result")
    return Promotion(
        id="" if promotion_id is None else promotion_id.text() or "",
        results=results,
        active=_active(place.get("active")),
        when=None if when is None else read_condition(when, names),
        stack=truth(place, "stack"),
        closes=truth(place, "closes"),
        only_one_of=None if family is None else family.text(),
        forbid_spend=truth(place, "forbid_spend"),
        forbid_accrual=truth(place, "forbid_accrual"),
        ignore_floor=truth(place, "ignore_floor"),
        ignore_soft=truth(place, "ignore_soft"),
        per_receipt_max=_per_receipt(place.get("limits")),
    )


def _per_receipt(place: Place | None) -> int | None:
    keys = frozenset({"per_receipt", "per_customer", "total", "on_excess"})
    if place is None or not place.object(keys):
        return None
    for key in ("per_customer", "total"):
        if (found := place.get(key)) is not None:
            unsupported(found, f"limits.{key}")
    excess = place.get("on_excess")
    if excess is not None:
        excess.choice("cut", "skip")
    return whole(place.get("per_receipt"), low=1)


def _active(place: Place | None) -> Active:
    if place is None or not place.object(frozenset({"from", "to", "weekdays", "hours"})):
        return Active()
    start, end = _bound(place.get("from")), _bound(place.get("to"))
    if start is not None and end is not None and _after(start, end):
        place.fail("from_after_to", "'from' not after 'to'")
    weekdays, hours = place.get("weekdays"), place.get("hours")
    days = (
        None
        if weekdays is None
        else frozenset(
            day
            for each in weekdays.items("a list of weekdays", most=7)
            if (day := each.integer(low=1, high=7)) is not None
        )
    )
    windows = (
        None
        if hours is None
        else [
            window
            for each in hours.items("a list of ranges", most=100)
            if (window := _window(each)) is not None
        ]
    )
    return Active(from_text=start, to_text=end, weekdays=days, windows=windows)


def _bound(place: Place | None) -> str | None:
    text = None if place is None else place.text()
    if place is None or text is None:
        return None
    try:
        if len(text) == 10:
            date.fromisoformat(text)
        else:
            datetime.fromisoformat(text)
    except ValueError:
        place.fail("time", "a date such as 2026-11-30 or a date-time")
        return None
    return text


def _after(start: str, end: str) -> bool:
    """Whether a period is the wrong way round; a date without a time of day is the whole day."""
    if len(start) == 10 or len(end) == 10:
        return start[:10] > end[:10]
    one, other = datetime.fromisoformat(start), datetime.fromisoformat(end)
    if (one.tzinfo is None) != (other.tzinfo is None):
        # A bound without an offset means each receipt's own: only the clock faces can be compared.
        one, other = one.replace(tzinfo=None), other.replace(tzinfo=None)
    return one >= other


def _window(place: Place) -> Window | None:
    minutes: list[int] = []
    for each in place.items("a pair such as [10:00, 14:00]", most=2):
        text = each.text()
        found = None if text is None else _HOURS.fullmatch(text)
        if found is None or (found[1] == "24" and found[2] != "00"):
            each.fail("time", "a time such as 10:00, to 24:00 at most")
            return None
        minutes.append(int(found[1]) * 60 + int(found[2]))
    if len(minutes) != 2 or minutes[0] == 1440 or minutes[0] == minutes[1]:
        place.fail("pair", "a pair of different times such as [10:00, 14:00]")
        return None
    start, end = minutes
    return Window(from_minute=start, to_minute=end if end > start else end + 1440)
