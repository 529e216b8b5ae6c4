"""What a warning says of a promotion is true: a promotion said never to act never does."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from rules_compiler.pipeline import compile_document
from shared.engine.evaluate import evaluate
from shared.wire.receipt_json import decode_receipt
from tests.support.reference.generate import a_condition, a_filter, a_programme, a_receipt

DEADLY = {"never_active", "never_holds", "shadowed", "zero_limit"}
DEADLY_FOR_A_RESULT = {"matches_nothing", "gives_nothing", "price_never_lower"}
PERIODS: list[dict[str, Any]] = [
    {"from": "2026-11-23", "to": "2026-11-23", "hours": [["22:00", "01:00"]]},
    {"from": "2026-11-23", "to": "2026-11-23", "weekdays": [7], "hours": [["22:00", "02:00"]]},
    {"from": "2026-11-23", "to": "2026-11-23", "weekdays": [7]},
    {"from": "2026-11-23T11:00", "to": "2026-11-24", "hours": [["01:00", "02:00"]]},
    {"hours": [["12:00", "12:00"]]},
    {"weekdays": [1], "hours": [["12:00", "24:00"]]},
]


def a_rivalry(rng: random.Random) -> dict[str, Any]:
    """A programme whose promotions stand in each other's way, some of them hopelessly."""
    document = a_programme(rng)
    promotions: list[dict[str, Any]] = []
    for number in range(rng.randint(2, 4)):
        then: dict[str, Any] = {
            "do": rng.choice(["discount_goods", "discount_goods", "discount_receipt"]),
            "percent": rng.choice(["0", "5", "10", "10", "50"]),
            "filter": a_filter(rng),
        }
        promotion: dict[str, Any] = {"id": f"P{number}", "then": [then]}
        promotion["group"] = rng.choice(document["groups"])["id"]
        if rng.random() < 0.5:
            parts = [a_condition(rng, []) for _ in range(rng.randint(1, 3))]
            promotion["when"] = parts[0] if len(parts) == 1 else {"all": parts}
        promotion |= {
            key: value
            for key, value, chance in (
                ("only_one_of", "family", 0.4),
                ("stack", True, 0.1),
                ("closes", True, 0.1),
                ("ignore_floor", True, 0.2),
                ("active", rng.choice(PERIODS), 0.1),
                ("limits", {"total": {"times": rng.randint(0, 20)}}, 0.1),
            )
            if rng.random() < chance
        }
        if promotions and rng.random() < 0.4:
            # As another, but for what may make it the stronger or the weaker.
            promotion = {**promotions[0], "id": f"P{number}", "group": promotion["group"]}
            promotion["then"] = [{**promotions[0]["then"][0], "percent": then["percent"]}]
        promotions.append(promotion)
    return document | {"promotions": promotions}


@pytest.mark.parametrize("block", range(20))
def test_what_is_said_never_to_act_never_acts(block: int) -> None:
    """On receipts that meet many conditions, in every mode.

    Not on goods for a kopeck: there a small percent rounds to nothing and leaves the next its turn.
    """
    warned = 0
    for seed in range(block * 50, block * 50 + 50):
        rng = random.Random(seed)
        document = a_rivalry(rng)
        compilation = compile_document(json.dumps(document).encode())
        assert compilation.program is not None, compilation.diagnostics
        dead = {
            document["promotions"][int(each.pointer.split("/")[2])]["id"]: str(each)
            for each in compilation.diagnostics
            if each.pointer.startswith("/promotions/") and each.code in DEADLY | DEADLY_FOR_A_RESULT
        }
        warned += len(dead)
        for _ in range(8 if dead else 0):
            written = json.dumps(a_receipt(rng, document)).replace('"0.01"', '"25.00"')
            receipt = decode_receipt(written.encode())
            acted = set(evaluate(compilation.program, receipt).applied)
            assert [dead[name] for name in sorted(acted & dead.keys())] == [], seed
    assert warned > 5, "the test looks at something"
