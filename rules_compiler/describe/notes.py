"""How a promotion gets along with others: its group, its turn and its flags, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rules_compiler.describe.voice import Voice

DEFAULT_GROUPS: Final[Sequence[Mapping[str, Any]]] = ({"id": "main"},)


def groups(programme: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The groups of a programme in their order; one that declares none has ``main``."""
    declared: Sequence[Mapping[str, Any]] | None = programme.get("groups")
    return declared or DEFAULT_GROUPS


def group_of(programme: Mapping[str, Any], promotion: Mapping[str, Any]) -> Mapping[str, Any]:
    """The group a promotion belongs to: the first, where it names none."""
    declared = groups(programme)
    named = promotion.get("group")
    return next((each for each in declared if each.get("id") == named), declared[0])


def mode(voice: Voice, group: Mapping[str, Any]) -> str:
    """How the promotions of a group share the goods."""
    resolve = group.get("resolve")
    if resolve == "sum":
        return voice.text("all act, each counted from the same prices, and their discounts add up")
    if resolve == "first":
        return voice.text("goods that one has used are not for those after it")
    if resolve == "best":
        return voice.text("those act that together save the customer most")
    return voice.text("all act in turn, each on what the one before left")


def turn(voice: Voice, promotion: Mapping[str, Any], *, under_its_group: bool = False) -> str:
    """The group with its mode and the priority; empty where there is nothing to tell."""
    programme = voice.programme
    group, priority = group_of(programme, promotion), promotion.get("priority")
    parts: list[str] = []
    is_choice = len(groups(programme)) > 1 or group.get("resolve") not in (None, "all")
    if is_choice and not under_its_group:
        parts.append(
            voice.text(
                "group %(name)s (%(mode)s)",
                name=voice.quoted(group.get("id", "")),
                mode=mode(voice, group),
            )
        )
    if priority is not None:
        parts.append(voice.text("priority %(n)s", n=voice.number(priority)))
    return ", ".join(parts)


def notes(voice: Voice, promotion: Mapping[str, Any]) -> list[str]:
    """The flags that are set."""
    parts: list[str] = []
    if promotion.get("stack"):
        parts.append(voice.text("acts on top, after the others of its group"))
    if promotion.get("closes"):
        parts.append(voice.text("what it has discounted gets no other discount"))
    if (family := promotion.get("only_one_of")) is not None:
        parts.append(
            voice.text(
                "of the promotions marked %(name)s only the first that fits acts",
                name=voice.quoted(family),
            )
        )
    if promotion.get("forbid_spend"):
        parts.append(voice.text("its goods cannot be paid with points"))
    if promotion.get("forbid_accrual"):
        parts.append(voice.text("its goods earn no points"))
    if promotion.get("ignore_floor"):
        parts.append(voice.text("may go below minimum prices and the largest discount"))
    if promotion.get("ignore_soft"):
        parts.append(voice.text("may go below soft minimum prices"))
    return parts
