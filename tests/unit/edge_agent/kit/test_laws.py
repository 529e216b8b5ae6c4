"""What the kit holds against a priced receipt, and how it reads a reply."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.kit.finding import MismatchError
from edge_agent.kit.laws import COLUMNS, require_sums
from edge_agent.kit.reply import PROBLEM, Reply, centi_at, require_ok, require_refused

ROW = {
    "list": "200.00",
    "discount": "20.00",
    "net": "180.00",
    "points_spent": "5.00",
    "to_pay": "175.00",
}
ANSWER = {"lines": [ROW], "total": ROW}


def test_sums_that_agree_pass() -> None:
    require_sums(ANSWER)
    require_sums({"lines": [], "total": dict.fromkeys(COLUMNS, "0.00")})


@given(
    place=st.sampled_from([("total",), ("lines", 0)]),
    column=st.sampled_from(COLUMNS),
    by=st.integers(-50_000, 50_000).filter(bool),
)
def test_one_wrong_sum_is_found(place: tuple[Any, ...], column: str, by: int) -> None:
    """Wherever it stands, and however little it is wrong."""
    answer: Any = copy.deepcopy(ANSWER)
    row = answer
    for key in place:
        row = row[key]
    wrong = centi_at(row, column) + by
    row[column] = f"{'-' if wrong < 0 else ''}{abs(wrong) // 100}.{abs(wrong) % 100:02}"
    with pytest.raises(MismatchError):
        require_sums(answer)


@pytest.mark.parametrize(
    "text", ["1", "1.0", "1.000", "", "-", "1,00", "١.00", 1.0, None, "1e2.00"]
)
def test_what_is_not_a_sum_is_refused(text: Any) -> None:
    with pytest.raises(MismatchError):
        centi_at({"sum": text}, "sum")


def test_sums_are_read_in_hundredths() -> None:
    assert [centi_at([text], 0) for text in ("0.05", "-12.30", "100.00")] == [5, -1_230, 10_000]


def reply(status: int, content_type: str, body: Any) -> Reply:
    return Reply(status=status, content_type=content_type, headers={}, body=body)


def test_refusal_has_the_form_of_all_refusals() -> None:
    """Status, type, every key and the code; a list or nothing at all is none."""
    keys = ("title", "detail", "pointer", "hint")
    body = {"status": 409, "code": "receipt_changed", **dict.fromkeys(keys)}
    good = reply(409, PROBLEM, body)
    assert require_refused(good, 409, "receipt_changed") is good
    wrong = [
        (reply(400, PROBLEM, body), "receipt_changed"),
        (reply(409, "application/json", body), "receipt_changed"),
        (reply(409, PROBLEM, {"code": "receipt_changed"}), "receipt_changed"),
        (reply(409, PROBLEM, []), "receipt_changed"),
        (reply(409, PROBLEM, None), None),
        (good, "receipt_cancelled"),
    ]
    for each, code in wrong:
        with pytest.raises(MismatchError):
            require_refused(each, 409, code)
    for answer in (None, [], "text"):
        with pytest.raises(MismatchError):
            require_ok(reply(200, "application/json", answer))
