"""Which promotions differ between two programmes, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import ndiff
from typing import Any, Literal

from rules_compiler.commands.documents import Loaded
from rules_compiler.describe import describe_programme, describe_promotion
from shared.engine.program import Promotion

Kind = Literal["added", "removed", "changed"]
Lang = Literal["en", "ru"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference; ``promotion`` None where it is the programme's own."""

    kind: Kind
    what: str
    promotion: str | None
    gone: list[str]
    come: list[str]

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "kind": self.kind,
            "promotion": self.promotion,
            "before": self.gone,
            "after": self.come,
        }


def programme_changes(old: Loaded, new: Loaded, lang: Lang) -> list[Change]:
    """What differs: the programme's own settings, then promotions by their ids."""
    assert old.document is not None, "bundles are not compared"
    assert new.document is not None, "bundles are not compared"
    return [
        *_settings(old.document, new.document, lang),
        *_promotions(old, new, old.document, new.document, lang),
    ]


def _settings(old: Mapping[str, Any], new: Mapping[str, Any], lang: Lang) -> Iterator[Change]:
    """Versions always differ and say nothing."""
    said = []
    for document in (old, new):
        bare = dict(document) | {"promotions": [], "version": "0"}
        said.append([line for line in describe_programme(bare, lang).splitlines() if line])
    gone, come = _lines(*said)
    if gone or come:
        yield Change(
            kind="changed", what="the programme itself", promotion=None, gone=gone, come=come
        )


def _promotions(
    old: Loaded,
    new: Loaded,
    old_document: Mapping[str, Any],
    new_document: Mapping[str, Any],
    lang: Lang,
) -> Iterator[Change]:
    before = {str(each["id"]): each for each in old_document["promotions"]}
    after = {str(each["id"]): each for each in new_document["promotions"]}
    compiled_before, compiled_after = _compiled(old), _compiled(new)
    for promotion in sorted(before.keys() | after.keys()):
        was, is_now = before.get(promotion), after.get(promotion)
        if was is not None and is_now is not None:
            same = compiled_before.get(promotion) == compiled_after.get(promotion)
            if same and (_text(was) == _text(is_now) or _place(was) == _place(is_now)):
                continue
        gone, come = _lines(
            [] if was is None else describe_promotion(old_document, was, lang).splitlines(),
            [] if is_now is None else describe_promotion(new_document, is_now, lang).splitlines(),
        )
        kind: Kind = "added" if was is None else "removed" if is_now is None else "changed"
        name = (is_now or was or {}).get("name")
        yield Change(
            kind=kind,
            what=f"{promotion} ({name})" if name else promotion,
            promotion=promotion,
            gone=gone,
            come=come,
        )


def _compiled(loaded: Loaded) -> dict[str, tuple[str, Promotion]]:
    """What each promotion does, lists and store groups resolved, and in which group."""
    return {
        promotion.id: (group.id, promotion)
        for group in loaded.program.groups
        for promotion in group.promotions
    }


def _place(promotion: Mapping[str, Any]) -> tuple[str, str]:
    """What the compiled promotion does not tell: where it stands, and whether it is on."""
    priority = promotion.get("priority")
    return "100" if priority is None else str(priority), str(promotion.get("enabled") is not False)


def _text(promotion: Mapping[str, Any]) -> str:
    return json.dumps(promotion, sort_keys=True)


def _lines(old: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """Lines that went and lines that came."""
    gone, come = [], []
    for line in ndiff(old, new):
        if line.startswith("- "):
            gone.append(line[2:])
        elif line.startswith("+ "):
            come.append(line[2:])
    return gone, come
