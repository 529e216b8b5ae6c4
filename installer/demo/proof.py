"""The proof: what the tills were told, against what central counted, cent by cent."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from rich import box
from rich.table import Table

from installer.demo.dataset import Member
from installer.demo.replay import Sold, Tally
from installer.demo.texts import tr
from shared.sqlfile import load_queries

MONEY_COLUMNS: Final = ("list", "discount", "net", "points_spent", "to_pay")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One law: what one side says, what the other says, and how many places differ."""

    name: str
    tills: str
    central: str
    differences: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Everything the proof reads from central's PostgreSQL."""

    receipts: list[tuple[Any, ...]]
    lines: list[tuple[Any, ...]]
    ledger: tuple[Any, ...]
    members: dict[str, int]


def read_central(url: str) -> Counted:
    """Read central's tables in one snapshot; ``url`` is a PostgreSQL address."""
    queries = load_queries("installer.demo", "proof.sql")
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True

        def rows(name: str) -> list[tuple[Any, ...]]:
            return connection.execute(queries[name].encode()).fetchall()

        return Counted(
            receipts=rows("receipts"),
            lines=rows("lines"),
            ledger=rows("ledger")[0],
            members={str(row[0]): int(row[1]) for row in rows("members")},
        )


def compare(*, tally: Tally, members: list[Member], counted: Counted) -> list[Check]:
    """Every law of the proof; all of them must have no differences."""
    told = {(sold.store, sold.receipt_id): sold for sold in tally.sold}
    times = Counter((row[2], row[1]) for row in counted.receipts)
    sums = {(row[2], row[1]): row for row in counted.receipts}
    return [
        Check(
            name=tr("answered receipts, each at central exactly once"),
            tills=f"{len(tally.sold):,}",
            central=f"{len(counted.receipts):,}",
            differences=sum(times[key] != 1 for key in told)
            + (len(tally.sold) - len(told))
            + sum(key not in told for key in times),
        ),
        Check(
            name=tr("record numbers equal"),
            tills=f"{len({sold.record_uid for sold in tally.sold}):,}",
            central=f"{len({row[0] for row in counted.receipts}):,}",
            differences=sum(
                key not in sums or sums[key][0] != sold.record_uid.replace("-", "").lower()
                for key, sold in told.items()
            ),
        ),
        _lines_check(told, counted),
        *(
            _sum_check(name, column, index, told, sums)
            for name, column, index in (
                (tr("discount"), "discount", 4),
                (tr("to pay"), "to_pay", 7),
            )
        ),
        *_points_checks(tally, members, counted, told, sums),
        Check(
            name=tr("the ledger sums to zero"),
            tills="0.00",
            central=_decimal(counted.ledger[0]),
            differences=int(counted.ledger[0] != 0),
        ),
        Check(
            name=tr("balances that are not the sum of their transfers"),
            tills="0",
            central=str(counted.ledger[1]),
            differences=counted.ledger[1],
        ),
        Check(
            name=tr("members below zero"),
            tills="0",
            central=str(counted.ledger[2]),
            differences=counted.ledger[2],
        ),
        Check(
            name=tr("records in quarantine"),
            tills="0",
            central=str(counted.ledger[4]),
            differences=counted.ledger[4],
        ),
    ]


def table_of(checks: list[Check]) -> Table:
    """The closing table."""
    table = Table(title=tr("The proof"), box=box.ROUNDED, title_style="bold")
    table.add_column("")
    for word in ("tills", "central", "differences"):
        table.add_column(tr(word), justify="right")
    for check in checks:
        style = "bold red" if check.differences else "green"
        table.add_row(
            check.name, check.tills, check.central, f"[{style}]{check.differences}[/{style}]"
        )
    return table


def latency_table(tally: Tally) -> Table:
    """Median and 99th percentile of one till, by phase."""
    table = Table(title=tr("One till, milliseconds"), box=box.ROUNDED, title_style="bold")
    table.add_column("")
    for word in ("count", "p50", "p99"):
        table.add_column(tr(word), justify="right")
    for (phase, call), values in tally.latency_ms.items():
        table.add_row(
            f"{tr(call)}, {tr(phase)}",
            str(len(values)),
            f"{percentile(values, 50):.1f}",
            f"{percentile(values, 99):.1f}",
        )
    return table


def percentile(values: list[float], percent: int) -> float:
    """The nearest-rank percentile; 0 of nothing."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def minor(text: str) -> int:
    """A decimal string with two decimals as an integer of hundredths."""
    return int(text.replace(".", ""))


def _lines_check(told: dict[tuple[str, str], Sold], counted: Counted) -> Check:
    keys = {row[0]: (row[2], row[1]) for row in counted.receipts}
    central = {(keys.get(row[0]), row[1]): tuple(row[2:]) for row in counted.lines}
    tills = {
        (key, line["line"]): tuple(minor(line[column]) for column in MONEY_COLUMNS)
        for key, sold in told.items()
        for line in sold.answer["lines"]
    }
    return Check(
        name=tr("lines equal in all five sums"),
        tills=f"{len(tills):,}",
        central=f"{len(counted.lines):,}",
        differences=sum(central.get(key) != sums for key, sums in tills.items())
        + len(central.keys() - tills.keys()),
    )


def _sum_check(
    name: str,
    column: str,
    index: int,
    told: dict[tuple[str, str], Sold],
    sums: dict[tuple[str, str], tuple[Any, ...]],
) -> Check:
    expected = {key: minor(sold.answer["total"][column]) for key, sold in told.items()}
    return Check(
        name=name,
        tills=_decimal(sum(expected.values())),
        central=_decimal(sum(row[index] for row in sums.values())),
        differences=sum(
            key not in sums or sums[key][index] != value for key, value in expected.items()
        ),
    )


def _points_checks(
    tally: Tally,
    members: list[Member],
    counted: Counted,
    told: dict[tuple[str, str], Sold],
    sums: dict[tuple[str, str], tuple[Any, ...]],
) -> list[Check]:
    earned = {key: _points(sold.answer["accrued"]) for key, sold in told.items()}
    spent = {key: _points(sold.answer["spent"]) for key, sold in told.items()}
    balance: defaultdict[str, int] = defaultdict(int)
    for member in members:
        balance[member.customer_id] += member.opening_centi
    for sold in tally.sold:
        balance[sold.customer_id] += _points(sold.answer["accrued"])
        balance[sold.customer_id] -= _points(sold.answer["spent"])
    everybody = balance.keys() | counted.members.keys()
    return [
        *(
            Check(
                name=name,
                tills=_decimal(sum(values.values())),
                central=_decimal(sum(row[index] for row in sums.values())),
                differences=sum(
                    key not in sums or sums[key][index] != value for key, value in values.items()
                ),
            )
            for name, values, index in (
                (tr("points earned"), earned, 8),
                (tr("points spent"), spent, 6),
            )
        ),
        Check(
            name=tr("points of every member: opening + earned − spent"),
            tills=_decimal(sum(balance.values())),
            central=_decimal(sum(counted.members.values())),
            differences=sum(balance[who] != counted.members.get(who, 0) for who in everybody),
        ),
        Check(
            name=tr("points spent beyond what a shop had"),
            tills="0.00",
            central=_decimal(counted.ledger[3]),
            differences=int(counted.ledger[3] != 0),
        ),
    ]


def _points(entries: list[dict[str, Any]]) -> int:
    return sum(minor(entry["points"]) for entry in entries)


def _decimal(hundredths: int) -> str:
    sign = "-" if hundredths < 0 else ""
    whole, rest = divmod(abs(hundredths), 100)
    return f"{sign}{whole:,}.{rest:02d}"
