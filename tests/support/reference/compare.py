"""The engine beside the reference: the same random programme and receipt, what differs.

`check(seed, wide)` compiles and prices what the generator makes of a seed and gives the differences
in words. Beside the reference it looks at what must never change an answer: the trace, the hints,
the index of the program, and the order of keys in the document.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rules_compiler.pipeline import compile_document
from shared.engine.evaluate import evaluate
from shared.engine.program import Program, encode_program
from shared.wire.answer_json import answer_to_json
from shared.wire.receipt_json import decode_receipt

from . import price
from .generate import a_programme, a_receipt
from .model import TooLargeError, UndecidedError

Doc = dict[str, Any]


@dataclass
class Verdict:
    """What comparing one seed gave. `compared`: the reference had an answer of its own."""

    seed: int
    wide: bool
    compared: bool = True
    differences: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kind = "wide" if self.wide else "plain"
        return f"{kind} seed {self.seed}: " + "; ".join(self.differences)


def documents(seed: int, *, wide: bool) -> tuple[Doc, Doc]:
    """The programme and the receipt of a seed."""
    rng = random.Random(seed)
    programme = a_programme(rng, wide=wide)
    return programme, a_receipt(rng, programme, wide=wide)


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same JSON value with the keys of every object in another order."""
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    if isinstance(value, list):
        return [shuffled(each, rng) for each in value]
    return value


def compiled(programme: Doc) -> Program:
    """The program of a document, which must be accepted."""
    compilation = compile_document(json.dumps(programme).encode())
    assert compilation.program is not None, [str(each) for each in compilation.diagnostics]
    return compilation.program


def check(seed: int, *, wide: bool) -> Verdict:
    """All that must hold for this seed."""
    verdict = Verdict(seed, wide)
    programme, raw = documents(seed, wide=wide)
    program = compiled(programme)
    receipt = decode_receipt(json.dumps(raw).encode())
    answer = evaluate(program, receipt)
    found = verdict.differences
    if msgspec.structs.replace(evaluate(program, receipt, trace=True), trace=[]) != answer:
        found.append("the trace changes the answer")
    if msgspec.structs.replace(evaluate(program, receipt, hints=True), hints=[]) != answer:
        found.append("the hints change the rest of the answer")
    if evaluate(msgspec.structs.replace(program, index=None), receipt) != answer:
        found.append("the index loses a promotion")
    again = compiled(shuffled(programme, random.Random(seed)))
    if encode_program(again) != encode_program(program):
        found.append("the order of keys changes the bundle")
    try:
        expected = price(programme, raw)
    except (TooLargeError, UndecidedError):
        expected = None
    # Where the engine has not proven its choice it promises no particular one.
    verdict.compared = expected is not None and answer.optimal
    if expected is not None and answer.optimal:
        found.extend(_compared(expected, answer_to_json(answer)))
    return verdict


def _compared(expected: Doc, given: Doc) -> Iterator[str]:
    wanted, seen = essence(expected), essence(given)
    for key, value in wanted.items():
        if value != seen[key]:
            yield f"{key} is {seen[key]}, the reference has {value}"


def essence(answer: Doc) -> Doc:
    """An answer without the freedoms of its form: zero rows, and the order of some lists."""
    columns = ("line", "list", "discount", "net", "points_spent", "to_pay")
    accrued: dict[Any, int] = {}
    for row in answer["accrued"]:
        key = (row["account"], row["promotion"], row.get("active_on"), row.get("expires_on"))
        accrued[key] = accrued.get(key, 0) + int(row["points"].replace(".", ""))
    chips: dict[Any, tuple[int, int]] = {}
    for row in answer["chips"]:
        earned, spent = chips.get((row["account"], row.get("promotion")), (0, 0))
        moved = (earned + row["earned"], spent + row["spent"])
        chips[row["account"], row.get("promotion")] = moved
    found: Doc = {}
    for line in answer["lines"]:
        applied = [(row["promotion"], row["discount"], row["qty"]) for row in line["applied"]]
        parts = [(row["qty"], row["to_pay"]) for row in line["parts"]]
        sums = {column: line[column] for column in columns}
        found[f"line {line['line']}"] = sums | {"applied": sorted(applied), "parts": parts}
    return found | {
        "total": answer["total"],
        "accrued": accrued,
        "spent": _rows(answer["spent"]),
        "spendable": _rows(answer["spendable"]),
        "chips": {key: moved for key, moved in chips.items() if any(moved)},
        "counters": sorted((row["id"], row["value"]) for row in answer["counters"]),
        "coupons": [(row["series"], row["count"]) for row in answer["coupons"]],
        "messages": [
            (row["promotion"], row["to"], row["at"], row["text"]) for row in answer["messages"]
        ],
        "gifts": [(row["promotion"], row["what"], row["qty"]) for row in answer["gifts"]],
        "services": [
            (row["promotion"], row["code"], row.get("amount")) for row in answer["services"]
        ],
        "applied": answer["applied"],
    }


def _rows(rows: list[Doc]) -> list[tuple[str, str, str]]:
    """Points by account and promotion, without accounts where nothing is."""
    return sorted(
        (row["account"], row.get("promotion") or "", row["points"])
        for row in rows
        if row["points"] != "0.00"
    )
