"""The commands that register gift cards and issue personal coupons, as an operator runs them."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gift_cards import CARDS, PIN, PLAIN, cards_file
from tests.support.head_office import HeadOffice

pytestmark = pytest.mark.processes


@pytest.fixture
def office(tmp_path: Path) -> Iterator[HeadOffice]:
    made = HeadOffice(tmp_path / "central")
    ports = ("--web", "127.0.0.1:0", "--uplink", "127.0.0.1:0")
    assert made.command("init", "--embedded", *ports).code == 0
    try:
        yield made
    finally:
        made.forget()


def test_cards_are_registered_and_coupons_issued(office: HeadOffice, tmp_path: Path) -> None:
    """Counts and codes come out, a wrong file changes nothing, and the books agree."""
    cards = str(cards_file(tmp_path, CARDS))
    done = office.command("gift-cards", "import", cards)
    assert (done.code, done.out) == (0, f"gift cards {len(CARDS)}\n"), done.err
    key = office.folder / "gift-cards.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    again = office.command("gift-cards", "import", cards)
    assert (again.code, again.out) == (1, "")
    assert "cards.jsonl, line 1: this number is registered already" in again.err
    assert PLAIN not in again.err
    assert PIN not in again.err

    members = tmp_path / "members.jsonl"
    members.write_text('{"customer_id": "c1"}\n{"customer_id": "c2"}\n', "utf-8")
    assert office.command("import", "--customers", str(members)).code == 0
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"customer_id": "c1"}\n{"customer_id": "c2", "code": "Привет"}\n', "utf-8")
    options = ("--series", "SPRING", "--valid-to", "2026-05-31")
    issued = office.command("coupons", "issue", str(rows), *options)
    assert issued.code == 0, issued.err
    made, given = (json.loads(line) for line in issued.out.splitlines())
    assert (made["customer_id"], len(made["code"])) == ("c1", 13)
    assert given == {"customer_id": "c2", "code": "ПРИВЕТ"}
    rows.write_text('{"customer_id": "c1"}\n{"customer_id": "nobody"}\n', "utf-8")
    wrong = office.command("coupons", "issue", str(rows), *options)
    assert (wrong.code, wrong.out) == (1, "")
    assert "rows.jsonl, line 2: there is no such customer" in wrong.err

    found = json.loads(office.command("verify", "--json").out)
    assert found["ok"]
    assert found["wrong_gift_cards"] == found["gift_cards_minor"] == 0

    key.write_bytes(bytes(reversed(key.read_bytes().strip())))
    lost = office.command("gift-cards", "import", cards)
    assert (lost.code, lost.err.split(":")[0]) == (1, "corruption")


def test_members_have_phones_and_codes(office: HeadOffice, tmp_path: Path) -> None:
    """Phones are taken in with members, a wrong one is not repeated; a member's code comes out."""
    members = tmp_path / "members.jsonl"
    rows = [{"customer_id": each, "phone": "8 (916) 123-45-67"} for each in ("c1", "c2")]
    members.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    assert office.command("import", "--customers", str(members)).code == 0
    key = office.folder / "members.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    members.write_text('{"customer_id": "c3", "phone": "9161234"}\n', "utf-8")
    wrong = office.command("import", "--customers", str(members))
    assert wrong.code == 1
    assert "members.jsonl, line 1: a phone is 10 to 15 digits" in wrong.err
    assert "9161234" not in wrong.err
    code = office.command("member-code", "c1")
    assert code.code == 0
    assert code.out.startswith("KQ1:")
    assert code.out.endswith(":c1\n")
    nobody = office.command("member-code", "c9")
    assert (nobody.code, nobody.out) == (1, "")
    bound = ("--unproven-points", "300.00")
    assert office.command("store-add", "S1", "One", *bound).code == 0
