"""The trace in words, and the completeness of the Russian catalogue."""

from __future__ import annotations

import re
from importlib import resources

from central.web.languages import TONGUES, choose
from central.web.words import REASONS, RESULTS, SUBJECTS, tell
from shared.engine.explain import Reason
from shared.wire.answer import Outcome, TraceEntry


def test_every_reason_of_the_engine_has_a_message() -> None:
    """A new reason without words is noticed here, not by a shopkeeper."""
    assert set(Reason) == set(REASONS)


def test_every_message_has_a_russian_text() -> None:
    """Whatever the templates and the words say, the catalogue knows."""
    folder = resources.files("central.web").joinpath("templates")
    used = {*REASONS.values(), *RESULTS.values(), *SUBJECTS.values()}
    for path in folder.iterdir():
        found = re.findall(r"""\bt\(("[^"]+"|'[^']+')""", path.read_text("utf-8"))
        used |= {literal[1:-1] for literal in found}
    known = TONGUES["ru"]._texts._catalog  # type: ignore[attr-defined]
    assert sorted(message for message in used if message not in known) == []


def test_a_refused_promotion_is_told_with_its_values() -> None:
    """Name, reason and the values that decided stand together, in the reader's language."""
    entry = TraceEntry(
        promotion="p1",
        result_index=0,
        stage="goods",
        outcome=Outcome.NOT_APPLIED,
        reason="condition",
        subject="total",
        seen="90.00",
        wanted="100.00",
    )
    told = tell(entry, {"p1": "Кофе"}, TONGUES["ru"])
    assert (told.name, told.acted) == ("Кофе", False)
    assert told.why == "Не выполнено одно из условий."
    assert told.values == "сумма · есть: 90.00 · нужно: 100.00"


def test_language_is_the_users_choice_then_the_browsers() -> None:
    """The cookie wins; a strange one counts as none."""
    assert choose("en", "ru").language == "en"
    assert choose("xx", "ru-RU,ru;q=0.9,en;q=0.5").language == "ru"
    assert choose(None, "de").language == "en"


def test_money_is_written_as_the_language_writes_it() -> None:
    """Minor units of the programme's currency."""
    assert TONGUES["ru"].money(123456, "RUB") == "1\xa0234,56\xa0₽"
