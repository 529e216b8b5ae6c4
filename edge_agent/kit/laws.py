"""What holds of every priced receipt, whatever the promotions are. Pure."""

from __future__ import annotations

from typing import Any, Final

from edge_agent.kit.finding import require
from edge_agent.kit.reply import at, centi_at

COLUMNS: Final = ("list", "discount", "net", "points_spent", "to_pay")


def require_sums(answer: Any) -> None:
    """The sums of an answer agree: across, down, and within each line.

    Raises:
        MismatchError: they do not.
    """
    lines = at(answer, "lines")
    require(isinstance(lines, list), lines, "The reply has every key of the contract.")
    for row in (at(answer, "total"), *lines):
        amounts = {column: centi_at(row, column) for column in COLUMNS}
        require(
            amounts["net"] == amounts["list"] - amounts["discount"]
            and amounts["to_pay"] == amounts["net"] - amounts["points_spent"]
            and min(amounts["net"], amounts["to_pay"], amounts["discount"]) >= 0,
            row,
            "net = list - discount and to_pay = net - points_spent, none below zero.",
        )
    for column in COLUMNS:
        together = sum(centi_at(line, column) for line in lines)
        require(
            together == centi_at(answer, "total", column),
            f"{column}: {together / 100:.2f} / {at(answer, 'total', column)}",
            "The lines of each column add up to the total.",
        )


def points_of(answer: Any, key: str, account: str) -> int:
    """Points of an account in a list of the answer, in hundredths."""
    return sum(
        centi_at(each, "points") for each in at(answer, key) if at(each, "account") == account
    )


def codes_of(found: Any) -> list[str]:
    """The codes of notices or incidents."""
    return [str(at(each, "code")) for each in found]
