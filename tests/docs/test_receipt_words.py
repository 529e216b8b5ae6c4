"""Every key of a receipt and of an answer is told in docs/language/receipts.md."""

from __future__ import annotations

import ast
import re

from tests.docs.examples import DOCS, ROOT

WORDS = frozenset(
    word
    for span in re.findall(
        r"`[^`\n]+`", (DOCS / "language" / "receipts.md").read_text("utf-8").replace("```", "")
    )
    for word in re.findall(r"\w+", span)
)
READERS = {"text", "choice", "flag", "whole", "scaled", "money", "percent", "texts", "array"} | {
    "inner", "each", "scaled_map", "text_map", "day", "take",
}  # fmt: skip


def test_every_key_of_a_receipt_is_told() -> None:
    """Those that the reader of receipts takes out of its objects."""
    tree = ast.parse((ROOT / "shared" / "wire" / "receipt_json.py").read_text("utf-8"))
    keys = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in READERS
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }

    assert len(keys) > 40
    assert keys - WORDS == set()


def test_every_key_of_an_answer_is_told() -> None:
    """Those that are written into the JSON of an answer."""
    source = (ROOT / "shared" / "wire" / "answer_json.py").read_text("utf-8")
    keys = set(re.findall(r'"([a-z_]+)":', source)) | set(re.findall(r'told\["(\w+)"\]', source))

    assert len(keys) > 30
    assert keys - WORDS == set()
