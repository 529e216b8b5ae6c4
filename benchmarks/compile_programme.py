"""How long does publishing take before anything is signed? Documents of 1,000 to 50,000 promotions.

Compiled from JSON and from YAML, on one core, with all warnings looked for; and the size of what a
bundle carries, before compression. Prints a table and writes build/bench/compile_programme.json.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml
from rich import box
from rich.console import Console
from rich.table import Table

from rules_compiler.pipeline import compile_document
from shared.engine.program import encode_program

sys.path.insert(0, str(Path(__file__).parent))
from programmes import realistic_programme

FOLDER: Final = Path("build") / "bench"
PROMOTIONS: Final = (1_000, 10_000, 50_000)
YAML_PROMOTIONS_MAX: Final = 10_000
"""Writing YAML, which only this benchmark does, takes far longer than reading it."""
RUNS: Final = 3
DUMPER: Final[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def seconds(work: Callable[[], Any]) -> float:
    """The fastest of some runs, in processor time."""
    times: list[float] = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def measure(promotions: int) -> dict[str, Any]:
    value = realistic_programme(promotions)
    document = json.dumps(value).encode()
    program = compile_document(document).program
    assert program is not None, "it is a valid programme"
    figures: dict[str, Any] = {
        "promotions": promotions,
        "document_bytes": len(document),
        "program_bytes": len(encode_program(program)),
        "json_s": round(seconds(lambda: compile_document(document)), 3),
    }
    if promotions <= YAML_PROMOTIONS_MAX:
        # Through JSON once more: YAML would write what stands twice as an alias, which is refused.
        text = yaml.dump(json.loads(document), Dumper=DUMPER, allow_unicode=True).encode()
        assert compile_document(text, "yaml").program == program, "both say the same"
        figures["yaml_s"] = round(seconds(lambda: compile_document(text, "yaml")), 3)
    figures["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return figures


def main() -> None:
    """Measure, print, write."""
    found = [measure(promotions) for promotions in PROMOTIONS]
    table = Table(title="Compiling a programme, seconds of one core", box=box.ROUNDED)
    for heading in ("promotions", "JSON", "YAML", "document, MB", "program, MB", "peak RSS, MB"):
        table.add_column(heading, justify="right")
    for each in found:
        table.add_row(
            f"{each['promotions']:,}",
            f"{each['json_s']:.2f}",
            f"{each['yaml_s']:.2f}" if "yaml_s" in each else "",
            f"{each['document_bytes'] / 10**6:.1f}",
            f"{each['program_bytes'] / 10**6:.1f}",
            str(each["peak_rss_mb"]),
        )
    Console(highlight=False).print(table)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "compile_programme.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
