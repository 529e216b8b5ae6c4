"""``kopilka-edge certify`` and ``simulate``: the wiring, and what is written to the screen."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

from edge_agent.kit.cashier import Cashier, Stand, store_of
from edge_agent.kit.day import Day, Plan
from edge_agent.kit.level import Level
from edge_agent.kit.load import Shop
from edge_agent.kit.printed import report_of, result_lines, summary_lines
from edge_agent.kit.suite import checks_of, is_certified, results_of
from edge_agent.kit.summary import day_lines, day_report, progress_line
from edge_agent.kit.till import a_till, token_in, url_of
from shared.clock import Clock
from shared.errors import InputError
from shared.ids import Chance
from shared.tongues import Tongue

PACKAGE: Final = "edge_agent.kit"
RUN_BYTES: Final = 6
"""Of randomness in every id of a run: two runs never meet."""
CONNECTIONS: Final = 16


def run(options: argparse.Namespace, clock: Clock, chance: Chance) -> int:
    """The command of these options: 0 when all is well, 1 when not.

    Raises:
        AppError: the agent cannot be asked at all, or an argument is wrong.
    """
    play = _certify if options.command == "certify" else _simulate
    return asyncio.run(play(options, clock, chance, sys.stdout))


async def _certify(options: argparse.Namespace, clock: Clock, chance: Chance, out: TextIO) -> int:
    level, tongue = Level(options.level), Tongue(options.lang, PACKAGE)
    checks = checks_of(level, options.without)
    run_id, time = chance.token_bytes(RUN_BYTES).hex(), _time_of(clock)
    results = []
    async with a_till(
        url_of(options.url), token_in(options.token_file), connections=CONNECTIONS
    ) as till:
        stand = Stand(
            run=run_id,
            time=time,
            store=await store_of(till),
            register=options.register,
            sku=options.sku,
            price=options.price,
            card=options.card,
            coupon=options.coupon,
            phone=options.phone,
            gift_card=options.gift_card,
            pin=options.pin,
        )
        async for result in results_of(Cashier(till, stand), checks, options.without):
            results.append(result)
            _write(out, "\n".join(result_lines(result, tongue)))
    _write(out, "\n" + "\n".join(summary_lines(results, tongue)))
    _write_report(
        options.report, lambda: report_of(results, url=options.url, run=run_id, time=time)
    )
    return 0 if is_certified(results, level) else 1


async def _simulate(options: argparse.Namespace, clock: Clock, chance: Chance, out: TextIO) -> int:
    tongue = Tongue(options.lang, PACKAGE)
    async with a_till(
        url_of(options.url), token_in(options.token_file), connections=options.tills
    ) as till:
        plan = Plan(
            run=chance.token_bytes(RUN_BYTES).hex(),
            time=_time_of(clock),
            store=await store_of(till),
            tills=options.tills,
            receipts=options.receipts,
            rate=options.rate,
            lines=options.lines,
            skus=options.sku or ["kit-1"],
            cards=options.card or [],
        )
        shop = Shop(till, plan, clock=clock, chance=chance)
        # Ctrl-C lets every till finish its receipt; a second one ends at once.
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.remove_signal_handler(signal.SIGINT)
            shop.stop()

        loop.add_signal_handler(signal.SIGINT, stop)

        def tell(day: Day) -> None:
            _write(sys.stderr, progress_line(day, plan, tongue))

        day = await shop.open(tell)
    _write(out, "\n".join(day_lines(day, tongue)))
    _write_report(options.report, lambda: day_report(day, plan))
    return 1 if day.errors or not day.sold else 0


def _time_of(clock: Clock) -> str:
    """Now, with the offset of this machine: the receipts of a run all have this time."""
    now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
    return now.astimezone().isoformat(timespec="seconds")


def _write(out: TextIO, text: str) -> None:
    out.write(text + "\n")
    out.flush()


def _write_report(file: Path | None, report: Callable[[], dict[str, Any]]) -> None:
    if file is None:
        return
    try:
        file.write_text(json.dumps(report(), indent=1) + "\n", "utf-8")
    except OSError as error:
        raise InputError("the report cannot be written", code="bad_argument") from error
