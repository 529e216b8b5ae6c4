"""Random results of promotions, for the generator."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .model import STAGE_OF as STAGES

Doc = dict[str, Any]
Filter = Callable[[random.Random], Doc]


@dataclass
class Taste:
    """What a generator likes: `wide` mixes more; else each counter has one promotion at most."""

    wide: bool
    counters: set[str] = field(default_factory=set)


PERCENTS = ["10", "12.5", "33.3333", "50", "7", "100", "5"]
AMOUNTS = ["10.00", "33.33", "0.07", "100.00", "50.01"]
TARGETS = ["9.99", "30.00", "0.00", "66.66"]
__all__ = ["STAGES", "Taste", "a_result"]


def maybe(rng: random.Random, chance: float) -> bool:
    return rng.random() < chance


def a_result(rng: random.Random, stage: str, a_filter: Filter, taste: Taste) -> Doc:
    """A result of this stage."""
    made: Doc = MAKERS[stage](rng, a_filter, taste)
    return made


def a_percent(rng: random.Random) -> Doc:
    return {"percent": rng.choice(PERCENTS)}


def reward(rng: random.Random) -> Doc:
    return a_percent(rng) if maybe(rng, 0.6) else {"price": rng.choice(TARGETS)}


def filtered(rng: random.Random, a_filter: Filter, chance: float = 0.7) -> Doc:
    return {"filter": a_filter(rng)} if maybe(rng, chance) else {}


def _goods(rng: random.Random, a_filter: Filter, taste: Taste) -> Doc:
    kinds = ["discount_goods", "set_price", "nth", "set", "gift_goods"]
    kinds += ["chips_price", "counter_nth", "manual", "external"]
    kind = rng.choices(kinds, [30, 12, 16, 16, 8, 8, 5, 4, 4])[0]
    if kind == "counter_nth" and "cup" in taste.counters and not taste.wide:
        kind = "nth"
    taste.counters |= {"cup"} if kind == "counter_nth" else set()
    made: Doc = {"do": kind} | GOODS[kind](rng, a_filter)
    return _widened(rng, made) if taste.wide else made


def _widened(rng: random.Random, made: Doc) -> Doc:
    """The same result with larger numbers and other accounts, now and then."""
    if made["do"] == "nth" and maybe(rng, 0.3):
        made["every"] = rng.randint(4, 5)
        made["take"] = rng.randint(1, made["every"])
    if made["do"] == "set" and maybe(rng, 0.3):
        slot = dict(rng.choice(made["slots"]))
        made["slots"] = [*made["slots"], slot | {"qty": rng.randint(1, 3)}]
    if made["do"] == "chips_price" and maybe(rng, 0.4):
        made["chips"] = "dogs"
    if made["do"] == "counter_nth" and maybe(rng, 0.4):
        made["counter"] = "coffee"
    if made["do"] == "discount_goods" and maybe(rng, 0.2):
        made["skip"] = rng.randint(1, 5)
    if made["do"] in ("discount_goods", "set_price", "chips_price") and maybe(rng, 0.2):
        made["max_qty"] = rng.randint(2, 8)
    if made["do"] == "gift_goods" and maybe(rng, 0.3):
        made["max"] = rng.randint(2, 6)
    return made


def _discount_goods(rng: random.Random, a_filter: Filter) -> Doc:
    by = rng.choice(["quantity", "total", "distinct"])
    bounds = {"quantity": ["2", "4"], "total": ["50.00", "150.00"], "distinct": ["1", "2"]}[by]
    tiers: Doc = {"by": by, "steps": [[bounds[0], "5"], [bounds[1], "12.5"]]}
    if maybe(rng, 0.3):
        tiers["value"] = rng.choice(["amount", "amount_each"])
    kind: Doc = rng.choice(
        [
            a_percent(rng),
            a_percent(rng),
            {"amount_each": rng.choice(["5.00", "33.33", "0.01"])},
            {"amount": rng.choice(AMOUNTS)},
            {"amount": rng.choice(AMOUNTS)},
            {"tiers": tiers},
            {"steps": rng.choice([["0", "10", "20"], ["50", "25"], ["12.5"]])},
            {"by_category": {"food": "5", "food/dairy": "33.3333", "home": "0"}},
        ]
    )
    made: Doc = filtered(rng, a_filter) | kind
    if maybe(rng, 0.25):
        made["skip"] = rng.randint(1, 2)
    if maybe(rng, 0.35):
        made["max_qty"] = rng.randint(1, 3)
        if maybe(rng, 0.4):
            made["max_qty_by"] = rng.choice(["receipt", "line", "sku"])
    if maybe(rng, 0.6):
        made["choose"] = rng.choice(["dearest", "cheapest", "line"])
    if maybe(rng, 0.2):
        made["cap"] = rng.choice(["10.00", "33.33"])
    return made


def _set_price(rng: random.Random, a_filter: Filter) -> Doc:
    kind: Doc = rng.choice(
        [
            {"price": rng.choice(TARGETS)},
            {"price_type": "card"},
            {"ending": rng.choice(["0.99", "9.90", "5.00"])},
        ]
    )
    made: Doc = filtered(rng, a_filter) | kind
    if maybe(rng, 0.4):
        made["max_qty"] = rng.randint(1, 3)
    if maybe(rng, 0.5):
        made["choose"] = rng.choice(["dearest", "cheapest", "line"])
    return made


def _nth(rng: random.Random, a_filter: Filter) -> Doc:
    every = rng.randint(2, 3)
    made: Doc = filtered(rng, a_filter) | {"every": every}
    if maybe(rng, 0.3):
        made["take"] = rng.randint(1, every - 1)
    if maybe(rng, 0.7):
        made |= reward(rng)
    if maybe(rng, 0.5):
        made["grouping"] = rng.choice(["chunks", "cheapest"])
    if maybe(rng, 0.3):
        made["same"] = rng.choice(["sku", "line"])
    return made


def _set(rng: random.Random, a_filter: Filter) -> Doc:
    slots: list[Doc] = []
    for _ in range(rng.choice([1, 2, 2])):
        slot: Doc = {"filter": a_filter(rng), "qty": rng.choice([1, 1, 2])}
        if maybe(rng, 0.4):
            slot["choose"] = rng.choice(["dearest", "cheapest", "line"])
        slots.append(slot)
    whole: Doc = rng.choice(
        [{"price": rng.choice(AMOUNTS)}, a_percent(rng), {"amount": rng.choice(AMOUNTS)}, {}]
    )
    if not whole:
        slots[-1] |= reward(rng)
    return {"slots": slots} | whole


def _gift_goods(rng: random.Random, a_filter: Filter) -> Doc:
    made: Doc = {"filter": a_filter(rng)}
    if maybe(rng, 0.5):
        made["per"] = rng.choice([{"amount": "66.66"}, {"qty": "2"}]) | filtered(rng, a_filter, 0.5)
        if maybe(rng, 0.3):
            made["per"]["gifts"] = 2
    elif maybe(rng, 0.5):
        made["qty"] = rng.randint(1, 2)
    if maybe(rng, 0.3):
        made["max"] = rng.randint(1, 3)
    if maybe(rng, 0.4):
        made["price"] = rng.choice(["0.01", "9.99"])
    if maybe(rng, 0.4):
        made["choose"] = rng.choice(["dearest", "cheapest", "line"])
    return made


def _chips_price(rng: random.Random, a_filter: Filter) -> Doc:
    made: Doc = filtered(rng, a_filter) | {"chips": "cats"}
    if maybe(rng, 0.4):
        made["ladder"] = [[2, "12.5"], [4, "40"]]
    else:
        made |= {"each": rng.randint(1, 4)} | reward(rng)
    if maybe(rng, 0.3):
        made["max_qty"] = rng.randint(1, 3)
    if maybe(rng, 0.3):
        made["choose"] = rng.choice(["cheapest", "line"])
    return made


def _counter_nth(rng: random.Random, a_filter: Filter) -> Doc:
    made: Doc = filtered(rng, a_filter) | {"counter": "cup", "every": rng.randint(2, 4)}
    return made | ({"price": "9.99"} if maybe(rng, 0.3) else {})


def _manual(rng: random.Random, a_filter: Filter) -> Doc:
    made: Doc = filtered(rng, a_filter, 0.4) | {"max_percent": rng.choice(["10", "30"])}
    return made | ({"permission": ["senior"]} if maybe(rng, 0.5) else {})


def _external(rng: random.Random, a_filter: Filter) -> Doc:
    return filtered(rng, a_filter, 0.4) | {"service": "partner", "timeout_ms": 1000}


def _receipt(rng: random.Random, a_filter: Filter, taste: Taste) -> Doc:
    kind: Doc = rng.choice(
        [
            a_percent(rng),
            {"amount": rng.choice(AMOUNTS)},
            {"price": "99.99"},
            {"tiers": [["50.00", "3"], ["150.00", "12.5"]]},
            {"tiers": [["50.00", "3.33"], ["150.00", "20"]], "value": "amount"},
            {"per": {"each": "33.33", "amount": "3.00"}},
            {"above": {"from": "50.00", "percent": "12.5"}},
        ]
    )
    made: Doc = {"do": "discount_receipt"} | filtered(rng, a_filter, 0.4) | kind
    return made | ({"cap": "20.00"} if maybe(rng, 0.25) else {})


def _spend(rng: random.Random, a_filter: Filter, taste: Taste) -> Doc:
    made: Doc = {"do": "spend_points", "account": rng.choice(["main", "main", "bonus"])}
    made |= filtered(rng, a_filter, 0.3)
    if maybe(rng, 0.6):
        made["max_percent"] = rng.choice(["30", "50", "99"])
    if maybe(rng, 0.3):
        made["keep_each"] = rng.choice(["0.01", "1.00"])
    if maybe(rng, 0.3):
        made["keep_total"] = "10.00"
    if maybe(rng, 0.3):
        made["step"] = "5"
    if taste.wide and maybe(rng, 0.3):
        made["account"] = "gold"
    return made


def _round(rng: random.Random, a_filter: Filter, taste: Taste) -> Doc:
    made: Doc = {"do": "round_total", "to": rng.choice(["1.00", "10.00", "0.50"])}
    return made | ({"each_line": True} if maybe(rng, 0.3) else {})


def _accrue(rng: random.Random, a_filter: Filter, taste: Taste) -> Doc:
    kind = rng.random()
    filter_ = filtered(rng, a_filter, 0.5)
    if kind < 0.15:
        chips: Doc = rng.choice(
            [
                {"per": {"amount": "50.00", "chips": 1}},
                {"per_qty": {"qty": "2", "chips": 3}},
                {"fixed": 2},
            ]
        )
        return {"do": "accrue_chips", "chips": "cats"} | filter_ | chips
    if kind < 0.25 and taste.wide:
        count: Doc = {"do": "count", "counter": rng.choice(["coffee", "cup"])} | filter_
        by = rng.choice(["receipt", "quantity", "total"])
        return count | ({"reset": True} if maybe(rng, 0.25) else {"by": by})
    if kind < 0.25 and "coffee" not in taste.counters:
        taste.counters.add("coffee")
        by = rng.choice(["receipt", "quantity"])
        return {"do": "count", "counter": "coffee", "by": by} | filter_
    points: Doc = rng.choice(
        [
            {"percent": rng.choice(["5", "12.5"])},
            {"percent": "7"},
            {"by_level": {"Gold": "6", "Silver": "3"}},
            {"per": {"amount": "10.00", "points": "1"}},
            {"per_qty": {"qty": "2", "points": "30"}},
            {"fixed": "15"},
            {"multiply": "2"},
        ]
    )
    if "multiply" in points:
        filter_ = {}
    made: Doc = {"do": "accrue_points", "account": rng.choice(["main", "main", "bonus"])}
    made |= filter_ | points
    if maybe(rng, 0.2) and "multiply" not in points and "fixed" not in points:
        made["base"] = "list"
    if maybe(rng, 0.2):
        made["cap"] = "10"
    if maybe(rng, 0.2):
        made["cap_day"] = "25"
    if maybe(rng, 0.2):
        made["active_after_days"] = 3
    if taste.wide and maybe(rng, 0.2):
        made |= rng.choice([{"account": "gold"}, {"expires_after_days": 7}])
    return made


def _inform(rng: random.Random, a_filter: Filter, taste: Taste) -> Doc:
    per: Doc = rng.choice([{"amount": "66.66"}, {"qty": "2"}]) | filtered(rng, a_filter, 0.4)
    choices: list[Doc] = [
        {"do": "message", "to": "slip", "at": "end", "text": "hello"},
        {"do": "issue_coupon", "series": "NEXT", "count": 1, "max": 2},
        {"do": "issue_coupon", "series": "NEXT", "per": per},
        {"do": "gift_info", "what": "album", "per": per, "max": 3},
        {"do": "service", "code": "donation", "text": "give", "donate_to": "10.00"},
    ]
    return rng.choice(choices)


GOODS: dict[str, Callable[[random.Random, Filter], Doc]] = {
    "discount_goods": _discount_goods,
    "set_price": _set_price,
    "nth": _nth,
    "set": _set,
    "gift_goods": _gift_goods,
    "chips_price": _chips_price,
    "counter_nth": _counter_nth,
    "manual": _manual,
    "external": _external,
}
MAKERS: dict[str, Callable[[random.Random, Filter, Taste], Doc]] = {
    "goods": _goods,
    "receipt": _receipt,
    "spend": _spend,
    "round": _round,
    "accrue": _accrue,
    "inform": _inform,
}
