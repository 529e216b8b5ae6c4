"""Does a promise cost more when much was spent on its lease before? It must not.

One lease with 0 to 5,000 spends: a hold and its void, as the writer does them, and beside them the
same lease added up from its rows, as every hold did before sums were kept. Prints a table and
writes build/bench/holds.json.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

import apsw
from support.measuring import report

from edge_agent.database.connection import open_writer
from edge_agent.leases.policy import Standing
from edge_agent.leases.store import Ask, hold, spend_now, void
from edge_agent.loyalty.store import put_lease
from edge_agent.outbox.store import start_stream
from shared.wire.enrol import LaneStart
from shared.wire.feed import LeaseEntry, LeaseState
from shared.wire.stream import Lane

SPENDS: Final = (0, 100, 1_000, 5_000)
REPEATS: Final = 50
HUB: Final = 7
_STANDING: Final = Standing(edge_id=HUB, epoch=1, now_ms=1)
_ADD_UP: Final = """
SELECT sum(p.amount), count(*) FROM hold_part p JOIN hold h ON h.uid = p.uid
WHERE p.lease_id = 'a' AND p.sub_lease_id IS NULL AND h.state = ?"""


def an_ask(number: int) -> Ask:
    return Ask(
        uid=number.to_bytes(16),
        receipt_id=f"r{number}",
        owner="c1",
        asset="points:main",
        amount=1,
        asker=HUB,
    )


def median_ms(work: Callable[[int], object]) -> float:
    found = []
    for number in range(REPEATS):
        started_ns = time.monotonic_ns()
        work(number)
        found.append((time.monotonic_ns() - started_ns) / 1e6)
    return median(found)


def measure(connection: apsw.Connection) -> tuple[float, float]:
    """Milliseconds of a hold with its void, and of adding up the lease as a hold did before."""

    def promise(number: int) -> None:
        ask = an_ask(10**6 + number)
        with connection:
            hold(connection, ask, _STANDING)
            void(connection, ask.uid, ask.receipt_id, _STANDING)
            connection.execute("DELETE FROM hold_part WHERE uid = ?", (ask.uid,))
            connection.execute("DELETE FROM hold WHERE uid = ?", (ask.uid,))
            connection.execute("DELETE FROM outbox")

    def add_up(_number: int) -> None:
        for state in ("held", "captured", "captured"):
            connection.execute(_ADD_UP, (state,)).fetchall()

    return median_ms(promise), median_ms(add_up)


def main() -> None:
    found: dict[int, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        connection = open_writer(Path(folder) / "edge.sqlite")
        # What is measured is the work, not the disk.
        connection.pragma("synchronous", "off")
        start_stream(connection, HUB, LaneStart(lane=Lane.MONEY, epoch=1, nonce=bytes(16)))
        lease = LeaseEntry(
            lease_id="a",
            owner="c1",
            asset="points:main",
            granted=10**6,
            spend_until_ms=10**9,
            state=LeaseState.OPEN,
            edge_id=HUB,
        )
        put_lease(connection, lease, 1)
        spent = 0
        for count in SPENDS:
            with connection:
                for number in range(spent, count):
                    spend_now(connection, an_ask(number + 1), _STANDING)
            spent = count
            found[count] = measure(connection)
        connection.close()
    none, most = found[SPENDS[0]][0], found[SPENDS[-1]][0]
    report(
        "holds",
        "One hold and its void, milliseconds",
        ("spends on the lease", "hold and void", "adding the lease up"),
        [(f"{count:,}", f"{hold_ms:.2f}", f"{ms:.2f}") for count, (hold_ms, ms) in found.items()]
        + [(f"{SPENDS[-1]:,} ÷ {SPENDS[0]}", f"{most / none:.2f}", "")],
        {str(count): {"hold_ms": a, "added_up_ms": b} for count, (a, b) in found.items()},
    )


if __name__ == "__main__":
    main()
