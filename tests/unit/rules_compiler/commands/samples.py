"""A programme, a receipt, and the command as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[4]
COMMAND = [sys.executable, "-m", "rules_compiler"]
DOCUMENT: dict[str, Any] = {
    "programme": "shop",
    "version": 7,
    "currency": "RUB",
    "accounts": [{"id": "main"}],
    "groups": [{"id": "main", "resolve": "all"}, {"id": "rivals", "resolve": "first"}],
    "promotions": [
        {
            "id": "tenth",
            "name": "Десятая часть",
            "then": [{"do": "discount_goods", "filter": {"sku": ["a"]}, "percent": "10"}],
        },
        {
            "id": "base",
            "then": [{"do": "accrue_points", "account": "main", "percent": "1"}],
        },
        {
            "id": "won",
            "group": "rivals",
            "priority": 1,
            "then": [{"do": "discount_goods", "filter": {"sku": ["b"]}, "percent": "20"}],
        },
        {
            "id": "lost",
            "group": "rivals",
            "priority": 2,
            "then": [{"do": "discount_goods", "filter": {"sku": ["b", "d"]}, "percent": "50"}],
        },
    ],
}
RECEIPT: dict[str, Any] = {
    "receipt_id": "r-1",
    "store": "S1",
    "time": "2026-11-23T12:00:00+03:00",
    "customer": {"id": "c-1"},
    "lines": [
        {"line": 1, "sku": "a", "qty": "2", "price": "100.00", "min_price": "95.00"},
        {"line": 2, "sku": "b", "qty": "1", "price": "50.00"},
    ],
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command said."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]
Write = Callable[[str, Any], Path]


def stream(*arguments: str, lines: bytes) -> tuple[int, list[dict[str, Any]], str]:
    """The command as a process between pipes: its code, its answers, its complaints."""
    done = subprocess.run(
        [*COMMAND, *arguments], input=lines, capture_output=True, check=False, cwd=ROOT, timeout=120
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, answers, done.stderr.decode()
