"""How many receipts of the past one core prices again in a second.

The command ``kopilka-rules backtest`` as it is: reading JSON lines, pricing under 1,000 promotions,
counting. With receipts of a usual shop (1 to 20 lines) and with long ones (50 lines). Prints a
table and writes build/bench/backtest.json.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from programmes import realistic_programme, realistic_receipt
from support.measuring import FOLDER, against, environment, prepare, report

PROMOTIONS: Final = 1_000
RECEIPTS: Final = 10_000
REPEATS: Final = 3
TARGET_PER_S: Final = 5_000


def main() -> None:
    prepare()
    programme = FOLDER / "backtest-programme.json"
    programme.write_text(json.dumps(realistic_programme(PROMOTIONS)), "utf-8")
    figures: dict[str, Any] = {"receipts": RECEIPTS, "promotions": PROMOTIONS}
    rows = []
    for name, lines in (("1 to 20 lines", (1, 20)), ("50 lines", (50, 50))):
        receipts = FOLDER / "backtest-receipts.jsonl"
        _write_receipts(receipts, *lines)
        for kind in ("compiled", "uncompiled"):
            runs = [
                _run(programme, receipts, compiled=kind == "compiled")
                for _ in range(REPEATS if kind == "compiled" else 1)
            ]
            assert all(run["receipts"] == RECEIPTS for run in runs), "every receipt was priced"
            per_s = max(run["receipts_per_second"] for run in runs)
            figures[f"{kind}, {name}"] = {"per_s": per_s, "runs": len(runs)}
            is_target = kind == "compiled" and name == "1 to 20 lines"
            target = against(per_s, TARGET_PER_S, at_least=True) if is_target else ""
            rows.append([f"{kind}, {name}", f"{per_s:,.0f}", target])
        receipts.unlink()
    programme.unlink()
    report(
        "backtest",
        f"Back-test of {PROMOTIONS:,} promotions on one core",
        ["", "receipts/s", "target"],
        rows,
        figures,
    )


def _write_receipts(path: Path, low: int, high: int) -> None:
    rng = random.Random(1)
    with path.open("w", encoding="utf-8") as file:
        for seed in range(RECEIPTS):
            receipt = realistic_receipt(seed, lines=rng.randint(low, high))
            file.write(json.dumps(receipt, separators=(",", ":")) + "\n")


def _run(programme: Path, receipts: Path, *, compiled: bool) -> Any:
    result = FOLDER / "backtest-result.json"
    # The command's own script, so that the folder it is started in is no place to import from.
    script = Path(sys.executable).with_name("kopilka-rules")
    subprocess.run(
        [sys.executable, script, "backtest", programme, receipts, "--json", result],
        env=environment(compiled=compiled),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    told = json.loads(result.read_text("utf-8"))
    result.unlink()
    return told


if __name__ == "__main__":
    main()
