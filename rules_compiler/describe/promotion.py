"""One promotion in words: a title and a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rules_compiler.describe.conditions import condition
from rules_compiler.describe.limits import limits
from rules_compiler.describe.notes import notes, turn
from rules_compiler.describe.period import active
from rules_compiler.describe.results import result
from rules_compiler.describe.voice import Lang, Voice


def describe_promotion(
    programme: Mapping[str, Any], promotion: Mapping[str, Any], lang: Lang
) -> str:
    """What a promotion does, for people: a title, then a line for each thing worth saying.

    Both documents are as ``parse_json`` reads them and as the compiler accepts them; what is
    missing is described by its default where that matters, and otherwise not at all.
    """
    return promotion_told(Voice(programme, lang), promotion)


def promotion_told(
    voice: Voice, promotion: Mapping[str, Any], *, under_its_group: bool = False
) -> str:
    """The same for a voice that speaks of many promotions, perhaps under the name of a group."""
    when, period = promotion.get("when"), promotion.get("active")
    found = (
        (voice.text("When"), condition(voice, when) if when else voice.text("always")),
        (voice.text("Then"), _results(voice, promotion)),
        (voice.text("Limits"), "; ".join(limits(voice, promotion))),
        (voice.text("Also"), "; ".join(notes(voice, promotion))),
        (voice.text("Order"), turn(voice, promotion, under_its_group=under_its_group)),
        (voice.text("Active"), active(voice, period) if period else ""),
        (voice.text("Hint"), voice.quoted(hint) if (hint := promotion.get("hint")) else ""),
    )
    lines = [_line(label, told) for label, told in found if told]
    return "\n".join([_title(voice, promotion), *lines])


def _line(label: str, told: str) -> str:
    # Several results begin on a line of their own.
    return f"{label}:{told}" if told.startswith("\n") else f"{label}: {told}"


def _title(voice: Voice, promotion: Mapping[str, Any]) -> str:
    title = str(promotion.get("name") or promotion.get("id", ""))
    if promotion.get("enabled") is False:
        return voice.text("%(title)s (switched off)", title=title)
    return title


def _results(voice: Voice, promotion: Mapping[str, Any]) -> str:
    told = [result(voice, each) for each in promotion.get("then") or ()]
    if len(told) == 1:
        return told[0]
    return "".join(f"\n  {index}. {each}" for index, each in enumerate(told, start=1))
