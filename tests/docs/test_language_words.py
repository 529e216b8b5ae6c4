"""Every word that the compiler knows is in the documentation of the language, with an example."""

from __future__ import annotations

import ast
import enum
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from rules_compiler import conditions, results
from rules_compiler.pipeline import compile_document
from shared.engine import program
from shared.engine.explain import Reason
from tests.docs.examples import DOCS, ROOT

LANGUAGE = DOCS / "language"
KEYS_LISTED = re.compile(r"one of the keys: (?P<keys>.*)")
FIRST_CELL = re.compile(r"^\| (?P<cell>[^|]+) \|", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```json programme\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RESULTS = sorted(results._RESULTS)
CONDITIONS = sorted(conditions._LEAVES)
AFTERWARDS = {
    "contradictions",
    "filter_logic",
    "reach",
    "walk",
    "positions",
    "pipeline",
    "yaml_reading",
}
"""Modules that look at what was read; their words are not those of the language."""
READING = [
    path for path in sorted((ROOT / "rules_compiler").glob("*.py")) if path.stem not in AFTERWARDS
]
RESULT = {"do": "discount_goods", "percent": "5"}
STRANGE = {"¿": 1}


def sections(heading: str) -> dict[str, str]:
    """The texts under the headings of one level, by the word that each heading names."""
    found: dict[str, str] = {}
    for page in sorted(LANGUAGE.glob("*.md")):
        for part in re.split(rf"^{heading} ", page.read_text("utf-8"), flags=re.MULTILINE)[1:]:
            title, _, text = part.partition("\n")
            ends = rf"^#{{1,{len(heading)}}} "
            text = re.split(ends, text, maxsplit=1, flags=re.MULTILINE)[0]
            found[f"{page.stem}#{title.strip('`')}"] = text
    return found


def section_of(word: str, heading: str) -> str:
    (text,) = [text for name, text in sections(heading).items() if name.endswith(f"#{word}")]
    return text


def keys_in_tables(text: str, header: str = "key") -> set[str]:
    """The words in the first column of the tables whose first column has this header."""
    found: set[str] = set()
    for table in re.findall(r"(?:^\|[^\n]*\n)+", text, flags=re.MULTILINE):
        cells = [match["cell"] for match in FIRST_CELL.finditer(table)]
        if cells[0] == header:
            found.update(word for cell in cells[1:] for word in re.findall(r"`(\w+)`", cell))
    return found


def accepted(part: dict[str, Any]) -> set[str]:
    """The keys that the compiler takes where ``STRANGE`` stands in this part of a document."""
    base = {"programme": "p", "version": 1, "currency": "RUB", "chips": ["c"]}
    document = base | {"promotions": []} | part
    for each in compile_document(json.dumps(document).encode()).diagnostics:
        listed = KEYS_LISTED.fullmatch(each.expected or "")
        if listed and each.pointer.endswith("¿"):
            return set(listed["keys"].split(", "))
    raise AssertionError(part)


def with_promotion(**keys: Any) -> dict[str, Any]:
    return {"promotions": [{"id": "a", "then": [RESULT]} | keys]}


def with_result(do: str, **keys: Any) -> dict[str, Any]:
    return with_promotion(then=[{"do": do} | keys])


TABLES = [
    ("programme.md", "key", {"groups": None} | STRANGE),
    ("programme.md", "key", {"groups": [{"id": "g"} | STRANGE]}),
    ("programme.md", "key", {"accounts": [{"id": "g"} | STRANGE]}),
    ("programme.md", "key", {"hints": STRANGE}),
    ("promotion.md", "key", with_promotion(**STRANGE)),
    ("promotion.md", "key", with_promotion(active=STRANGE)),
    ("promotion.md", "key", with_promotion(cost={"account": "main", "points": 1} | STRANGE)),
    ("promotion.md", "key", with_promotion(limits=STRANGE)),
    ("filters.md", "key", with_result("discount_goods", percent="1", filter=STRANGE)),
    ("conditions.md", "key", with_promotion(when={"customer": STRANGE})),
    (
        "goods.md",
        "key of `tiers`",
        with_result("discount_goods", tiers={"by": "total", "steps": []} | STRANGE),
    ),
    ("goods.md", "key of a slot", with_result("set", amount="1", slots=[STRANGE])),
]


@pytest.mark.parametrize(("page", "header", "part"), TABLES)
def test_every_key_stands_in_a_table(page: str, header: str, part: dict[str, Any]) -> None:
    """A table of its page has each key that the compiler takes."""
    documented = keys_in_tables((LANGUAGE / page).read_text("utf-8"), header)

    assert accepted(part) - documented == set()


@pytest.mark.parametrize("kind", RESULTS)
def test_the_table_of_a_result_has_its_keys_and_no_others(kind: str) -> None:
    """What the compiler takes is what the page says."""
    assert keys_in_tables(section_of(kind, "##")) == accepted(with_result(kind, **STRANGE)) - {"do"}


def examples(text: str) -> Iterator[Any]:
    for block in BLOCK.findall(text):
        yield json.loads(block)


def keys_used(value: Any, owner: str, word: str) -> set[str]:
    """The keys of all objects in which ``owner`` stands for ``word``."""
    found: set[str] = set()
    if isinstance(value, dict):
        if value.get(owner) == word:
            found |= value.keys()
        for each in value.values():
            found |= keys_used(each, owner, word)
    elif isinstance(value, list):
        for each in value:
            found |= keys_used(each, owner, word)
    return found


@pytest.mark.parametrize("kind", RESULTS)
def test_every_key_of_a_result_has_an_example(kind: str) -> None:
    """An option that nobody shows is an option that nobody understands."""
    shown: set[str] = set()
    for page in sorted(LANGUAGE.glob("*.md")):
        for example in examples(page.read_text("utf-8")):
            shown |= keys_used(example, "do", kind)

    assert accepted(with_result(kind, **STRANGE)) - shown == set()


def leaves(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield key, each
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)


@pytest.mark.parametrize("leaf", CONDITIONS)
def test_every_condition_has_an_example_in_its_section(leaf: str) -> None:
    """In the ``when`` of an example under its own heading."""
    conditions_shown = [
        when
        for example in examples(section_of(leaf, "###"))
        for key, when in leaves(example)
        if key == "when"
    ]

    assert any(key == leaf for when in conditions_shown for key, _ in leaves(when))


@pytest.mark.parametrize("leaf", CONDITIONS)
def test_every_key_of_a_condition_is_named_in_its_section(leaf: str) -> None:
    """The keys that the compiler takes inside a condition."""
    try:
        keys = accepted(with_promotion(when={leaf: {"account": "main", "id": "x"} | STRANGE}))
    except AssertionError:
        return  # a list or a truth value: there are no keys
    named = set(re.findall(r"`\"?(\w+)", section_of(leaf, "###")))
    used = {key for each in examples(section_of(leaf, "###")) for key, _ in leaves(each)}

    assert keys - named - used == set()


@cache
def documented_words() -> frozenset[str]:
    """All words in code on the pages of the language."""
    text = "\n".join(page.read_text("utf-8") for page in sorted(LANGUAGE.glob("*.md")))
    blocks = FENCED.findall(text)
    spans = re.findall(r"`[^`\n]+`", FENCED.sub("", text))
    return frozenset(re.findall(r"\w+", " ".join([*spans, *blocks])))


def words_of_the_compiler() -> Iterator[str]:
    """Keys and words that its reading modules take: sets, tuples named as ways, choices."""
    for path in READING:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            constants: list[ast.expr] = []
            if isinstance(node, ast.Set):
                constants = node.elts
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
                constants = node.value.elts
            elif isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name in {"choice", "get"}:
                    constants = node.args
            for each in constants:
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    yield each.value


def test_every_word_of_the_compiler_is_documented() -> None:
    """Keys inside keys and the words to choose from, found in its sources."""
    assert set(words_of_the_compiler()) - documented_words() == set()


@pytest.mark.parametrize(
    "words",
    [
        program.Resolve,
        program.Choose,
        program.Per,
        program.Measure,
        program.Value,
        program.CountBy,
    ],
)
def test_every_choice_is_documented(words: type[enum.StrEnum]) -> None:
    """The words of the engine's enumerations."""
    assert {each.value for each in words} - documented_words() == set()


def test_every_reason_of_the_trace_is_explained() -> None:
    """Whoever asks why finds the answer in docs/pricing.md, and nothing that is never said."""
    text = (DOCS / "pricing.md").read_text("utf-8")
    trace = text.split("\n## Trace\n", maxsplit=1)[1].split("\n## ", maxsplit=1)[0]

    assert keys_in_tables(trace, "`reason`") == {each.value for each in Reason}
