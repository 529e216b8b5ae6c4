"""What every benchmark shares: workers with and without the compiled engine, baselines, reports.

A worker is the benchmark's own file started with ``--worker``: a fresh process that measures one
thing and prints JSON. So the compiled and the uncompiled engine are measured by the same code.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "build" / "bench"
COMPILED: Final = ROOT / "build" / "compiled"
WIDTH: Final = 110
BASELINE_REPEATS: Final = 15
BASELINE_STEPS: Final = 200_000
BASELINE_NUMBERS: Final = 50_000
BASELINE_HASHED_BYTES: Final = 4 * 2**20

Figures = dict[str, Any]


def prepare() -> None:
    """A folder for results, and the compiled engine of the sources as they are."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, "-W", "ignore", "setup.py", "--quiet", "compiled"], cwd=ROOT, check=True
    )


def environment(*, compiled: bool) -> dict[str, str]:
    """The environment of a worker: the engine's compiled copy stands first, or not at all."""
    paths = [COMPILED, ROOT] if compiled else [ROOT]
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONSAFEPATH": ""}


def worker(script: str, *arguments: object, compiled: bool) -> Any:
    """What a worker of this file tells."""
    done = subprocess.run(
        [sys.executable, script, "--worker", *map(str, arguments)],
        env=environment(compiled=compiled),
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def tell(value: Any) -> None:
    """The end of a worker. Asserts that the engine it ran is the one that was asked for."""
    from shared.engine import evaluate

    asked = str(COMPILED) in os.environ["PYTHONPATH"].split(os.pathsep)
    assert str(evaluate.__file__).endswith(".so") == asked, evaluate.__file__
    print(json.dumps(value))


def fastest_ms(repeats: int, work: Callable[[], object]) -> float:
    """The least of several runs: what the machine can do when nobody disturbs it."""
    best_ns = 0
    for _ in range(repeats):
        started_ns = time.perf_counter_ns()
        work()
        spent_ns = time.perf_counter_ns() - started_ns
        best_ns = min(best_ns or spent_ns, spent_ns)
    return best_ns / 1e6


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` percent of the others do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share / 100), len(ordered) - 1)]


def baseline() -> dict[str, float]:
    """Two fixed pieces of work, one of Python's loop and one of its C, and the machine's load."""
    return {
        "python_loop_ms": round(fastest_ms(BASELINE_REPEATS, _python_loop), 2),
        "c_loop_ms": round(fastest_ms(BASELINE_REPEATS, _c_loop), 2),
        "load_1_min": round(os.getloadavg()[0], 2),
    }


def _python_loop() -> int:
    seen: dict[int, int] = {}
    total = 0
    for step in range(BASELINE_STEPS):
        key = step & 1023
        seen[key] = seen.get(key, 0) + step
        total += seen[key] % 7
    return total


def _c_loop() -> bytes:
    numbers = [step * 7919 % 104_729 for step in range(BASELINE_NUMBERS)]
    numbers.sort()
    return hashlib.sha256(bytes(BASELINE_HASHED_BYTES)).digest()


def report(
    name: str, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], figures: Figures
) -> None:
    """The table on screen, and the same with the baseline in build/bench/<name>.json."""
    machine = baseline()
    table = Table(title=title, box=box.ROUNDED)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=not number)
    for row in rows:
        table.add_row(*map(escape, row))
    console = Console(highlight=False, width=max(Console().width, WIDTH))
    console.print(table)
    console.print(
        f"this machine: fixed Python loop {machine['python_loop_ms']} ms, "
        f"fixed C loop {machine['c_loop_ms']} ms, "
        f"load {machine['load_1_min']} on {os.cpu_count()} cores\n"
    )
    FOLDER.mkdir(parents=True, exist_ok=True)
    document = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "baseline": machine,
        **figures,
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def against(value: float, target: float, *, at_least: bool = False) -> str:
    """A target and whether it is met."""
    met = value >= target if at_least else value <= target
    return f"{'≥' if at_least else '≤'} {target:g} {'met' if met else 'MISSED'}"
