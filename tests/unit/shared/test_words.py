"""The trace in words, two languages, and the completeness of the Russian catalogues."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import pytest

from edge_agent.page.words import COMPONENTS, HEALTHS, KINDS, STATES, VERDICTS
from shared.engine.explain import Reason
from shared.tongues import Tongues
from shared.wire.answer import Outcome, TraceEntry
from shared.words import (
    INCIDENTS,
    NEAREST_FIRST,
    REASONS,
    RESULTS,
    SUBJECTS,
    VALUES,
    tell,
    tell_all,
)

TONGUES = Tongues("central.web")


def test_every_reason_of_the_engine_has_a_message() -> None:
    """A new reason without words is noticed here, not by a shopkeeper."""
    assert set(Reason) == set(REASONS)
    assert {*NEAREST_FIRST, Reason.APPLIED} == set(Reason)


@pytest.mark.parametrize("package", ["central.web", "edge_agent.page"])
def test_every_message_has_a_russian_text(package: str) -> None:
    """Whatever the templates and the words say, the catalogues know."""
    words = [REASONS, RESULTS, SUBJECTS, VALUES, INCIDENTS]
    if package == "edge_agent.page":
        words += [COMPONENTS, HEALTHS, KINDS, STATES, VERDICTS]
    used = {text for table in words for text in table.values()}
    for path in resources.files(package).joinpath("templates").iterdir():
        found = re.findall(r"""\bt\(("[^"]+"|'[^']+')""", path.read_text("utf-8"))
        used |= {literal[1:-1] for literal in found}
    russian = Tongues(package)["ru"]
    assert sorted(message for message in used if not russian.knows(message)) == []


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
    assert told.values == "есть: 90.00 · нужно: 100.00"


def _entry(promotion: str, reason: str, **more: Any) -> TraceEntry:
    outcome = Outcome.APPLIED if reason == "applied" else Outcome.NOT_APPLIED
    return TraceEntry(
        promotion=promotion,
        result_index=0,
        outcome=outcome,
        reason=reason,
        **{"stage": "goods"} | more,
    )


def test_a_trace_is_told_by_what_acted_and_then_by_reasons() -> None:
    """Parts are added up, what acted is not excused, and like reasons stand together."""
    trace = [
        _entry("coupon-1", "condition", subject="coupon", seen="none", wanted="A"),
        _entry("prices", "no_matching_goods"),
        _entry("prices", "applied", discount_minor=10),
        _entry("prices", "applied", discount_minor=5),
        _entry("coupon-2", "condition", subject="coupon", seen="none", wanted="B"),
        _entry("basket", "condition", subject="total", seen="9.00", wanted="50.00–"),
        _entry("tea", "floor"),
        _entry("pay", "applied", stage="spend", points_centi=200),
    ]
    story = tell_all(trace, {"prices": "Prices"}, TONGUES["en"])
    assert [(one.name, one.discount_minor, one.points_centi, one.spent) for one in story.acted] == [
        ("Prices", 15, 0, False),
        ("pay", 0, 200, True),
    ]
    assert [(idle.why, [one.values for one in idle.promotions]) for idle in story.idle] == [
        ("Minimum prices or maximum discounts leave no room.", [""]),
        (
            "One of its conditions does not hold: coupon",
            ["seen: none · wanted: A", "seen: none · wanted: B"],
        ),
        ("One of its conditions does not hold: sum", ["seen: 9.00 · wanted: from 50.00"]),
    ]
    assert story.idle_count == 4


def test_language_is_the_users_choice_then_the_browsers() -> None:
    """The cookie wins; a strange one counts as none."""
    assert TONGUES.choose("en", "ru").language == "en"
    assert TONGUES.choose("xx", "ru-RU,ru;q=0.9,en;q=0.5").language == "ru"
    assert TONGUES.choose(None, "de").language == "en"


def test_spans_of_time_are_told_in_their_largest_unit() -> None:
    """Two days of silence are not 2880 minutes."""
    assert TONGUES["en"].ago(19) == "19 sec. ago"
    assert TONGUES["en"].span(2 * 86400) == "2 days"
    assert TONGUES["ru"].ago(0) == "1 сек. назад"


def test_money_is_written_as_the_language_writes_it() -> None:
    """Minor units of the programme's currency."""
    assert TONGUES["ru"].money(123456, "RUB") == "1\xa0234,56\xa0₽"
