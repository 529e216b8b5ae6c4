"""Nothing of people and no secret comes through, whatever stands around it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.support.masking import MASK, masked_line, masked_log, masked_text, masked_value

SEPARATORS = st.sampled_from(["", " ", "-", ".", "(", ") ", " - "])
WORDS = st.text(alphabet="abcxyz :,;\n", max_size=20)


@st.composite
def numbers(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A phone or a card, grouped by hand; as it is written, and its groups of three and more."""
    digits = draw(st.text(alphabet="0123456789", min_size=7, max_size=19))
    groups: list[str] = []
    while digits:
        size = draw(st.integers(1, 5))
        groups.append(digits[:size])
        digits = digits[size:]
    written = draw(SEPARATORS).join(groups)
    return draw(st.sampled_from(["", "+"])) + written, [each for each in groups if len(each) > 2]


@given(numbers(), WORDS, WORDS)
def test_no_number_of_a_person_comes_through(
    number: tuple[str, list[str]], before: str, after: str
) -> None:
    written, groups = number
    masked = masked_text(f"{before} {written} {after}")
    assert MASK in masked
    assert not any(group in masked for group in groups)


@given(st.from_regex(r"[A-Za-z0-9_+/=-]{20,80}", fullmatch=True), WORDS)
def test_no_key_comes_through(key: str, around: str) -> None:
    assert key not in masked_text(f"{around} {key} {around}")


def test_mail_addresses_and_what_is_quoted_are_masked() -> None:
    assert masked_text("wrote to anna.k@example.com") == f"wrote to {MASK}"
    assert (
        masked_text("there is no member 'Анна Каренина' here") == f"there is no member {MASK} here"
    )


@given(st.recursive(st.text() | st.integers() | st.none() | st.booleans(), st.lists, max_leaves=8))
def test_values_keep_their_shape(value: object) -> None:
    masked = masked_value({"key": value})
    assert list(masked) == ["key"]
    assert json.loads(json.dumps(masked)) == masked


def test_lines_come_through_field_by_field() -> None:
    line = {
        "event": "record.set_aside",
        "level": "warning",
        "timestamp": "2026-12-01T00:49:50.123456Z",
        "module": "edge_agent.uplink.streams",
        "lane": 0,
        "seq": 1234567,
        "code": "quarantined",
        "detail": "member 79211234567 of anna@example.com",
        "phone": "79211234567",
        "customer": "Anna",
        "number_of_card": 4276380012345678,
        "exception": 'Traceback (most recent call last):\n  File "/x/y/store.py", line 7, in put\n'
        "    put('79211234567')\nKeyError: 'Anna 79211234567'",
    }
    told = masked_line(json.dumps(line))
    assert told is not None
    found = json.loads(told)
    assert found["seq"] == 1234567
    assert found["timestamp"] == line["timestamp"]
    assert found["exception"] == ["store.py:7 put", "KeyError"]
    assert (found["customer"], found["number_of_card"]) == (MASK, MASK)
    assert "7921" not in told
    assert "nna" not in told


def test_what_is_no_log_line_is_left_out() -> None:
    assert masked_log(["79211234567", "", "[1]", '{"event": "a.b"}']) == '{"event": "a.b"}\n'
