"""Requests to return goods from JSON, and refunds as JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules_compiler.refunding import refund_line
from shared.wire import refund_json
from shared.wire.answer import (
    Accrued,
    Answer,
    AnswerLine,
    Applied,
    ChipsMoved,
    CounterValue,
    CouponIssued,
    LinePoints,
    Part,
    Spent,
    Totals,
)
from shared.wire.answer_json import answer_to_json
from shared.wire.reading import FormatError
from shared.wire.refund_json import answer_from_json, decode_refund_request

_MINIMAL = {"lines": [{"line": 1, "to_pay": "100.00", "qty": "3"}]}


def _request(**changes: Any) -> bytes:
    raw: dict[str, Any] = {"answer": _MINIMAL, "return": {"1": "1"}}
    return json.dumps(raw | changes).encode()


def _faults(data: bytes) -> list[tuple[str, str | None]]:
    with pytest.raises(FormatError) as caught:
        decode_refund_request(data)
    return [(finding.code, finding.pointer) for finding in caught.value.findings]


def _answer_faults(**changes: Any) -> list[tuple[str, str | None]]:
    with pytest.raises(FormatError) as caught:
        answer_from_json(json.dumps(_MINIMAL | changes).encode())
    return [(finding.code, finding.pointer) for finding in caught.value.findings]


def _answer() -> Answer:
    line = AnswerLine(
        line=1,
        list_minor=17_980,
        discount_minor=1798,
        net_minor=16_182,
        points_spent_minor=1000,
        to_pay_minor=15_182,
        applied=[Applied(promotion="dairy-10", discount_minor=1798, quantity_milli=2000)],
        parts=[Part(quantity_milli=2000, to_pay_minor=15_182)],
    )
    return Answer(
        receipt_id="r1",
        programme="shop",
        version=42,
        optimal=False,
        lines=[line],
        total=Totals(
            list_minor=17_980,
            discount_minor=1798,
            net_minor=16_182,
            points_spent_minor=1000,
            to_pay_minor=15_182,
        ),
        accrued=[
            Accrued(
                account="main",
                promotion="base",
                points_centi=151,
                active_on_date="2026-11-23",
                expires_on_date=None,
                lines=[LinePoints(line=1, points_centi=151)],
            )
        ],
        spent=[
            Spent(account="main", points_centi=1000),
            Spent(account="main", points_centi=500, promotion="exchange"),
        ],
        chips=[ChipsMoved(account="cats", promotion="toys", earned=3, spent=1)],
        counters=[CounterValue(id="coffee", value=5)],
        coupons=[CouponIssued(series="NEXT", count=1, promotion="next")],
    )


def test_an_answer_comes_back_as_it_was_written() -> None:
    """What ``answer_to_json`` writes is read again without loss of what a refund needs."""
    answer = _answer()

    assert answer_from_json(json.dumps(answer_to_json(answer)).encode()) == answer


def test_a_minimal_answer_is_enough() -> None:
    """Other systems may say no more than lines, their sums and quantities."""
    (line,) = answer_from_json(json.dumps(_MINIMAL).encode()).lines

    assert (line.line, line.net_minor, line.to_pay_minor) == (1, 10_000, 10_000)
    assert [part.quantity_milli for part in line.parts] == [3000]


def test_unknown_keys_of_an_answer_are_let_be() -> None:
    """Peers may know more than we do."""
    line = {"line": 1, "to_pay": "1.00", "parts": [{"qty": "1", "x": 1}], "vat": "20"}
    raw = {"lines": [line], "fiscal": {"sign": 1}, "total": {"to_pay": "1.00", "vat": "0.17"}}

    assert answer_from_json(json.dumps(raw).encode()).total.to_pay_minor == 100


def test_both_forms_of_quantities_say_the_same() -> None:
    """A list of lines, or an object from line to quantity; numbers or strings."""
    by_list = decode_refund_request(
        _request(**{"return": [{"line": 1, "qty": 1}], "returned": [{"line": "1", "qty": "2"}]})
    )
    by_key = decode_refund_request(_request(**{"return": {"1": "1"}, "returned": {"1": 2}}))

    assert by_list.wanted == by_key.wanted == {1: 1000}
    assert by_list.returned == by_key.returned == {1: 2000}
    assert decode_refund_request(_request()).returned == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"answr": 1}, [("unknown_key", "/answr")]),
        ({"return": None}, [("missing_key", "")]),
        ({"answer": None}, [("missing_key", "")]),
        ({"return": "1"}, [("type", "/return")]),
        ({"return": {"01": "1"}}, [("line", "/return/01")]),
        ({"return": {"1": "1.0005"}}, [("decimals", "/return/1")]),
        ({"return": {"1": "-1"}}, [("bounds", "/return/1")]),
        ({"return": {"1": "0"}}, [("bounds", "/return/1")]),
        ({"return": {"1": "1e3"}}, [("number", "/return/1")]),
        ({"return": [{"line": 1}]}, [("missing_key", "/return/0")]),
        ({"return": [{"line": 1, "qty": "1", "sku": "a"}]}, [("unknown_key", "/return/0/sku")]),
        ({"return": [{"line": 1, "qty": "1"}] * 2}, [("duplicate", "/return/1/line")]),
        ({"returned": {"1": "x"}}, [("number", "/returned/1")]),
        ({"weighed": [2]}, [("unknown_line", "/weighed/0")]),
    ],
)
def test_a_wrong_request_is_refused_with_its_place(
    changes: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    """Strict: a misspelt key or a strange number would give back the wrong money."""
    assert _faults(_request(**changes)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"lines": None}, [("missing_key", "")]),
        ({"lines": [{"line": 1, "qty": "1"}]}, [("missing_key", "/lines/0")]),
        ({"lines": [{"line": 1, "to_pay": "1.00"}]}, [("missing_key", "/lines/0")]),
        ({"lines": [{"line": 1, "to_pay": "1.005", "qty": 1}]}, [("decimals", "/lines/0/to_pay")]),
        ({"lines": [{"line": 1, "to_pay": "-1.00", "qty": 1}]}, [("bounds", "/lines/0/to_pay")]),
        ({"lines": [{"line": 1, "to_pay": "1.00", "qty": 1}] * 2}, [("duplicate", "/lines/1")]),
        (
            {"lines": [{"line": 1, "to_pay": "1", "qty": "2", "parts": [{"qty": "1"}]}]},
            [("sums", "/lines/0/qty")],
        ),
        (
            {"lines": [{"line": 1, "to_pay": "1", "net": "3", "points_spent": "1", "qty": "2"}]},
            [("sums", "/lines/0")],
        ),
        ({"total": {"to_pay": "99.00"}}, [("sums", "/total/to_pay")]),
        (
            {"lines": [{"line": 1, "to_pay": "1", "points_spent": "1", "qty": "2"}]},
            [("sums", "")],
        ),
        (
            {"accrued": [{"account": "m", "points": 1, "lines": [{"line": 2, "points": 1}]}]},
            [("unknown_line", "/accrued/0/lines/0")],
        ),
        (
            {"accrued": [{"account": "m", "points": 1, "lines": [{"line": 1, "points": 2}]}]},
            [("sums", "/accrued/0")],
        ),
        (
            {"accrued": [{"account": "m", "points": 2, "lines": [{"line": 1, "points": 1}] * 2}]},
            [("duplicate", "/accrued/0")],
        ),
        (
            {"accrued": [{"account": "m", "points": 2, "expires_on": "soon"}]},
            [("date", "/accrued/0/expires_on")],
        ),
    ],
)
def test_an_answer_that_does_not_add_up_is_refused(
    changes: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    """A sale whose sums disagree cannot be returned exactly."""
    assert _answer_faults(**changes) == expected


def test_a_request_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of a request has a bound."""
    monkeypatch.setattr(refund_json, "REQUEST_BYTES_MAX", 10)

    assert _faults(_request()) == [("too_large", "")]


def test_a_line_of_json_gives_a_refund() -> None:
    """From bytes to what the till prints; ``returned`` is ready for the next request."""
    answer = answer_to_json(_answer())

    first = refund_line(json.dumps({"answer": answer, "return": {"1": "1"}}).encode())

    assert first == {
        "receipt_id": "r1",
        "full": False,
        "lines": [{"line": 1, "qty": "1", "money": "75.91", "points_spent": "5.00"}],
        "money": "75.91",
        "points_spent": "5.00",
        "points_returned": [{"account": "main", "points": "5.00"}],
        "points_taken": [
            {
                "account": "main",
                "promotion": "base",
                "points": "0.76",
                "active_on": "2026-11-23",
                "expires_on": None,
            }
        ],
        "chips": [{"account": "cats", "promotion": "toys", "earned": -2, "spent": -1}],
        "coupons_restored": False,
        "coupons_taken": [],
        "counters_taken": [],
        "returned": [{"line": 1, "qty": "1"}],
    }
    rest = {"answer": answer, "returned": first["returned"], "return": {"1": "1"}}
    last = refund_line(json.dumps(rest).encode())
    assert (last["full"], last["money"], last["coupons_restored"]) == (True, "75.91", True)
    assert last["points_returned"] == [{"account": "main", "points": "10.00"}]
    assert last["coupons_taken"] == [{"series": "NEXT", "count": 1, "promotion": "next"}]
    assert last["counters_taken"] == ["coffee"]


def test_weighed_lines_of_a_whole_weight_can_be_cut() -> None:
    """The request may say what the answer does not: these lines were weighed."""
    cut = {"return": {"1": "0.5"}}

    assert refund_line(_request(**cut))["error"]["code"] == "part_of_piece"
    assert refund_line(_request(**cut, weighed=[1]))["money"] == "16.67"


@pytest.mark.parametrize(
    ("data", "code", "pointer"),
    [
        (b"{", "not_json", ""),
        (b"\xff", "not_json", ""),
        (b"[]", "type", ""),
        (b'{"return": {"1": "1", "1": "2"}}', "duplicate_key", "/return/1"),
        (_request(**{"return": {}}), "empty_return", "/return"),
        (_request(**{"return": {"7": "1"}}), "unknown_line", "/return/7"),
        (_request(**{"return": [{"line": 7, "qty": "1"}]}), "unknown_line", "/return/0/qty"),
        (_request(returned={"1": "3"}), "too_much", "/return/1"),
        (_request(returned=[{"line": 1, "qty": "4"}]), "too_much", "/returned/0/qty"),
    ],
)
def test_a_refusal_is_a_line_too(data: bytes, code: str, pointer: str) -> None:
    """Every request gets exactly one answer; a refusal points at what the request wrote."""
    error = refund_line(data)["error"]

    assert (error["code"], error["pointer"]) == (code, pointer)
    assert error["findings"][0]["detail"] == error["detail"]


_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(("", "1", "2.50", "x")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                (
                    "1",
                    "line",
                    "qty",
                    "to_pay",
                    "points_spent",
                    "parts",
                    "points",
                    "account",
                    "lines",
                )
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
_answers = st.fixed_dictionaries(
    {"lines": _values | st.just(_MINIMAL["lines"])},
    optional={
        key: _values | st.lists(_values, max_size=2)
        for key in ("total", "accrued", "spent", "chips", "counters", "coupons", "version")
    },
)


@given(_answers | _values, _values | st.just({"1": "1"}), _values)
def test_whatever_is_asked_is_answered(answer: Any, wanted: Any, returned: Any) -> None:
    """Any JSON gives a refund or coded findings, never an accident."""
    raw = {"answer": answer, "return": wanted, "returned": returned}

    told = refund_line(json.dumps(raw).encode())

    assert ("error" in told) != ("money" in told)


def test_the_example_of_the_documentation_is_true() -> None:
    """The request and the refund that the document shows belong together."""
    text = (Path(__file__).parents[4] / "docs" / "refunds.md").read_text("utf-8")
    _, _, section = text.partition("## The request\n")
    blocks = re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)

    assert refund_line(blocks[0].encode()) == json.loads(blocks[1])
