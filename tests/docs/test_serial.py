"""docs/serial.md is true: its conversation is played, its tables and settings are complete."""

from __future__ import annotations

import asyncio
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec

from edge_agent.serial import reference_client
from edge_agent.serial.display import SET_UP
from edge_agent.serial.frames import FrameDecoder, Sign
from edge_agent.serial.services import Services
from edge_agent.serial.teller import Teller
from edge_agent.serial.texts import CODES, TEXT_CHARS_MAX, text_of
from edge_agent.serial_settings import (
    CodeSettings,
    DisplaySettings,
    PortSettings,
    SerialSettings,
    TillSettings,
)
from tests.docs.examples import DOCS, ROOT
from tests.integration.edge_agent.test_till_api import a_till
from tests.support.serial_shop import port_is, ptys_of, till_settings
from tests.support.shop import a_bundle, make_shop

PAGE = (DOCS / "serial.md").read_text("utf-8")
SIGNS = {"ENQ": 5, "ACK": 6, "NAK": 21}


def conversation() -> Iterator[tuple[str, bytes, str]]:
    """Who speaks, which bytes, and what the page says of them."""
    block = PAGE.split("## A whole sale")[1].split("```text\n")[1].split("```")[0]
    before = b""
    for part in re.split(r"^(?=#)", block, flags=re.MULTILINE)[1:]:
        words, _, spoken = part.partition("\n")
        who, _, hexadecimal = spoken.partition(" ")
        same = hexadecimal.strip() == "the same bytes as before"
        said = before if same else bytes.fromhex(hexadecimal)
        before = said if who == "<" and len(said) > 1 else before
        yield who, said, words.removeprefix("# ")


async def test_conversation_is_what_the_agent_says(tmp_path: Path) -> None:
    """Byte for byte, on a pty, with the real agent."""
    with ptys_of(tmp_path, "R1") as [port]:
        serial = till_settings(tmp_path, "R1", answer_timeout_ms=30_000)
        make_shop(tmp_path / "shop", bundle=a_bundle(1), serial=serial)
        async with a_till(tmp_path / "shop") as http:
            await port_is(http, "R1", "ok")
            spoken = 0
            for who, said, _ in conversation():
                spoken += 1
                if who == ">":
                    port.write(said)
                else:
                    heard = await asyncio.to_thread(port.read, len(said))
                    assert heard.hex(" ") == said.hex(" ")
    assert spoken > 30


def test_words_beside_the_bytes_are_what_they_say() -> None:
    """Kind, number and data of each frame, and the names of signs."""
    for _, said, words in conversation():
        [event] = FrameDecoder().feed(said)
        if isinstance(event, Sign):
            assert event.byte == SIGNS[words]
        elif re.match(r"[A-D] \d{3} ", words):
            assert hasattr(event, "data")
            text = event.data.decode("cp866").replace("\n", " ⏎ ")
            assert f"{event.kind} {event.number:03d} {text}" == words


def table_of(heading: str, *, columns: int) -> list[list[str]]:
    """Rows of the first table below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return [row for row in cells[2:] if len(row) >= columns]


def test_every_command_is_in_the_table() -> None:
    """And no command that is not there."""
    teller = Teller(
        cast("Services", None),
        TillSettings(name="R1", path="/dev/null"),
        codes=CodeSettings(),
        language="en",
    )
    rows = PAGE.split("## Commands")[1].split("After an answer")[0]
    assert set(re.findall(r"^\| `([A-Z]+)`", rows, re.MULTILINE)) == set(teller._commands)


def test_every_code_is_in_the_table_with_its_texts() -> None:
    """In both languages, short enough for two rows of a display."""
    documented = {row[0].strip("`"): row[1:] for row in table_of("Refusals", columns=3)}
    documented = {code: texts for code, texts in documented.items() if code in CODES}
    assert documented == {code: [text_of(code, "en"), text_of(code, "ru")] for code in CODES}
    for code in CODES:
        assert len(text_of(code, "en")) <= TEXT_CHARS_MAX
        assert len(text_of(code, "ru")) <= TEXT_CHARS_MAX
        assert re.search("[а-я]", text_of(code, "ru"))
    assert text_of("something new", "en") == "Refused"


def test_every_code_that_a_service_gives_has_a_text() -> None:
    """A cashier never reads only "Refused" where the agent knows better."""
    rooms = ("serial", "checkout", "returns", "gift_cards", "members")
    sources = [path for room in rooms for path in (ROOT / "edge_agent" / room).rglob("*.py")]
    given = {
        code
        for path in sources
        for code in re.findall(r'[( ]code="([a-z_]+)"', path.read_text("utf-8"))
    }
    notes = {"unknown_key", "unknown_card", "customer_blocked"}
    machine = {"type", "other_store", "bad_commit", "json"}
    found = {code for code in given if code not in CODES} - notes - machine
    assert {code for code in found if not is_finding(code, sources)} == set()


def is_finding(code: str, sources: list[Path]) -> bool:
    """A code of an incident or a finding is told beside the text, not instead of it."""
    return any(
        re.search(rf'(Incident|Finding)\(\s*code="{code}"', path.read_text("utf-8"))
        for path in sources
    )


def test_settings_on_the_page_are_read_and_complete() -> None:
    """The example is a configuration, and names every key there is."""
    text = PAGE.split("```toml\n")[1].split("```")[0]
    raw: dict[str, Any] = tomllib.loads(text)["serial"]
    msgspec.convert(raw, SerialSettings).check()
    keys = {
        key for table in (raw["till"][0], raw["scanner"][0], raw["display"][0]) for key in table
    }
    for kind in (PortSettings, TillSettings, DisplaySettings):
        assert {field.name for field in msgspec.structs.fields(kind)} <= keys
    assert {field.name for field in msgspec.structs.fields(SerialSettings)} == set(raw)
    assert {field.name for field in msgspec.structs.fields(CodeSettings)} == set(raw["codes"])


def test_display_set_up_is_on_the_page() -> None:
    """Each of its commands."""
    shown = "".join(
        re.findall(r"`([0-9A-F ]+)` (?:initialise|CP866|overwrite|no cursor|clear)", PAGE)
    )
    assert bytes.fromhex(shown) == SET_UP


def test_reference_client_is_short() -> None:
    """A hundred lines, or nobody reads it."""
    assert len(inspect.getsource(reference_client).splitlines()) <= 100
