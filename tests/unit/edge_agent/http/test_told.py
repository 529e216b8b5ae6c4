"""Answers as text: the same as if they were written anew, of few receipts at a time."""

from __future__ import annotations

import json

from msgspec.structs import replace

from edge_agent.http.told import ANSWERS_KEPT, ToldAnswers
from shared.wire.answer_json import answer_to_json
from tests.support.shop_facts import an_answer


def test_a_text_is_of_its_answer() -> None:
    """Also of one whose id was another's, and of one that was forgotten meanwhile."""
    told = ToldAnswers()
    first = an_answer("first")
    for number in range(2 * ANSWERS_KEPT):
        # Nobody else keeps these, so that ids come again.
        answer = replace(first, receipt_id=str(number))
        assert answer_to_json(answer) == json.loads(told.text(answer))
        assert answer_to_json(first) == json.loads(told.text(first))


def test_a_text_is_written_once() -> None:
    """As long as the answer is among the latest."""
    told = ToldAnswers()
    answer = an_answer("r1")
    assert told.text(answer) is told.text(answer)
    for number in range(ANSWERS_KEPT):
        told.text(an_answer(str(number)))
    assert len(told._texts) == ANSWERS_KEPT
    assert id(answer) not in told._texts


def test_more_is_added_behind() -> None:
    """One object with all keys."""
    answer = an_answer("r1")
    more = {"frozen": True, "notices": []}
    expected = {**answer_to_json(answer), **more}
    assert expected == json.loads(ToldAnswers().with_more(answer, more))
