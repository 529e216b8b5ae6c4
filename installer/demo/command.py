"""The command: options in, the story run, everything stopped, an exit code out."""

from __future__ import annotations

import argparse
import asyncio
import signal
import traceback
from pathlib import Path

from rich.console import Console

from installer.demo.processes import Children, stop_leftover_servers
from installer.demo.scenario import Scenario
from installer.demo.texts import tr
from installer.demo.town import fresh_folder
from shared.errors import AppError, ConflictError


def run_command() -> int:
    """Run the demo; 0 when every difference is zero, 1 when not, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="kopilka-demo", description=tr("Sell through an outage"))
    parser.add_argument("--exit", action="store_true", help=tr("end by itself"))
    parser.add_argument("--receipts", type=int, default=None, help=tr("at most so many receipts"))
    parser.add_argument("--seed", type=int, default=1, help=tr("who pays with points"))
    options = parser.parse_args()
    if options.receipts is not None and options.receipts < 30:
        parser.error(tr("at least 30 receipts"))
    console = Console(highlight=False)
    try:
        with fresh_folder() as folder:
            return _run_in(folder, console, options)
    except ConflictError as error:
        console.print(f"{error.message} {error.hint or ''}", markup=False)
        return 1


def _run_in(folder: Path, console: Console, options: argparse.Namespace) -> int:
    children = Children(folder / "logs")
    scenario = Scenario(
        console=console,
        children=children,
        folder=folder,
        receipts_max=options.receipts,
        seed=options.seed,
        stay=not options.exit,
    )
    try:
        return asyncio.run(_until_signal(scenario))
    except asyncio.CancelledError:
        console.print(tr("Interrupted: everything has been stopped."))
        return 130
    except Exception as error:  # noqa: BLE001 - nothing of the inside reaches the screen
        return _failed(console, error, folder / "logs" / "demo.err")
    finally:
        children.stop_all()
        stop_leftover_servers(folder)


def _failed(console: Console, error: Exception, log: Path) -> int:
    """Say in words what went wrong; the trace goes to a file."""
    log.write_text("".join(traceback.format_exception(error)), "utf-8")
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    words = error.message if isinstance(error, AppError) else type(error).__name__
    console.print(f"[bold red]{tr('The demo failed.')}[/]", end=" ")
    console.print(words, markup=False)
    hint = error.hint if isinstance(error, AppError) else None
    console.print(hint or f"{tr('More is in')} {log}", markup=False)
    return 1


async def _until_signal(scenario: Scenario) -> int:
    """Run with Ctrl-C and SIGTERM as a cancellation, never in the middle of a statement."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await scenario.run()
    finally:
        # A second Ctrl-C must not leave half of the programs running.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
