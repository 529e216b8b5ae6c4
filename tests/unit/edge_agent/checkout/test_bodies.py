"""Bodies of requests: a hash is of what a body means, and stays what it was."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_agent.checkout.bodies import plain_json, sha256_of
from shared.errors import InputError

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text()
)
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(_VALUES)
@example({'\x7f\x80\u2028"\\/\b\f\n\r\t\x00': 1, "é": 2, "😀": 3, "\uffff": 4, "": 5})
@example([2**70, Decimal("0.10")])
def test_plain_form_never_changes(value: Any) -> None:
    """A hash kept by an older release is found again: the form is that of Python's own JSON."""
    told = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=False)
    assert told.encode() == plain_json(value)


def test_order_of_keys_and_way_of_writing_do_not_count() -> None:
    """Two bodies that mean the same have the same hash; two that do not, have not."""
    assert sha256_of({"a": Decimal("1.0"), "b": 2}) == sha256_of({"b": 2, "a": Decimal("1.0")})
    assert sha256_of({"a": 1}) != sha256_of({"a": 2})


def test_half_a_character_and_a_deep_nest_are_refused() -> None:
    """What cannot be written as JSON is the caller's fault."""
    nest: list[Any] = []
    for _ in range(100_000):
        nest = [nest]
    for body in ("\ud800", nest):
        with pytest.raises(InputError):
            plain_json(body)
