"""Answers as tills were told them, as text: most receipts are sold as they were priced last.

To write an answer of twenty lines takes about as long as to record its sale.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import msgspec

from shared.wire.answer import Answer
from shared.wire.answer_json import answer_text

ANSWERS_KEPT: Final = 300
"""Tills sell what they priced a moment ago; more than a megabyte is not worth it."""


class ToldAnswers:
    """The latest texts, by the very answer they are of. For one thread."""

    def __init__(self) -> None:
        self._texts: OrderedDict[int, tuple[Answer, bytes]] = OrderedDict()

    def text(self, answer: Answer) -> bytes:
        """The answer as JSON."""
        known = self._texts.get(id(answer))
        # The answer is kept with its text, so that its id is no other's meanwhile.
        if known is not None and known[0] is answer:
            return known[1]
        text = answer_text(answer)
        self._texts[id(answer)] = (answer, text)
        if len(self._texts) > ANSWERS_KEPT:
            self._texts.popitem(last=False)
        return text

    def with_more(self, answer: Answer, more: dict[str, Any]) -> bytes:
        """The same object with other keys, none of which is an answer's own."""
        assert more, "there is something to add"
        return self.text(answer)[:-1] + b"," + msgspec.json.encode(more)[1:]
