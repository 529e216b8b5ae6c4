"""The Russian catalogue: complete, without remains, with the right forms."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

import rules_compiler.describe
from rules_compiler.describe.goods import GOODS_CASES
from rules_compiler.describe.nouns import CASES, NOUNS, counted
from rules_compiler.describe.voice import Voice

SOURCES = sorted(Path(next(iter(rules_compiler.describe.__path__))).glob("*.py"))
# Where a method takes the case and the message.
MESSAGES = {"text": (None, 0), "cased": (0, 1), "counted": (None, 1)}
PLACEHOLDER = re.compile(r"%\(\w+\)s")
CATALOGUE_FILE = "locales/ru/LC_MESSAGES/describe.po"


def constant(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def texts_in_code() -> Iterator[tuple[str | None, str]]:
    """Case and message of every text; those whose case is a variable are wanted in all."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = node.func.value
            places = MESSAGES.get(node.func.attr)
            if places is None or not (
                isinstance(owner, ast.Name) and owner.id in ("voice", "self")
            ):
                continue
            case_at, message_at = places
            message = constant(node.args[message_at])
            assert message is not None, f"{path.name}:{node.lineno}: a text must stand in the call"
            case = None if case_at is None else constant(node.args[case_at])
            if case_at is None or case is not None:
                yield case, message
            elif message == "any goods":
                yield "pieces", message
            else:
                cases = GOODS_CASES if message == "goods %(which)s" else CASES
                yield from ((each, message) for each in cases)
    for one, _, fraction in NOUNS.values():
        yield from ((case, one) for case in CASES)
        yield "fraction", fraction


def russian() -> dict[tuple[str | None, str], list[str]]:
    """Messages and their translations, each in all its forms."""
    file = resources.files("rules_compiler.describe").joinpath(CATALOGUE_FILE)
    with file.open("rb") as source:
        catalogue = read_po(source, locale="ru")
    return {
        (message.context, message.id if isinstance(message.id, str) else message.id[0]): (
            [message.string] if isinstance(message.string, str) else list(message.string or ())
        )
        for message in catalogue
        if message.id
    }


def test_every_text_is_translated() -> None:
    """A text added to the code without a translation is found here."""
    translated = {key for key, forms in russian().items() if all(forms)}

    assert set(texts_in_code()) - translated == set()


def test_the_catalogue_has_nothing_that_is_not_said() -> None:
    """A translation of a text that is gone is dead."""
    assert set(russian()) - set(texts_in_code()) == set()


def test_translations_keep_what_is_filled_in() -> None:
    """A value lost in translation would be silence about a part of a promotion."""
    lost = [
        (message, form)
        for (_, message), forms in russian().items()
        for form in forms
        if {*PLACEHOLDER.findall(message)} != {*PLACEHOLDER.findall(form)}
    ]

    assert lost == []


def test_the_catalogue_compiles() -> None:
    """The installer compiles every catalogue with the checks of pybabel, and stops at an error."""
    file = resources.files("rules_compiler.describe").joinpath(CATALOGUE_FILE)
    with file.open("rb") as source:
        catalogue = read_po(source, locale="ru")

    assert list(catalogue.check()) == []


@pytest.mark.parametrize(
    ("noun", "case", "forms"),
    [
        ("piece", "nominative", "1 штука|2 штуки|5 штук|21 штука|11 штук|0,5 шт. или кг"),
        ("piece", "accusative", "1 штуку|2 штуки|5 штук|21 штуку|11 штук|0,5 шт. или кг"),
        ("piece", "genitive", "1 штуки|2 штук|5 штук|21 штуки|11 штук|0,5 шт. или кг"),
        ("day", "nominative", "1 день|2 дня|5 дней|21 день|11 дней|0,5 дня"),
        ("day", "genitive", "1 дня|2 дней|5 дней|21 дня|11 дней|0,5 дня"),
        ("year", "genitive", "1 года|2 лет|5 лет|21 года|11 лет|0,5 года"),
        ("time", "genitive", "1 раза|2 раз|5 раз|21 раза|11 раз|0,5 раза"),
        ("point", "accusative", "1 балл|2 балла|5 баллов|21 балл|11 баллов|0,5 балла"),
        ("chip", "accusative", "1 фишку|2 фишки|5 фишек|21 фишку|11 фишек|0,5 фишки"),
        ("coupon", "genitive", "1 купона|2 купонов|5 купонов|21 купона|11 купонов|0,5 купона"),
    ],
)
def test_russian_numbers_have_their_forms(noun: str, case: str, forms: str) -> None:
    """One, few, many; 21 is as 1, 11 is not; a fraction governs the genitive singular."""
    voice = Voice({}, "ru")

    assert forms == "|".join(
        counted(voice, noun, number, case) for number in ("1", "2", "5", "21", "11", "0.5")
    )


def test_english_numbers_have_their_forms() -> None:
    """One, and any other number."""
    voice = Voice({}, "en")

    told = [counted(voice, "piece", number) for number in ("1", "2", "5", "21", "0.5")]

    assert told == ["1 piece", "2 pieces", "5 pieces", "21 pieces", "0.5 pieces or kg"]
