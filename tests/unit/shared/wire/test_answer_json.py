"""The answer as tills see it: JSON whatever its names hold, and the same as values and as text."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from shared.money import format_minor
from shared.wire.answer import AnswerLine, Applied, Part
from shared.wire.answer_json import answer_text, answer_to_json
from tests.support.shop_facts import an_answer

_LINE = AnswerLine(
    line=1,
    list_minor=1,
    discount_minor=0,
    net_minor=1,
    points_spent_minor=0,
    to_pay_minor=1,
    applied=[],
    parts=[],
)


@pytest.mark.parametrize("name", ['say "six"', "back\\slash", "\n\t\x01", "Шесть", "😀", "\ud800"])
def test_a_name_is_told_as_it_is(name: str) -> None:
    """Also with what JSON needs escaped, and with half a character."""
    answer = an_answer("r1")
    applied = [Applied(promotion=name, discount_minor=1, quantity_milli=532)]
    parts = [Part(quantity_milli=10_050, to_pay_minor=-5)]
    line = replace(_LINE, applied=applied, parts=parts)
    named = replace(answer, receipt_id=name, applied=[name], lines=[line])

    told = json.loads(answer_text(named))

    assert told == answer_to_json(named)
    assert told["receipt_id"] == name
    assert told["lines"][0]["applied"] == [{"promotion": name, "discount": "0.01", "qty": "0.532"}]
    assert told["lines"][0]["parts"] == [{"qty": "10.050", "to_pay": "-0.05"}]


def test_every_sum_of_a_line_is_its_own() -> None:
    """Whether it equals another or not."""
    answer = an_answer("r1")
    for list_minor, net_minor, to_pay_minor in ((5, 5, 5), (5, 3, 3), (5, 3, 2), (5, 5, 2)):
        sums = {
            "list_minor": list_minor,
            "discount_minor": list_minor - net_minor,
            "net_minor": net_minor,
            "points_spent_minor": net_minor - to_pay_minor,
            "to_pay_minor": to_pay_minor,
        }
        told = answer_to_json(replace(answer, lines=[replace(_LINE, **sums)]))
        (line,) = told["lines"]
        assert {f"{name}_minor": line[name] for name in ("list", "discount", "net")} == {
            name: format_minor(sums[name]) for name in ("list_minor", "discount_minor", "net_minor")
        }
        assert (line["points_spent"], line["to_pay"]) == (
            format_minor(sums["points_spent_minor"]),
            format_minor(to_pay_minor),
        )
