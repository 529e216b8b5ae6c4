"""The live screen: what is sold, what waits, which cables are whole."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from installer.demo.replay import Tally
from installer.demo.texts import tr

PLAIN_EVERY_S: Final = 5.0
"""Where there is no terminal, one line as often as this."""
BAR_WIDTH: Final = 16


@dataclass(slots=True, kw_only=True)
class ShopView:
    """One store on the screen."""

    store: str
    name: str
    linked: bool = True
    answering: bool = True
    queue_depth: int = 0
    queue_seen_max: int = 1
    bundle_version: int | None = None
    sold: int = 0


@dataclass(slots=True, kw_only=True)
class View:
    """What the screen shows; the demo changes it, the screen draws it."""

    total: int
    tally: Tally
    shops: list[ShopView]
    phase: str = ""
    started: float = field(default_factory=time.monotonic)


class Display:
    """Draws a view a few times a second on a terminal, or says a line now and then elsewhere."""

    def __init__(self, *, console: Console, view: View) -> None:
        self._console = console
        self._view = view
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=8, transient=True
        )
        self._said_at = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        """A line that stays above the live part."""
        seconds = time.monotonic() - self._view.started
        self._console.print(Text.assemble((f"{seconds:6.1f} s  ", "dim"), text))

    def tick(self) -> None:
        """Where there is no terminal, say where things are."""
        now = time.monotonic()
        if self._console.is_terminal or now - self._said_at < PLAIN_EVERY_S:
            return
        self._said_at = now
        queues = ", ".join(f"{shop.store} {shop.queue_depth}" for shop in self._view.shops)
        self.say(
            f"{self._view.phase}: {len(self._view.tally.sold)}/{self._view.total} "
            f"{tr('receipts')}, {tr('queues')}: {queues}"
        )

    def _render(self) -> RenderableType:
        view, tally = self._view, self._view.tally
        seconds = time.monotonic() - view.started
        top = Table.grid(padding=(0, 3))
        for _ in range(5):
            top.add_column()
        top.add_row(*(Text(tr(word), style="dim") for word in _HEADS))
        top.add_row(
            Text(f"{len(tally.sold):,} / {view.total:,}", style="bold"),
            Text(f"{tally.discount:,.2f} USD", style="bold"),
            Text(f"+{tally.earned:,.2f}", style="green"),
            Text(f"−{tally.spent:,.2f}", style="magenta"),
            Text(f"{seconds:.0f} s"),
        )
        shops = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False)
        for word in _COLUMNS:
            shops.add_column(tr(word))
        for shop in view.shops:
            shops.add_row(*_shop_cells(shop))
        bar = ProgressBar(total=view.total, completed=len(tally.sold), width=66)
        return Panel(
            Group(top, Text(), bar, shops),
            title=f"Kopilka · {view.phase}",
            border_style="cyan",
            width=78,
        )


_HEADS: Final = ("receipts", "discount", "points earned", "points spent", "time")
_COLUMNS: Final = ("store", "link", "agent", "waiting for the uplink", "receipts")


def _shop_cells(shop: ShopView) -> Iterable[RenderableType]:
    filled = min(BAR_WIDTH, shop.queue_depth * BAR_WIDTH // max(1, shop.queue_seen_max))
    if shop.queue_depth and not filled:
        filled = 1
    queue = Text("█" * filled, style="yellow" if shop.linked else "red")
    queue.append("·" * (BAR_WIDTH - filled), style="dim")
    queue.append(f" {shop.queue_depth}")
    return (
        Text(f"{shop.store} {shop.name}"),
        Text(tr("whole"), "green") if shop.linked else Text(tr("CUT"), "bold red"),
        Text(tr("answers"), "green") if shop.answering else Text(tr("killed"), "bold red"),
        queue,
        Text(str(shop.sold)),
    )
