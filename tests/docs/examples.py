"""Examples in the documentation: found in the text, priced by the path of production, compared.

The convention (docs/language/README.md tells it to readers):

- a block ``json programme`` holds for the receipts after it: a document, one promotion (it has
  ``then``) or one result (it has ``do``); what every document has is left out;
- a block ``json receipt`` may leave out the store, the time, the numbers of the lines and a
  quantity of one;
- a block ``json answer`` states keys of the answer to that receipt; what it does not state is free;
- a block ``json document`` or ``yaml document`` is a programme as it is, byte by byte;
- a block ``json findings`` states code and pointer of all that the compiler says of the programme;
- a comment ``<!-- table: columns -->`` stands before a table of the lines of that answer.

With GOLDEN=1 tables are written anew, and each ``"?"`` in an answer becomes what came out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from rules_compiler.pipeline import Compilation, compile_document
from shared.bundle.trust import open_bundle
from shared.bundle.writer import write_bundle
from shared.crypto.signing import Signer
from shared.engine.evaluate import evaluate
from shared.wire.answer_json import answer_to_json
from shared.wire.receipt_json import decode_receipt

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
PAGES: Final = [
    DOCS / "pricing.md",
    DOCS / "diagnostics.md",
    *sorted((DOCS / "language").glob("*.md")),
]

_PIECE: Final = re.compile(
    r"^```(?P<syntax>json|yaml) (?P<kind>\w+)\n(?P<body>.*?)^```$"
    r"|^<!-- table: (?P<columns>[\w ]+) -->\n\n?(?P<table>(?:^\|[^\n]*\n)*)",
    re.MULTILINE | re.DOTALL,
)
_UNKNOWN: Final = '"?"'
_SIGNER: Final = Signer(bytes(32))
_TITLES: Final = {
    "line": "line",
    "sku": "goods",
    "qty": "quantity",
    "price": "price",
    "list": "list amount",
    "discount": "discount",
    "net": "net",
    "points_spent": "paid by points",
    "to_pay": "to pay",
    "by": "what acted",
    "parts": "pieces, each at",
}
_WORDS: Final = frozenset({"sku", "by", "parts"})
_SUMS: Final = ("list", "discount", "net", "points_spent", "to_pay")


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An answer, a table or findings that a page states, and what they are of."""

    page: Path
    line: int
    kind: str
    """``answer``, ``table`` or ``findings``."""
    programme: str
    receipt: str
    stated: str
    columns: tuple[str, ...] = ()
    syntax: Literal["json", "yaml"] | None = None
    """Of a programme that is taken as it is."""

    @property
    def name(self) -> str:
        """Where it stands, for people."""
        return f"{self.page.relative_to(DOCS)}:{self.line}"

    def found(self) -> Any:
        """What really comes out."""
        if self.kind == "findings":
            if self.syntax is None:
                compilation = compile_document(_grown_programme(self.programme))
            else:
                compilation = compile_document(self.programme.encode(), self.syntax)
            return [
                {"code": each.code, "pointer": each.pointer} for each in compilation.diagnostics
            ]
        answer = price(self.programme, self.receipt)
        return answer if self.kind == "answer" else self._table(answer)

    def _table(self, answer: dict[str, Any]) -> str:
        lines = json.loads(_grown_receipt(self.receipt))["lines"]
        columns = self.columns
        rows = [[_TITLES[each] for each in columns]]
        rows.append(["---" if each in _WORDS else "--:" for each in columns])
        for line, told in zip(lines, answer["lines"], strict=True):
            rows.append([_cell(each, line, told) for each in columns])
        if len(lines) > 1 and set(columns) & set(_SUMS):
            total = [f"**{answer['total'][each]}**" if each in _SUMS else "" for each in columns]
            total[0] = "**total**"
            rows.append(total)
        return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(column: str, line: dict[str, Any], told: dict[str, Any]) -> str:
    if column in ("sku", "qty", "price"):
        return str(line[column])
    if column == "by":
        return ", ".join(f"{each['promotion']} {each['discount']}" for each in told["applied"])
    if column == "parts":
        return ", ".join(_part(each["qty"], each["to_pay"]) for each in told["parts"])
    return str(told[column])


def _part(quantity: str, to_pay: str) -> str:
    kopecks = int(to_pay.replace(".", ""))
    if "." in quantity or kopecks % int(quantity):
        return f"{quantity} for {to_pay}"
    each = kopecks // int(quantity)
    return f"{quantity} × {each // 100}.{each % 100:02}"


@lru_cache(maxsize=64)
def _compiled(programme: str) -> Compilation:
    return compile_document(_grown_programme(programme))


@lru_cache(maxsize=256)
def price(programme: str, receipt: str) -> dict[str, Any]:
    """The answer, by document, bundle bytes, loaded program and engine."""
    compilation = _compiled(programme)
    assert compilation.program is not None, [str(each) for each in compilation.diagnostics]
    data = write_bundle(compilation.program, _SIGNER, created_at_ms=0)
    bundle = open_bundle(data, {_SIGNER.key_id: _SIGNER.public_key}, version_floor=0)
    decoded = decode_receipt(_grown_receipt(receipt))
    return answer_to_json(evaluate(bundle.program, decoded, trace=True, hints=True))


def _grown_programme(text: str) -> bytes:
    """The whole document; numbers are not touched, since no float may come near them."""
    part = json.loads(text, parse_float=str)
    if "do" in part:
        part = {"then": [part]}
    if "then" in part:
        part = {"promotions": [{"id": "p"} | part]}
    base = {"programme": "shop", "version": 1, "currency": "RUB", "timezone": "Europe/Moscow"}
    return json.dumps(base | part).encode()


def _grown_receipt(text: str) -> bytes:
    part = json.loads(text, parse_float=str)
    part["lines"] = [
        {"line": number, "qty": "1"} | line for number, line in enumerate(part["lines"], start=1)
    ]
    return json.dumps({"store": "S1", "time": "2026-11-23T12:00:00+03:00"} | part).encode()


def examples_of(page: Path, text: str | None = None) -> Iterator[Example]:
    """The examples of a page, in their order."""
    for example, _ in _walk(page, page.read_text("utf-8") if text is None else text):
        yield example


def _walk(page: Path, text: str) -> Iterator[tuple[Example, tuple[int, int]]]:
    programme = receipt = ""
    syntax: Literal["json", "yaml"] | None = None
    for match in _PIECE.finditer(text):
        kind = match["kind"] or "table"
        stated, span = (match["body"], match.span("body"))
        if kind == "programme":
            programme, receipt, syntax = stated, "", None
        elif kind == "document":
            programme, receipt = stated, ""
            syntax = "yaml" if match["syntax"] == "yaml" else "json"
        elif kind == "receipt":
            receipt = stated
        elif kind in ("answer", "findings", "table"):
            if kind == "table":
                stated, span = match["table"], match.span("table")
            example = Example(
                page=page,
                line=text.count("\n", 0, match.start()) + 1,
                kind=kind,
                programme=programme,
                receipt=receipt,
                stated=stated,
                columns=tuple((match["columns"] or "").split()),
                syntax=syntax,
            )
            yield example, span


def rewrite(page: Path) -> None:
    """Write tables anew, and what answers leave open."""
    text = page.read_text("utf-8")
    for example, (start, end) in reversed(list(_walk(page, text))):
        if example.kind == "table":
            after = "" if example.stated else "\n"
            text = text[:start] + example.found() + after + text[end:]
        elif _UNKNOWN in example.stated:
            told = _filled(json.loads(example.stated), example.found())
            filled = re.sub(
                re.escape(_UNKNOWN),
                lambda _, told=told: json.dumps(next(told), ensure_ascii=False),  # type: ignore[misc]
                example.stated,
            )
            text = text[:start] + filled + text[end:]
    page.write_text(text, "utf-8")


def _filled(stated: Any, found: Any) -> Iterator[Any]:
    """What stands where the page leaves it open, in the order of the page."""
    if stated == "?":
        yield found
    elif isinstance(stated, dict):
        for key, value in stated.items():
            yield from _filled(value, found[key])
    elif isinstance(stated, list):
        for one, other in zip(stated, found, strict=True):
            yield from _filled(one, other)


def differences(stated: Any, found: Any, at: str = "") -> list[str]:
    """Where ``found`` does not hold what the page states; keys it does not state are free."""
    if isinstance(stated, dict) and isinstance(found, dict) and stated:
        return [
            each
            for key, value in stated.items()
            for each in differences(value, found.get(key), f"{at}/{key}")
        ]
    if isinstance(stated, list) and isinstance(found, list) and len(stated) == len(found):
        return [
            each
            for index, (one, other) in enumerate(zip(stated, found, strict=True))
            for each in differences(one, other, f"{at}/{index}")
        ]
    return [] if stated == found else [f"{at}: stated {stated}, found {found}"]
