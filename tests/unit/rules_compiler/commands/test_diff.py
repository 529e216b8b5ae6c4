"""``diff``: what changes in words, and for whom over receipts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.unit.rules_compiler.commands.samples import DOCUMENT, RECEIPT, Run, Write


def changed() -> dict[str, Any]:
    """Another percent, one promotion less, one more."""
    tenth, base, won, _ = DOCUMENT["promotions"]
    result = tenth["then"][0] | {"percent": "2"}
    new = {"id": "new", "then": [{"do": "discount_receipt", "amount": "1.00"}]}
    return DOCUMENT | {"version": 8, "promotions": [tenth | {"then": [result]}, base, won, new]}


def test_what_differs_is_told_in_words(run: Run, document: Path, write: Write) -> None:
    """Without receipts: added, removed, changed; what is equal is not named."""
    said = run("diff", document, write("new.json", changed()))

    assert said.code == 0
    assert "changed tenth" in said.out
    assert "removed lost" in said.out
    assert "added new" in said.out
    assert "base" not in said.out


def test_the_same_in_another_order_of_keys_is_the_same(
    run: Run, document: Path, write: Write
) -> None:
    """Another version, other order of keys, written defaults: nothing differs."""
    turned = [dict(reversed(each.items())) | {"stack": False} for each in DOCUMENT["promotions"]]

    said = run("diff", document, write("new.json", DOCUMENT | {"version": 9, "promotions": turned}))

    assert said.out.splitlines()[0] == "The programmes say the same."


def test_a_list_changes_the_promotions_that_use_it(run: Run, write: Write) -> None:
    """Though the promotion's own text is the same."""
    result = {"do": "discount_goods", "filter": {"list": ["l"]}, "percent": "10"}
    promotions = [{"id": "listed", "then": [result]}]
    old = DOCUMENT | {"promotions": promotions, "product_lists": {"l": {"sku": ["a"]}}}
    new = DOCUMENT | {"promotions": promotions, "product_lists": {"l": {"sku": ["b"]}}}

    said = run("diff", write("old.json", old), write("new.json", new))

    assert "changed listed" in said.out
    assert "changed the programme itself" in said.out


def test_receipts_tell_for_whom_it_changes(
    run: Run, document: Path, write: Write, tmp_path: Path
) -> None:
    """Sums before and after, the promotions that act otherwise, the receipts that change most."""
    untouched = RECEIPT | {
        "receipt_id": "r-0",
        "customer": {"id": "c-0"},
        "lines": [{"line": 1, "sku": "z", "qty": "1", "price": "0.00"}],
    }
    path = write("some.jsonl", [RECEIPT, untouched, RECEIPT | {"receipt_id": "r-2"}])

    said = run(
        *("diff", document, write("new.json", changed()), "--receipts", path),
        *("--json", tmp_path / "out"),
    )

    told = json.loads((tmp_path / "out").read_text("utf-8"))["receipts"]
    assert said.code == 0, said.err
    assert (told["receipts"], told["sum_changes"], told["dearer"]) == (3, 2, 2)
    assert told["customers_affected"] == 1
    assert {each["promotion"]: each["programme"] for each in told["promotions"]} == {
        "tenth": "changed",
        "base": "same",
        "new": "added",
        "lost": "removed",
    }
    assert [each["receipt"] for each in told["biggest"]] == ["r-1", "r-2"]
    assert "Receipts that change most" in said.out


def test_bundles_have_no_words_to_compare(run: Run, document: Path, tmp_path: Path) -> None:
    """A document is asked for."""
    run("compile", document, "-o", tmp_path / "b", "--new-key", tmp_path / "key")

    said = run("diff", document, tmp_path / "b")

    assert said.code == 1
    assert "is a bundle; a document is needed" in said.err
