"""Does anything grow? An agent sells at full speed; head office takes every record.

Eight tills price and sell as fast as they can, ``--receipts`` at most or for ``--minutes``. At
every sixteenth of the way, with the queue empty: memory, open files, threads, the log beside the
database, what waits for head office, and bytes of the database for each receipt, which are kept for
some weeks and must not become more. Later figures are compared with those at the first quarter,
when all caches are full. Writes build/bench/soak.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from support.agents import Running, agent, head_office
from support.measuring import FOLDER, against, prepare, report
from support.sales import sell
from support.shop import Size, fill_folder
from support.spending import rss_bytes
from support.tills import get, open_till

SIZE: Final = Size(promotions=1_000, products=5_000, members=2_000)
TILLS: Final = 8
RECEIPTS: Final = 1_000_000
MINUTES: Final = 10.0
LOOKS: Final = 16
SETTLED: Final = LOOKS // 4
EMPTY_S_MAX: Final = 120.0
RSS_GROWTH_MAX: Final = 1.05
"""The allocator's; what is kept of every receipt would be much more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the agent is after so many receipts."""

    receipts: int
    seconds: float
    rss_mb: float
    files: int
    threads: int
    log_mb: float
    queue: int
    database_bytes: int


async def look(shop: Running, folder: Path, receipts: int, began_s: float) -> Look:
    """Wait until nothing waits for head office, then look."""
    seconds = time.perf_counter() - began_s
    until_s = time.monotonic() + EMPTY_S_MAX
    queue = await queue_depth(shop)
    while queue and time.monotonic() < until_s:
        await asyncio.sleep(1)
        queue = await queue_depth(shop)
    process = Path(f"/proc/{shop.pid}")
    return Look(
        receipts=receipts,
        seconds=round(seconds, 1),
        rss_mb=round(rss_bytes(shop.pid) / 2**20, 1),
        files=len(list((process / "fd").iterdir())),
        threads=len(list((process / "task").iterdir())),
        log_mb=round((folder / "edge.sqlite-wal").stat().st_size / 2**20, 1),
        queue=queue,
        database_bytes=(folder / "edge.sqlite").stat().st_size,
    )


async def queue_depth(shop: Running) -> int:
    """Records that wait for head office, as the agent tells."""
    till = await open_till(shop.address)
    depth = json.loads(await till.call(get("/v1/status")))["queue_depth"]
    till.close()
    assert isinstance(depth, int)
    return depth


async def soak(shop: Running, folder: Path, receipts: int, minutes: float) -> list[Look]:
    """Sell; a look after each sixteenth of the receipts, or of the time."""
    began_s = time.perf_counter()
    looks: list[Look] = []
    sold = 0
    for part in range(1, LOOKS + 1):
        is_over = over_after(began_s + minutes * 60 * part / LOOKS)
        sold += await sell(
            shop,
            f"soak-{part}",
            receipts // LOOKS,
            tills=TILLS,
            members=SIZE.members,
            is_over=is_over,
        )
        looks.append(await look(shop, folder, sold, began_s))
        print(json.dumps(asdict(looks[-1])), flush=True)
    return looks


def over_after(until_s: float) -> Callable[[], bool]:
    """Whether a moment has passed."""
    return lambda: time.perf_counter() > until_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--receipts", type=int, default=RECEIPTS)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    options = parser.parse_args()
    prepare()
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix="soak-") as name, head_office() as office:
        folder = Path(name) / "shop"
        fill_folder(folder, SIZE, office.address)
        with agent(folder) as shop:
            looks = asyncio.run(soak(shop, folder, options.receipts, options.minutes))
    first, last = looks[SETTLED - 1], looks[-1]

    def per_receipt(earlier: Look, later: Look) -> float:
        return (later.database_bytes - earlier.database_bytes) / (later.receipts - earlier.receipts)

    half = looks[(SETTLED + LOOKS) // 2 - 1]
    growth = last.rss_mb / first.rss_mb
    early, late = per_receipt(first, half), per_receipt(half, last)
    rows = [
        ["receipts sold", f"{first.receipts:,}", f"{last.receipts:,}", ""],
        [
            "memory, MB",
            f"{first.rss_mb}",
            f"{last.rss_mb}",
            against(round(growth, 3), RSS_GROWTH_MAX),
        ],
        ["open files", f"{first.files}", f"{last.files}", against(last.files - first.files, 0)],
        [
            "threads",
            f"{first.threads}",
            f"{last.threads}",
            against(last.threads - first.threads, 0),
        ],
        ["log, MB", f"{first.log_mb}", f"{last.log_mb}", against(last.log_mb, 64)],
        ["records that wait", f"{first.queue}", f"{last.queue}", against(last.queue, 0)],
        [
            "database, bytes a receipt",
            f"{early:,.0f}",
            f"{late:,.0f}",
            against(round(late / early, 3), 1.05),
        ],
    ]
    figures: dict[str, Any] = {
        "looks": [asdict(each) for each in looks],
        "receipts_per_s": round(last.receipts / last.seconds),
        "rss_growth": round(growth, 4),
    }
    title = f"{last.receipts:,} receipts in {last.seconds / 60:.1f} minutes"
    report("soak", title, ["", "at a quarter", "at the end", "target"], rows, figures)


if __name__ == "__main__":
    main()
