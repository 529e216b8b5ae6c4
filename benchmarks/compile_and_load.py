"""What 10,000 promotions cost before the first receipt: to compile, to send, to load, to keep.

Loading is what a shop does with the bytes of a bundle: signature, unpacking, decoding, making
ready. Memory is what a fresh process has more after it. Prints a table and writes
build/bench/compile_and_load.json.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

from programmes import realistic_programme, realistic_receipt
from support.measuring import FOLDER, against, fastest_ms, prepare, report, tell, worker

PROMOTIONS: Final = 10_000
RECEIPTS: Final = 1_000
REPEATS_COMPILE: Final = 3
REPEATS_LOAD: Final = 9
KEY: Final = b"\x07" * 32
COMPILE_S: Final = 3.0
BUNDLE_MB: Final = 1.5
LOAD_MS: Final = 150.0
MEMORY_MB: Final = 60.0


def compile_bundle(path: Path) -> Any:
    from rules_compiler.pipeline import compile_document
    from shared.bundle.writer import write_bundle
    from shared.crypto.signing import Signer

    document = json.dumps(realistic_programme(PROMOTIONS)).encode()
    compile_ms = fastest_ms(REPEATS_COMPILE, lambda: compile_document(document))
    program = compile_document(document).program
    assert program is not None, "it is a valid programme"
    started_ns = time.perf_counter_ns()
    data = write_bundle(program, Signer(KEY), created_at_ms=0)
    write_ms = (time.perf_counter_ns() - started_ns) / 1e6
    path.write_bytes(data)
    return {
        "document_bytes": len(document),
        "compile_s": round(compile_ms / 1e3, 3),
        "write_ms": round(write_ms, 1),
        "bundle_bytes": len(data),
    }


def load(path: Path) -> Any:
    from shared.bundle.trust import open_bundle
    from shared.crypto.signing import Signer
    from shared.engine.evaluate import evaluate
    from shared.wire.receipt_json import decode_receipt

    signer = Signer(KEY)
    trusted = {signer.key_id: signer.public_key}
    data = path.read_bytes()
    receipts = [decode_receipt(realistic_receipt(seed)) for seed in range(RECEIPTS)]
    gc.collect()
    before = _rss_bytes()
    started_ns = time.perf_counter_ns()
    ready = open_bundle(data, trusted, version_floor=0).ready
    first_ms = (time.perf_counter_ns() - started_ns) / 1e6
    loaded = _rss_bytes()
    for receipt in receipts:
        evaluate(ready, receipt)
    used = _rss_bytes()
    load_ms = fastest_ms(REPEATS_LOAD, lambda: open_bundle(data, trusted, version_floor=0))
    return {
        "load_first_ms": round(first_ms, 1),
        "load_ms": round(load_ms, 1),
        "memory_loaded_mb": round((loaded - before) / 2**20, 1),
        "memory_used_mb": round((used - before) / 2**20, 1),
    }


def _rss_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    prepare()
    path = FOLDER / "realistic.bundle"
    figures: dict[str, Any] = worker(__file__, "compile", path, compiled=True)
    figures |= worker(__file__, "load", path, compiled=True)
    path.unlink()
    bundle_mb = figures["bundle_bytes"] / 2**20
    report(
        "compile_and_load",
        f"{PROMOTIONS:,} promotions",
        ["", "", "target"],
        [
            ["compile, s", f"{figures['compile_s']:.2f}", against(figures["compile_s"], COMPILE_S)],
            ["document, MB", f"{figures['document_bytes'] / 2**20:.2f}", ""],
            ["pack and sign, ms", f"{figures['write_ms']:.0f}", ""],
            ["bundle, MB", f"{bundle_mb:.2f}", against(bundle_mb, BUNDLE_MB)],
            ["load, ms", f"{figures['load_ms']:.0f}", against(figures["load_ms"], LOAD_MS)],
            ["load the first time, ms", f"{figures['load_first_ms']:.0f}", ""],
            [
                "memory more once loaded, MB",
                f"{figures['memory_loaded_mb']:.1f}",
                against(figures["memory_loaded_mb"], MEMORY_MB),
            ],
            [
                f"memory more after {RECEIPTS:,} receipts, MB",
                f"{figures['memory_used_mb']:.1f}",
                against(figures["memory_used_mb"], MEMORY_MB),
            ],
        ],
        figures,
    )


if __name__ == "__main__":
    if sys.argv[1:3] == ["--worker", "compile"]:
        tell(compile_bundle(Path(sys.argv[3])))
    elif sys.argv[1:3] == ["--worker", "load"]:
        tell(load(Path(sys.argv[3])))
    else:
        main()
