"""One wallet at two tills of two stores at the same moment: it never pays more than is in it.

Three times a member with 150 points stands at both tills at once: with both cables whole, with
both cut, and with the home store cut alone. Each till asks for all the points it may take.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from rich import box
from rich.table import Table

from installer.demo.dataset import Member, Sale, SaleLine, Week
from installer.demo.display import BAR_WIDTH
from installer.demo.replay import Replay
from installer.demo.texts import tr

HOME: Final = "S1"
AWAY: Final = "S2"
POINTS: Final = 150
_PRICE_MINOR: Final = 60_000
"""Of which points may pay thirty percent: more than the wallet holds."""
_ROUNDS: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("both on line", frozenset()),
    ("both cut off", frozenset({HOME, AWAY})),
    ("home store cut off", frozenset({HOME})),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one wallet paid at each till; ``earned``: what both sales put into it."""

    name: str
    home: Decimal
    away: Decimal
    earned: Decimal

    @property
    def overspent(self) -> bool:
        """Whether more was paid than was there: points earned at one till may pay at the other."""
        return self.home + self.away > POINTS + self.earned


def cut_stores(number: int) -> frozenset[str]:
    """Whose cables are cut in a round."""
    return _ROUNDS[number][1]


def rounds() -> range:
    """The numbers of the rounds."""
    return range(len(_ROUNDS))


def with_wallets(week: Week) -> Week:
    """The week with one more member for each round."""
    wallets = [
        Member(
            customer_id=_customer(number),
            card=f"wallet-card-{number}",
            home_store=HOME,
            segments=(),
            level="base",
            opening_centi=POINTS * 100,
        )
        for number in rounds()
    ]
    return replace(week, members=[*week.members, *wallets])


async def pay_twice(
    number: int, week: Week, replay: Replay, *, is_online: Callable[[str], bool]
) -> Round:
    """The wallet of this round pays in both stores at once."""
    sku = next(product.sku for product in week.products if not product.weighed)
    sales = [
        Sale(
            receipt_id=f"wallet-{number}-{store}",
            store=store,
            customer_id=_customer(number),
            card=f"wallet-card-{number}",
            time=week.sales[-1].time,
            coupons=(),
            spends=True,
            lines=(SaleLine(sku=sku, qty_milli=1000, price_minor=_PRICE_MINOR, weighed=False),),
            shelf_minor=_PRICE_MINOR,
        )
        for store in (HOME, AWAY)
    ]
    (home, home_earned), (away, away_earned) = await asyncio.gather(
        *(replay.insist(sale, points=POINTS, is_online=is_online) for sale in sales)
    )
    return Round(name=_ROUNDS[number][0], home=home, away=away, earned=home_earned + away_earned)


def table_of(paid: list[Round]) -> Table:
    """What the tills were told, drawn."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{POINTS} {tr('points, asked for in two stores at the same moment')}",
        title_justify="left",
    )
    table.add_column(no_wrap=True)
    for heading in (HOME, AWAY, tr("together"), tr("earned")):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for each in paid:
        total = each.home + each.away
        filled = int(total * BAR_WIDTH / POINTS)
        style = "bold red" if each.overspent else "green"
        table.add_row(
            tr(each.name),
            f"{each.home:.2f}",
            f"{each.away:.2f}",
            f"[{style}]{total:.2f}[/]",
            f"+{each.earned:.2f}",
            f"[{style}]{'█' * min(filled, BAR_WIDTH)}[/]{'·' * max(BAR_WIDTH - filled, 0)}",
        )
    return table


def _customer(number: int) -> str:
    return f"wallet-{number}"
