"""``describe``: a document or one promotion in words."""

from __future__ import annotations

from pathlib import Path

from tests.unit.rules_compiler.commands.samples import DOCUMENT, Run, Write


def test_one_promotion_is_told_in_either_language(run: Run, document: Path) -> None:
    """Its name, and what it does."""
    english = run("describe", document, "tenth")
    russian = run("describe", document, "tenth", "--lang", "ru")

    assert (english.code, russian.code) == (0, 0)
    assert "10%" in english.out
    assert "Действие" in russian.out
    assert "Десятая часть" in english.out


def test_the_whole_document_names_every_promotion(run: Run, document: Path) -> None:
    """Without an id all are told."""
    said = run("describe", document)

    assert said.code == 0
    assert all((each.get("name") or each["id"]) in said.out for each in DOCUMENT["promotions"])


def test_an_unknown_id_is_told_with_the_nearest(run: Run, document: Path) -> None:
    """A slip of the finger is recognised."""
    said = run("describe", document, "tenht")

    assert said.code == 1
    assert "Did you mean 'tenth'?" in said.err


def test_a_refused_document_is_not_described(run: Run, write: Write) -> None:
    """What is wrong is shown instead."""
    said = run("describe", write("broken.json", b"{"))

    assert (said.code, said.out) == (1, "")
    assert "not_json" in said.err
