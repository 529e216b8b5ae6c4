"""A programme document: from JSON to the program the engine runs (section 3 of the language)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from rules_compiler.filters import read_filter
from rules_compiler.names import Names
from rules_compiler.promotions import Written, read_promotions
from rules_compiler.reading import money, percent, points, whole
from shared.engine.program import Account, Condition, Filter, Group, Program, Resolve
from shared.wire.reading import Place

_CURRENCY: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_TIMEZONE: Final = re.compile(r"[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*", re.ASCII)
_VERSION_MAX: Final = 2**53
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a document says: the program without its promotions, and these as they are written."""

    place: Place
    program: Program
    promotions: list[Written]

    def with_conditions(self, change: Callable[[Condition], Condition | None]) -> Document:
        """The document with every condition changed; None takes it away."""
        return replace(self, promotions=[_with_condition(each, change) for each in self.promotions])


def read_document(place: Place) -> Document | None:
    """What a whole document says; None, or findings where it is wrong."""
    if not place.object(_KEYS, required=("programme", "version", "currency", "promotions")):
        return None
    groups = _groups(place.get("groups"))
    names = Names(
        accounts=_accounts(place.get("accounts")),
        chips=frozenset(() if (chips := place.get("chips")) is None else chips.texts()),
        store_groups=_store_groups(place.get("store_groups")),
        product_lists=_product_lists(place.get("product_lists")),
    )
    program = _program(place, names, groups)
    promotions = place.get("promotions")
    return Document(
        place=place,
        program=program,
        promotions=[] if promotions is None else read_promotions(promotions, names, groups),
    )


def _with_condition(written: Written, change: Callable[[Condition], Condition | None]) -> Written:
    when = written.promotion.when
    changed = None if when is None else change(when)
    if changed is when:
        return written
    return replace(written, promotion=msgspec.structs.replace(written.promotion, when=changed))


def _program(place: Place, names: Names, groups: dict[str, Resolve]) -> Program:
    programme, version = place.get("programme"), place.get("version")
    rate, spend_as = percent(place.get("max_discount")), place.get("spend_as")
    hint_pieces, hint_percent_ppm = _hints(place.get("hints"))
    return Program(
        programme=("" if programme is None else programme.text()) or "",
        version=(0 if version is None else version.integer(high=_VERSION_MAX)) or 0,
        currency=_currency(place.get("currency")),
        timezone=_timezone(place.get("timezone")),
        groups=[
            Group(id=group_id, resolve=resolve, promotions=[])
            for group_id, resolve in groups.items()
        ],
        accounts=[names.accounts[key] for key in sorted(names.accounts)],
        max_discount_ppm=10**6 if rate is None else rate,
        points_are_payment=spend_as is not None
        and spend_as.choice("discount", "payment") == "payment",
        chips=sorted(names.chips),
        hint_pieces=hint_pieces,
        hint_percent_ppm=hint_percent_ppm,
    )


def _hints(place: Place | None) -> tuple[int, int]:
    """At how many missing pieces, and at what part of a missing sum, a hint is given."""
    count = rate = None
    if place is not None and place.object(frozenset({"pieces", "percent"})):
        count, rate = whole(place.get("pieces")), percent(place.get("percent"))
    return 2 if count is None else count, 200_000 if rate is None else rate


def _currency(place: Place | None) -> str:
    text = None if place is None else place.text()
    if place is not None and text is not None and not _CURRENCY.fullmatch(text):
        place.fail("currency", "a currency code of three letters, such as RUB")
    return text or ""


def _timezone(place: Place | None) -> str:
    text = None if place is None else place.text()
    if place is not None and text is not None and not _is_timezone(text):
        place.fail("timezone", "a time zone such as Europe/Moscow")
    return text or "UTC"


def _is_timezone(text: str) -> bool:
    try:
        return _TIMEZONE.fullmatch(text) is not None and ZoneInfo(text) is not None
    except (KeyError, ValueError, OSError):
        return False


def _accounts(place: Place | None) -> dict[str, Account]:
    accounts: dict[str, Account] = {}
    for each in () if place is None else place.items("a list of accounts", most=1000):
        if not each.object(frozenset({"id", "rate", "precision"}), required=("id",)):
            continue
        name = each.get("id")
        account_id = None if name is None else name.text()
        if name is None or account_id is None:
            continue
        if account_id in accounts:
            name.fail("duplicate_id", "an id that no other account has")
        accounts[account_id] = Account(
            id=account_id,
            rate_minor=money(each.get("rate"), low=1) or 100,
            precision_centi=points(each.get("precision"), low=1) or 1,
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
        resolve = None if mode is None else mode.choice(*Resolve)
        if name is None or group_id is None:
            continue
        if group_id in groups:
            name.fail("duplicate_id", "an id that no other group has")
        groups[group_id] = Resolve.ALL if resolve is None else Resolve(resolve)
    if place.value == []:
        place.fail("empty", "at least one group")
    return groups or {"main": Resolve.ALL}


def _store_groups(place: Place | None) -> dict[str, frozenset[str]]:
    if place is None:
        return {}
    return {key: frozenset(each.texts()) for key, each in place.entries()}


def _product_lists(place: Place | None) -> dict[str, Filter]:
    if place is None:
        return {}
    return {key: read_filter(each, None) for key, each in place.entries()}
