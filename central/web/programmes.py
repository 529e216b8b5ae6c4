"""What the pages need of a stored programme document: promotions by name and by kind."""

from __future__ import annotations

import json
from typing import Any

from shared.words import RESULTS


def document_of(data: bytes | None) -> dict[str, Any]:
    """The document as JSON values; empty when there is none."""
    document = json.loads(data) if data else {}
    return document if isinstance(document, dict) else {}


def name_of(promotion: dict[str, Any]) -> str:
    """What people call a promotion; its id where it has no name."""
    return str(promotion.get("name") or promotion["id"])


def results_of(promotion: dict[str, Any]) -> dict[str, int]:
    """What a promotion does, each kind once, and how many times."""
    counted: dict[str, int] = {}
    for result in promotion.get("then", []):
        words = RESULTS.get(result["do"], result["do"])
        counted[words] = counted.get(words, 0) + 1
    return counted


def is_points_only(promotion: dict[str, Any]) -> bool:
    """Whether a promotion moves points and takes nothing off a price."""
    kinds = {result["do"] for result in promotion.get("then", [])}
    return bool(kinds) and kinds <= {"accrue_points", "spend_points"}


def names_of(data: bytes | None) -> dict[str, str]:
    """Every promotion's name by its id."""
    return {entry["id"]: name_of(entry) for entry in document_of(data).get("promotions", [])}
