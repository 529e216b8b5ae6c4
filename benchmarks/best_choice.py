"""Whether ``best`` proves its choice in time where six sets overlap over thirty pieces.

Random cases of several shapes: articles alike or all different, slots of one to three pieces by
category, brand or list of articles, rewards by price, percent or amount; in half of the cases one
set of the six gives way to an ``nth``. A figure is each case's fastest of five runs. Prints a table
and writes build/bench/best_choice.json.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from typing import Any, Final

from support.measuring import against, percentile, prepare, report, tell, worker

Doc = dict[str, Any]

CASES: Final = {"compiled": 600, "uncompiled": 90}
"""Uncompiled ones are for the ratio only."""
RUNS: Final = 5
PIECES: Final = 30
PROMOTIONS: Final = 6
TARGET_MS: Final = 5.0
TARGET_SHARE: Final = 99.0
SHAPES: Final = {"few articles": 6, "some articles": 14, "all different": PIECES}
"""Articles among which the pieces are spread."""
_CATEGORIES: Final = 5
_BRANDS: Final = 4


def a_case(seed: int) -> tuple[str, Doc, Doc]:
    """The shape, a programme and a receipt."""
    rng = random.Random(seed)
    shape = sorted(SHAPES)[seed % len(SHAPES)]
    articles = [
        {
            "sku": f"sku-{number}",
            "category": f"food/food-{rng.randrange(_CATEGORIES)}",
            "brand": f"brand-{rng.randrange(_BRANDS)}",
            "price": f"{rng.randint(20, 900)}.{rng.choice(['90', '99', '00', '49'])}",
        }
        for number in range(SHAPES[shape])
    ]
    counts = [PIECES // len(articles)] * len(articles)
    for number in range(PIECES - sum(counts)):
        counts[number] += 1
    with_nth = rng.random() < 0.5
    promotions = [
        {
            "id": f"P{number}",
            "name": f"P{number}",
            "priority": rng.choice([50, 100, 100]),
            "then": [_nth(rng, articles) if with_nth and number == 0 else _set(rng, articles)],
        }
        for number in range(PROMOTIONS)
    ]
    programme = {
        "programme": "best",
        "version": 1,
        "currency": "RUB",
        "timezone": "Europe/Moscow",
        "groups": [{"id": "main", "resolve": "best"}],
        "promotions": promotions,
    }
    receipt = {
        "receipt_id": f"r-{seed}",
        "store": "S1",
        "register": "R1",
        "time": "2026-11-23T12:00:00+03:00",
        "lines": [
            {"line": line, "qty": str(count), **article}
            for line, (article, count) in enumerate(zip(articles, counts, strict=True), start=1)
        ],
    }
    return shape, programme, receipt


def _filter(rng: random.Random, articles: list[Doc]) -> Doc:
    kind = rng.randrange(3)
    if kind == 0:
        return {"category": [f"food/food-{rng.randrange(_CATEGORIES)}"]}
    if kind == 1:
        return {"brand": [f"brand-{rng.randrange(_BRANDS)}"]}
    chosen = rng.sample(articles, rng.randint(2, max(len(articles) // 3, 2)))
    return {"sku": [each["sku"] for each in chosen]}


def _set(rng: random.Random, articles: list[Doc]) -> Doc:
    slots: list[Doc] = [
        {"filter": _filter(rng, articles), "qty": rng.randint(1, 3)}
        for _ in range(rng.choice([1, 2, 2, 2, 3]))
    ]
    made: Doc = {"do": "set", "slots": slots}
    kind = rng.randrange(4)
    if kind == 0:
        made["percent"] = rng.choice(["10", "15", "20", "30"])
    elif kind == 1:
        made["price"] = f"{rng.randint(100, 900)}.00"
    elif kind == 2:
        made["amount"] = f"{rng.randint(20, 300)}.00"
    else:
        slots[-1] |= rng.choice([{"percent": "50"}, {"percent": "100"}, {"price": "1.00"}])
    return made


def _nth(rng: random.Random, articles: list[Doc]) -> Doc:
    every = rng.choice([2, 3])
    return {"do": "nth", "filter": _filter(rng, articles), "every": every, "percent": "50"}


def measure(cases: int) -> Any:
    """Milliseconds and whether it was proven, case by case."""
    from rules_compiler.pipeline import compile_document
    from shared.engine.evaluate import evaluate
    from shared.engine.ready import Ready
    from shared.wire.receipt_json import decode_receipt

    gc.freeze()
    found = []
    for seed in range(cases):
        shape, programme, document = a_case(seed)
        compilation = compile_document(json.dumps(programme).encode())
        assert compilation.program is not None, compilation.diagnostics
        ready, receipt = Ready(compilation.program), decode_receipt(document)
        fastest_ns = 10**12
        for _ in range(RUNS):
            started_ns = time.perf_counter_ns()
            answer = evaluate(ready, receipt)
            fastest_ns = min(fastest_ns, time.perf_counter_ns() - started_ns)
        kind = programme["promotions"][0]["then"][0]["do"]
        found.append(
            {
                "seed": seed,
                "shape": shape,
                "with_nth": kind == "nth",
                "ns": fastest_ns,
                "proven": answer.optimal,
            }
        )
    return found


def main() -> None:
    prepare()
    figures: dict[str, Any] = {}
    rows = []
    for kind, count in CASES.items():
        cases = worker(__file__, count, compiled=kind == "compiled")
        figures[kind] = {}
        for shape in ("all", *SHAPES, "with an nth"):
            chosen = [
                case
                for case in cases
                if shape in ("all", case["shape"]) or (shape == "with an nth" and case["with_nth"])
            ]
            times_ms = [case["ns"] / 1e6 for case in chosen]
            in_time = [case for case in chosen if case["proven"] and case["ns"] / 1e6 <= TARGET_MS]
            found = {
                "cases": len(chosen),
                "proven_percent": _share([case for case in chosen if case["proven"]], chosen),
                "p50_ms": round(percentile(times_ms, 50), 2),
                "p90_ms": round(percentile(times_ms, 90), 2),
                "p99_ms": round(percentile(times_ms, 99), 2),
                "most_ms": round(max(times_ms), 2),
                "proven_in_time_percent": _share(in_time, chosen),
                "slowest_seeds": [
                    case["seed"] for case in sorted(chosen, key=lambda case: -case["ns"])[:5]
                ],
                "not_proven_seeds": [case["seed"] for case in chosen if not case["proven"]][:20],
            }
            figures[kind][shape] = found
            target = ""
            if kind == "compiled" and shape == "all":
                target = against(found["proven_in_time_percent"], TARGET_SHARE, at_least=True)
            rows.append(
                [
                    f"{kind}, {shape}",
                    f"{found['cases']}",
                    f"{found['proven_percent']:.1f} %",
                    *[f"{found[key]:.2f}" for key in ("p50_ms", "p90_ms", "p99_ms", "most_ms")],
                    f"{found['proven_in_time_percent']:.1f} %",
                    target,
                ]
            )
    report(
        "best_choice",
        f"best: {PROMOTIONS} overlapping sets over {PIECES} pieces, milliseconds",
        [
            "",
            "cases",
            "proven",
            "p50",
            "p90",
            "p99",
            "most",
            f"proven in {TARGET_MS:g} ms",
            "target, %",
        ],
        rows,
        figures,
    )


def _share(part: list[Any], whole: list[Any]) -> float:
    return round(100 * len(part) / len(whole), 2)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        tell(measure(int(sys.argv[2])))
    else:
        main()
