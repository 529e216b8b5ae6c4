"""How long pricing a receipt takes, and whether it depends on how many promotions there are.

Receipts of 50 lines that meet about 30 promotions, the same ones whether 100 are active or 100,000;
compiled and uncompiled. A figure is each receipt's fastest of several runs, percentiles are over
the receipts. Prints a table and writes build/bench/engine_pricing.json.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from programmes import realistic_programme, realistic_receipt
from support.measuring import FOLDER, against, percentile, prepare, report, tell, worker

SIZES: Final = (100, 1_000, 10_000, 100_000)
RECEIPTS: Final = 200
REPEATS_COMPILED: Final = 15
REPEATS_UNCOMPILED: Final = 5
P50_MS: Final = 0.25
P99_MS: Final = 1.0
UNCOMPILED_P50_MS: Final = 2.5
RATIOS: Final = {10_000: 1.5, 100_000: 3.0}


def compile_program(promotions: int, path: Path) -> Any:
    from rules_compiler.pipeline import compile_document
    from shared.engine.program import encode_program

    program = compile_document(json.dumps(realistic_programme(promotions)).encode()).program
    assert program is not None, "it is a valid programme"
    path.write_bytes(encode_program(program))
    return {}


def price(path: Path, repeats: int) -> Any:
    """Percentiles over receipts, and what must be equal for all sizes."""
    from shared.engine.evaluate import evaluate
    from shared.engine.groups import Runner
    from shared.engine.program import decode_program
    from shared.engine.ready import Ready
    from shared.wire.receipt_json import decode_receipt

    ready = Ready(decode_program(path.read_bytes()))
    receipts = [decode_receipt(realistic_receipt(seed)) for seed in range(RECEIPTS)]
    to_pay = sum(evaluate(ready, receipt).total.to_pay_minor for receipt in receipts)
    met = sum(len(Runner(ready, receipt).works) for receipt in receipts)
    gc.collect()
    gc.freeze()
    fastest_ns = [10**12] * RECEIPTS
    for _ in range(repeats):
        for number, receipt in enumerate(receipts):
            started_ns = time.perf_counter_ns()
            evaluate(ready, receipt)
            fastest_ns[number] = min(fastest_ns[number], time.perf_counter_ns() - started_ns)
    return {
        "p50_ms": round(percentile(fastest_ns, 50) / 1e6, 4),
        "p99_ms": round(percentile(fastest_ns, 99) / 1e6, 4),
        "candidates": round(met / RECEIPTS, 1),
        "to_pay_minor": to_pay,
    }


def main() -> None:
    prepare()
    figures: dict[str, Any] = {"compiled": {}, "uncompiled": {}}
    for size in SIZES:
        path = FOLDER / f"realistic-{size}.program"
        worker(__file__, "compile", size, path, compiled=False)
        for kind, repeats in (("compiled", REPEATS_COMPILED), ("uncompiled", REPEATS_UNCOMPILED)):
            figures[kind][size] = worker(
                __file__, "price", path, repeats, compiled=kind == "compiled"
            )
        path.unlink()
    answers = {each["to_pay_minor"] for sizes in figures.values() for each in sizes.values()}
    assert len(answers) == 1, f"all sizes and both engines price alike: {answers}"
    rows = []
    for kind, sizes in figures.items():
        for size, found in sizes.items():
            ratio = found["ratio_to_100"] = round(found["p50_ms"] / sizes[100]["p50_ms"], 2)
            rows.append(
                [
                    f"{kind}, {size:,} promotions",
                    f"{found['candidates']}",
                    f"{found['p50_ms']:.3f}",
                    f"{found['p99_ms']:.3f}",
                    f"{ratio:.2f}",
                    _targets(kind, size, found),
                ]
            )
    report(
        "engine_pricing",
        "A receipt of 50 lines, milliseconds",
        ["", "candidates", "p50", "p99", "÷ 100", "targets"],
        rows,
        figures,
    )


def _targets(kind: str, size: int, found: dict[str, Any]) -> str:
    told = []
    if size == 10_000 and kind == "compiled":
        told.append("p50 " + against(found["p50_ms"], P50_MS))
        told.append("p99 " + against(found["p99_ms"], P99_MS))
    if size == 10_000 and kind == "uncompiled":
        told.append("p50 " + against(found["p50_ms"], UNCOMPILED_P50_MS))
    if size in RATIOS and kind == "compiled":
        told.append("÷ 100 " + against(found["ratio_to_100"], RATIOS[size]))
    return "\n".join(told)


if __name__ == "__main__":
    if sys.argv[1:3] == ["--worker", "compile"]:
        tell(compile_program(int(sys.argv[3]), Path(sys.argv[4])))
    elif sys.argv[1:3] == ["--worker", "price"]:
        tell(price(Path(sys.argv[3]), int(sys.argv[4])))
    else:
        main()
