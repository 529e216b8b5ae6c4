"""Whatever comes, the compiler answers: with a program, or with findings."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules_compiler.diagnostics import Severity
from rules_compiler.pipeline import Compilation, Syntax, compile_document
from shared.engine.program import decode_program, encode_program
from shared.wire.reading import FINDINGS_MAX
from tests.support.documents import BASE
from tests.support.reference.generate import a_programme

VOCABULARY = """
programme version currency timezone groups accounts chips store_groups product_lists promotions id
name group priority active when then limits cost filter do percent amount price sku list category
attrs all any not total quantity customer from to discount_goods nth set accrue_points main RUB
2026-11-01 10:00 0.01 -1 1e5 NaN
"""
WORDS = VOCABULARY.split()
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=10),
    st.sampled_from(WORDS),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(WORDS), st.text(max_size=5)), inner, max_size=4),
    ),
    max_leaves=20,
)


def sound(data: bytes, syntax: Syntax = "json") -> Compilation:
    """The compilation, after looking at what must hold of every one."""
    compilation = compile_document(data, syntax)
    errors = [each for each in compilation.diagnostics if each.severity is Severity.ERROR]
    assert (compilation.program is None) is bool(errors)
    assert len(errors) <= FINDINGS_MAX
    for each in compilation.diagnostics:
        assert each.message
        assert len(str(each)) < 20_000
        str(each).encode()
    if compilation.program is not None:
        assert decode_program(encode_program(compilation.program)) == compilation.program
    return compilation


@given(VALUES)
@settings(max_examples=500, deadline=None)
def test_any_value_is_answered(value: Any) -> None:
    """Any JSON value, also where a document has its own."""
    text = json.dumps(value)
    sound(text.encode())
    sound(text.encode(), "yaml")
    if isinstance(value, dict):
        sound(json.dumps(BASE | {"promotions": []} | value).encode())
    sound(json.dumps(BASE | {"promotions": [value]}).encode())
    sound(json.dumps(BASE | {"promotions": [{"id": "a", "then": value}]}).encode())
    sound(json.dumps(BASE | {"promotions": [{"id": "a", "then": [value], "when": value}]}).encode())


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_answered(data: bytes) -> None:
    """Bytes that are no text, and texts that are no document."""
    sound(data)
    sound(data, "yaml")


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of the value, with every key or index of it."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(value, key) for key in keys] + [each for key in keys for each in places(value[key])]


@given(st.integers(0, 2**32), VALUES)
@settings(max_examples=1000, deadline=None)
def test_a_good_document_with_one_thing_changed_is_answered(seed: int, value: Any) -> None:
    """Replaced, taken out, doubled or renamed: deep in a document where readers are specific."""
    rng = random.Random(seed)
    document = a_programme(rng)
    container, key = rng.choice(places(document))
    change = rng.randrange(4)
    if change == 0:
        container[key] = value
    elif change == 1:
        del container[key]
    elif isinstance(container, list):
        container.append(container[key])
    elif change == 2:
        container[rng.choice(WORDS)] = container.pop(key)
    else:
        container[key] = [container[key]]
    sound(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("data", "syntax"),
    [
        (b'{"a":' * 100_000, "json"),
        (b"[" * 100_000, "yaml"),
        (b"- " * 20_000 + b"a", "yaml"),
        (b"{a: " * 20_000, "yaml"),
        (b"? " * 10_000, "yaml"),
        (b"a: &a [x]\n" + b"b: &b [*a, *a]\n" * 50, "yaml"),
        (b'["' + b"\\ud800" * 50_000 + b'"]', "json"),
        (b'{"x": ' + b"9" * 200_000 + b"}", "json"),
        (b"{" + b",".join(b'"k%d": 1' % n for n in range(50_000)) + b"}", "json"),
        (b"{" + b",".join([b'"k": 1'] * 50_000) + b"}", "json"),
    ],
)
def test_what_means_harm_is_answered_in_time(data: bytes, syntax: Syntax) -> None:
    """Deep, long, swelling: refused within a second or two, with few words."""
    began = time.process_time()

    assert sound(data, syntax).program is None
    assert time.process_time() - began < 5


def test_many_faults_are_told_up_to_a_bound() -> None:
    """A document that is wrong throughout does not fill the memory with complaints."""
    value = BASE | {"promotions": [{"id": "a", "x": 1}] * 10_000}

    assert len(sound(json.dumps(value).encode()).diagnostics) == FINDINGS_MAX
