"""The ``[serial]`` tables are read strictly, and refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.config import CONFIG_FILE, Config
from edge_agent.serial_settings import (
    PORTS_MAX,
    CodeSettings,
    DisplaySettings,
    ScannerSettings,
    SerialSettings,
    TillSettings,
)
from shared.errors import InputError

BASE = Config(central_url="https://central:8471", edge_id=7, store_id="S1")
GOOD = """
[serial]
language = "ru"

[[serial.till]]
name = "R1"
path = "/dev/serial/by-id/usb-FTDI-if00-port0"
charset = "cp1251"

[[serial.scanner]]
name = "R1-scanner"
till = "R1"
usb = "0c2e:0b61"

[[serial.display]]
name = "R1-display"
till = "R1"
usb = "0403:6001:A50285BI"
baud = 19200

[serial.codes]
card_prefixes = ["29", "777"]
weight_masks = ["22CCCCCWWWWWK", "20CCCCCVPPPPK"]
group_separator = "]"
"""
SETTINGS = SerialSettings(
    till=(TillSettings(name="R1", path="/dev/serial/by-id/usb-FTDI-if00-port0", charset="cp1251"),),
    scanner=(ScannerSettings(name="R1-scanner", till="R1", usb="0c2e:0b61"),),
    display=(DisplaySettings(name="R1-display", till="R1", usb="0403:6001:A50285BI", baud=19_200),),
    codes=CodeSettings(
        card_prefixes=("29", "777"),
        weight_masks=("22CCCCCWWWWWK", "20CCCCCVPPPPK"),
        group_separator="]",
    ),
)


def load(folder: Path, text: str) -> Config:
    (folder / CONFIG_FILE).write_text(BASE.to_toml() + text, "utf-8")
    return Config.load(folder)


def test_tables_are_read(tmp_path: Path) -> None:
    """As a technician writes them."""
    assert load(tmp_path, GOOD).serial == SETTINGS
    assert load(tmp_path, "").serial == SerialSettings()


def test_written_settings_read_back(tmp_path: Path) -> None:
    """The configuration as one line a key is the same configuration."""
    config = load(tmp_path, GOOD)
    (tmp_path / CONFIG_FILE).write_text(config.to_toml(), "utf-8")
    assert Config.load(tmp_path) == config


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('name = "R1"\n', 'name = "R 1"\n', "till"),
        ('path = "/dev', 'path = "dev', "path"),
        ('path = "/dev/serial/by-id/usb-FTDI-if00-port0"\n', "", "path or usb"),
        ('till = "R1"\nusb = "0c2e:0b61"', 'till = "R1"', "path or usb"),
        ("0c2e:0b61", "0c2e", "usb"),
        ("baud = 19200", "baud = 19201", "baud"),
        ('charset = "cp1251"', 'charset = "koi8-r"', "charset"),
        ('charset = "cp1251"', "byte_timeout_ms = 5", "byte_timeout_ms"),
        ('charset = "cp1251"', "repeats = 11", "repeats"),
        ('charset = "cp1251"', "colour = 1", "colour"),
        ('name = "R1-scanner"', 'name = "R1"', "twice"),
        ('usb = "0c2e:0b61"', 'usb = "0403:6001:A50285BI"', "twice"),
        ('name = "R1-display"\ntill = "R1"', 'name = "R1-display"\ntill = "R2"', "R2"),
        ("22CCCCCWWWWWK", "22CCCCCWWWWW", "weight_masks"),
        ("22CCCCCWWWWWK", "22CCCCCCCCCCK", "one of W, P or N"),
        ("22CCCCCWWWWWK", "22CCWWWCCWWWK", "one run"),
        ("22CCCCCWWWWWK", "22CCCVWWWWWWK", "V is"),
        ("22CCCCCWWWWWK", "20CCCCCWWWWWK", "twice"),
        ('"777"', '"7x7"', "card_prefixes"),
        ('group_separator = "]"', 'group_separator = "]]"', "group_separator"),
        ('group_separator = "]"', 'group_separator = "F8F"', "group_separator"),
        ('group_separator = "]"', 'group_separator = ""', "group_separator"),
    ],
)
def test_faults_are_named(tmp_path: Path, before: str, after: str, said: str) -> None:
    """A technician reads which key is wrong, and the agent does not start with a guess."""
    assert before in GOOD
    with pytest.raises(InputError) as caught:
        load(tmp_path, GOOD.replace(before, after))
    assert caught.value.stable_code == "bad_config"
    assert said in caught.value.message


def test_number_of_ports_is_bounded() -> None:
    """One machine has so many and no more."""
    tills = [TillSettings(name=f"R{n}", path=f"/dev/ttyS{n}") for n in range(PORTS_MAX + 1)]
    SerialSettings(till=tuple(tills[:-1])).check()
    with pytest.raises(InputError):
        SerialSettings(till=tuple(tills)).check()


@pytest.mark.parametrize(
    ("given", "character", "byte"),
    [
        ("]", "]", None),
        ("ш", "ш", None),
        ("F8", None, b"\xf8"),
        ("1d", None, b"\x1d"),
        (None, None, None),
    ],
)
def test_separator_is_a_character_or_a_byte(
    given: str | None, character: str | None, byte: bytes | None
) -> None:
    settings = CodeSettings(group_separator=given)
    assert (settings.separator, settings.separator_byte) == (character, byte)
