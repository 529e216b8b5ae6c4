"""Programmes and receipts of any size for measuring, alike for every benchmark.

A chain runs thousands of promotions, but one shop's basket meets only a few: of N promotions, HOT
speak of the goods that receipts are made of, the others of goods that these receipts never have.
So a receipt of 50 lines meets about 30 candidates, whether there are 100 promotions or 100,000,
and they are the same ones in the same order: its answer is the same too.
Run by itself it tells how many, and writes build/bench/programmes.json.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, Final

Doc = dict[str, Any]

FOLDER: Final = Path("build") / "bench"
HOT: Final = 100
SHELF: Final = 2_000
"""Articles that receipts are made of; each has a category and a brand of its own place."""
_CATEGORIES: Final = 66
_BRANDS: Final = 100
_TOLD_BY_TILLS: Final = ("line", "sku", "qty", "price")
_DEPARTMENTS: Final = ("food", "home", "beauty", "kids", "pets", "garden", "auto", "sport")
_PERCENTS: Final = ("5", "7.5", "10", "12.5", "15", "20", "25", "30")


def realistic_programme(promotions: int, seed: int = 1, *, resolve: str = "all") -> Doc:
    """A programme: 60 % by lists of articles, 20 % by category, 20 % by brand."""
    # Hot ones are spread evenly, so that their place in the order is as anybody's; each has its own
    # chance, so that they are the same among few and among many.
    rng = random.Random(f"{seed}-cold")
    step = max(promotions // HOT, 1)
    hot = {at * step: random.Random(f"{seed}-{at}") for at in range(min(HOT, promotions))}
    return {
        "programme": "realistic",
        "version": 1,
        "currency": "RUB",
        "timezone": "Europe/Moscow",
        "groups": [{"id": "main", "resolve": resolve}],
        "accounts": [{"id": "main"}],
        "store_groups": {"north": ["S1", "S2", "S3"]},
        "product_lists": {"without": {"sku": [_sku(n) for n in range(0, SHELF, 500)]}},
        "promotions": [
            _promotion(hot.get(number, rng), number, hot=number in hot, kind=number // step % 5)
            for number in range(promotions)
        ],
    }


def realistic_receipt(seed: int = 1, lines: int = 50) -> Doc:
    """A receipt of goods that meet about 30 candidates (in 50 lines)."""
    rng = random.Random(seed)
    return {
        "receipt_id": f"r-{seed}",
        "store": "S1",
        "register": "R1",
        "time": "2026-11-23T12:00:00+03:00",
        "channel": "pos",
        "customer": {
            "id": f"c-{seed}",
            "segments": ["regular"],
            "level": "gold",
            "points": {"main": "150.00"},
        },
        "coupons": [{"code": "AUTUMN-1", "series": "AUTUMN", "state": "valid"}],
        "payments": [],
        "lines": [_line(rng, number) for number in range(1, lines + 1)],
    }


def till_receipt(seed: int = 1, lines: int = 20, *, card: str | None = None) -> Doc:
    """The same goods as a till names them: the shop's catalogue knows category and brand."""
    rng = random.Random(seed)
    receipt: Doc = {
        "receipt_id": f"r-{seed}",
        "store": "S1",
        "register": "R1",
        "time": "2026-11-23T12:00:00+03:00",
        "lines": [
            {key: value for key, value in _line(rng, number).items() if key in _TOLD_BY_TILLS}
            for number in range(1, lines + 1)
        ],
    }
    if card is not None:
        receipt["customer"] = {"card": card}
    return receipt


def article(number: int) -> Doc:
    """One of the shop's articles; the first ``SHELF`` are those that receipts are made of."""
    return {
        "sku": _sku(number),
        "category": _category(number % 20 * 3),
        "brand": f"brand-{number % 40 * 7 % _BRANDS}",
        "weighed": number % 20 == 0,
    }


def _sku(number: int) -> str:
    return f"46{number:011d}"


def _category(number: int) -> str:
    department = _DEPARTMENTS[number % len(_DEPARTMENTS)]
    return f"{department}/{department}-{number // 8 % 25}/{department}-{number}"


def _line(rng: random.Random, number: int) -> Doc:
    # Few of the categories and brands: a shopper walks some of the shelves.
    goods = article(rng.randrange(SHELF))
    return {
        "line": number,
        "qty": (
            f"0.{rng.randint(100, 999)}"
            if goods["weighed"]
            else str(rng.choice([1, 1, 1, 2, 2, 3]))
        ),
        "price": f"{rng.randint(20, 900)}.{rng.choice(['90', '99', '00', '49'])}",
        "attrs": {},
        "flags": [],
        "min_price": "10.00",
        **goods,
    }


def _promotion(rng: random.Random, number: int, *, hot: bool, kind: int) -> Doc:
    wanted = _filter(rng, number, hot=hot, kind=kind)
    promotion: Doc = {
        "id": f"promo-{number:06d}",
        "name": f"Promotion of the supplier number {number}",
        "priority": rng.choice([50, 100, 100, 100, 200]),
        "active": {"from": "2026-11-01", "to": "2026-12-31"},
        "then": [_result(rng, wanted)],
    }
    if rng.random() < 0.2:
        promotion["when"] = rng.choice(
            [
                {"store": [{"group": "north"}]},
                {"quantity": {"filter": wanted, "from": "2"}},
                {"all": [{"channel": ["pos", "sco"]}, {"customer": {"level": ["gold"]}}]},
                {"customer": {"identified": True}},
            ]
        )
    if rng.random() < 0.2:
        promotion["limits"] = {"per_receipt": rng.randint(2, 10)}
    if rng.random() < 0.1:
        promotion["hint"] = "One more and it gets cheaper!"
    return promotion


def _filter(rng: random.Random, number: int, *, hot: bool, kind: int) -> Doc:
    """Goods of the shelf, or as many of a shelf that no receipt knows."""
    if kind < 3:
        first = 0 if hot else SHELF
        many = rng.randint(5, 20)
        return {
            "sku": [
                _sku(first + rng.randrange(SHELF * 20 if first else SHELF)) for _ in range(many)
            ]
        }
    if kind == 3:
        place = rng.randrange(_CATEGORIES)
        category = _category(place) if hot else f"{_category(place)}-{number}"
        return {"category": [category], "exclude": {"list": ["without"]}}
    return {"brand": [f"brand-{rng.randrange(_BRANDS)}" if hot else f"label-{number}"]}


def _result(rng: random.Random, wanted: Doc) -> Doc:
    kind = rng.random()
    if kind < 0.6:
        return {"do": "discount_goods", "filter": wanted, "percent": rng.choice(_PERCENTS)}
    if kind < 0.75:
        return {"do": "set_price", "filter": wanted, "price": f"{rng.randint(20, 400)}.90"}
    if kind < 0.9:
        return {"do": "nth", "filter": wanted, "every": rng.choice([2, 3]), "percent": "50"}
    slot = {"filter": wanted, "qty": 1}
    return {"do": "set", "slots": [slot, slot | {"qty": 2}], "percent": rng.choice(_PERCENTS)}


def main() -> None:
    """How many candidates receipts meet, by number of promotions."""
    from rules_compiler.pipeline import compile_document
    from shared.engine.groups import Runner
    from shared.engine.ready import Ready
    from shared.wire.receipt_json import decode_receipt

    figures: dict[str, float] = {}
    receipts = [decode_receipt(realistic_receipt(seed)) for seed in range(100)]
    for promotions in (100, 1_000, 10_000):
        document = json.dumps(realistic_programme(promotions)).encode()
        program = compile_document(document).program
        assert program is not None, "it is a valid programme"
        ready = Ready(program)
        met = [len(Runner(ready, receipt).works) for receipt in receipts]
        figures[str(promotions)] = sum(met) / len(met)
        print(f"{promotions:>7} promotions: {figures[str(promotions)]:.1f} candidates of a receipt")
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "programmes.json").write_text(json.dumps(figures), "utf-8")


if __name__ == "__main__":
    main()
