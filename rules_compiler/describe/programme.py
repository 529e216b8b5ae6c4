"""A whole programme in words: what holds everywhere, then its promotions in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from rules_compiler.describe.goods import goods
from rules_compiler.describe.notes import groups, mode
from rules_compiler.describe.nouns import counted
from rules_compiler.describe.promotion import promotion_told
from rules_compiler.describe.voice import Lang, Voice


def describe_programme(programme: Mapping[str, Any], lang: Lang) -> str:
    """Every promotion in the order in which they are evaluated, under its group and its mode.

    Blank lines stand between the parts: what holds everywhere, groups, promotions.
    """
    voice = Voice(programme, lang)
    parts = ["\n".join(_settings(voice))]
    members = _members(programme)
    for group in groups(programme):
        parts.append(
            voice.text(
                "Group %(name)s: %(mode)s",
                name=voice.quoted(group.get("id", "")),
                mode=mode(voice, group),
            )
        )
        parts.extend(
            promotion_told(voice, each, under_its_group=True)
            for each in members[str(group.get("id"))]
        )
    return "\n\n".join(parts)


def _members(programme: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """The promotions of each group in their order; of no group named, of the first."""
    members: dict[str, list[Mapping[str, Any]]] = {
        str(group.get("id")): [] for group in groups(programme)
    }
    first = next(iter(members))
    for promotion in programme.get("promotions") or ():
        named = str(promotion.get("group"))
        members[named if named in members else first].append(promotion)
    return {name: sorted(found, key=_place) for name, found in members.items()}


def _place(promotion: Mapping[str, Any]) -> tuple[Decimal, str]:
    priority = promotion.get("priority")
    return Decimal("100" if priority is None else str(priority)), str(promotion.get("id", ""))


def _settings(voice: Voice) -> Iterator[str]:
    programme = voice.programme
    yield voice.text(
        "Programme %(name)s, version %(version)s, currency %(currency)s",
        name=voice.quoted(programme.get("programme", "")),
        version=programme.get("version", ""),
        currency=programme.get("currency", ""),
    )
    if (zone := programme.get("timezone")) is not None:
        yield voice.text("Time zone: %(zone)s", zone=zone)
    if (most := programme.get("max_discount")) is not None:
        yield voice.text("Largest discount on a line: %(percent)s", percent=voice.percent(most))
    if programme.get("spend_as") == "payment":
        yield voice.text("Points spent are a payment, not a discount")
    yield from _hints(voice, programme.get("hints") or {})
    yield from _accounts(voice)
    if chips := programme.get("chips"):
        yield voice.text("Chips: %(names)s", names=voice.both(map(voice.quoted, chips)))
    for name, stores in (programme.get("store_groups") or {}).items():
        yield voice.text(
            "Store group %(name)s: %(stores)s",
            name=voice.quoted(name),
            stores=voice.both(map(voice.quoted, stores)),
        )
    for name, filter_ in (programme.get("product_lists") or {}).items():
        yield voice.text(
            "List %(name)s: %(goods)s",
            name=voice.quoted(name),
            goods=goods(voice, filter_, "nominative"),
        )


def _hints(voice: Voice, hints: Mapping[str, Any]) -> Iterator[str]:
    if (pieces := hints.get("pieces")) is not None:
        most = counted(voice, "piece", pieces, "genitive")
        yield voice.text("Hints where at most %(pieces)s are missing", pieces=most)
    if (percent := hints.get("percent")) is not None:
        most = voice.percent(percent)
        yield voice.text("Hints where at most %(percent)s of a sum is missing", percent=most)


def _accounts(voice: Voice) -> Iterator[str]:
    for account in voice.programme.get("accounts") or ():
        rate, precision = account.get("rate"), account.get("precision")
        yield voice.text(
            "Account %(name)s: a point pays %(rate)s, counted to %(precision)s",
            name=voice.quoted(account.get("id", "")),
            rate=voice.money("1.00" if rate is None else rate),
            precision=voice.number("0.01" if precision is None else precision),
        )
