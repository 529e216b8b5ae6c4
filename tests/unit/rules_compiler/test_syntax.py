"""One document has one program: in JSON and YAML, in whatever order its keys and lists stand."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from typing import Any

import pytest
import yaml

from rules_compiler.pipeline import compile_document
from rules_compiler.yaml_reading import parse_yaml
from shared.engine.program import Program, decode_program, encode_program
from shared.wire.reading import parse_json
from tests.support.documents import grown
from tests.support.reference.generate import a_programme

HASHES = """
import sys
from rules_compiler.pipeline import compile_document
from shared.engine.program import encode_program
program = compile_document(sys.stdin.buffer.read()).program
sys.stdout.buffer.write(encode_program(program))
"""


def compiled(data: bytes, **options: Any) -> Program:
    compilation = compile_document(data, **options)
    assert compilation.program is not None, compilation.diagnostics
    return compilation.program


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same value with the keys of every object in another order."""
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    return [shuffled(each, rng) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(100))
def test_the_order_of_keys_does_not_matter(seed: int) -> None:
    """Two writings of one document give the same bytes."""
    rng = random.Random(seed)
    document = a_programme(rng)
    other = shuffled(document, rng)

    assert encode_program(compiled(json.dumps(document).encode())) == encode_program(
        compiled(json.dumps(other).encode())
    )


def test_the_hashing_of_a_process_does_not_matter() -> None:
    """Sets have another order in every process; the bytes have not."""
    rng = random.Random(1)
    document = a_programme(rng)
    document["promotions"] += [
        {
            "id": f"more-{number}",
            "when": {"customer": {"segment": [f"s{n}" for n in range(20)]}},
            "then": [
                {
                    "do": "discount_goods",
                    "percent": "1",
                    "filter": {"sku": [f"x{n}" for n in range(50)], "brand": ["a", "b", "c"]},
                }
            ],
        }
        for number in range(5)
    ]
    data = json.dumps(document).encode()
    found = {
        subprocess.run(
            [sys.executable, "-c", HASHES],
            input=data,
            capture_output=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert found == {encode_program(compiled(data))}


@pytest.mark.parametrize("seed", range(50))
def test_yaml_says_what_json_says(seed: int) -> None:
    """The program does not tell in which of the two it was written."""
    document = a_programme(random.Random(seed))
    text = yaml.safe_dump(document, allow_unicode=True)

    program = compiled(text.encode(), syntax="yaml")

    assert encode_program(program) == encode_program(compiled(json.dumps(document).encode()))
    assert decode_program(encode_program(program)) == program


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("True", "True"),
        ("true", True),
        ("~", None),
        ("null", None),
        ("1.10", "1.10"),
        ("'1.10'", "1.10"),
        ("2026-11-30", "2026-11-30"),
        ("12:30:00", "12:30:00"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        ("[a, {b: }]", ["a", {"b": None}]),
        ("<<: {a: 1}", {"<<": {"a": "1"}}),
        ("1: one", {"1": "one"}),
        ("\ufeffa: б", {"a": "б"}),
        ("|\n a\n b\n", "a\nb\n"),
    ],
)
def test_yaml_has_no_surprises(text: str, value: Any) -> None:
    """Only what JSON calls a number, true, false or null is one; numbers keep their text."""
    assert parse_yaml(text.encode()) == value


@pytest.mark.parametrize("text", ["12", "-0.50", "1e9", "1.5E-3"])
def test_yaml_numbers_are_those_of_json(text: str) -> None:
    """The same kind of text as JSON gives, so that both are refused or taken alike."""
    assert type(parse_yaml(text.encode())) is type(parse_json(text.encode()))


def test_a_finding_tells_its_line_in_yaml() -> None:
    """A person is shown the line, whatever the syntax."""
    text = "programme: p\nversion: 1\ncurrency: RUB\npromotions:\n- id: a\n  then: [{do: nth}]\n"

    (found,) = compile_document(text.encode(), "yaml").diagnostics

    assert (found.code, found.line, found.column) == ("missing_key", 6, 10)


def test_a_finding_tells_its_line_in_json() -> None:
    """Columns count characters, not bytes."""
    text = '{"programme": "п", "version": 1,\n "currency": "RUB",\n "ключ": {"я": 1}, "x": 2,\n'
    found = compile_document((text + ' "promotions": []}').encode()).diagnostics

    assert [(each.pointer, each.line, each.column) for each in found] == [
        ("/ключ", 3, 10),
        ("/x", 3, 25),
    ]


def test_a_finding_says_what_was_found_and_expected() -> None:
    """The halves of the message, for who wants to lay them out."""
    data = json.dumps(grown({"do": "discount_goods", "percent": "101"})).encode()

    (found,) = compile_document(data).diagnostics

    assert (found.found, found.expected) == ('"101"', "a percent from 0 to 100")
    assert found.hint is not None
