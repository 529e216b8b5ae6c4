"""The ``[serial]`` tables of edge.toml: which ports there are and who is at their other ends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

from shared.errors import InputError

PORTS_MAX: Final = 32
"""Of all kinds; a server with more needs another server."""
USB_PATTERN: Final = r"^[0-9a-fA-F]{4}:[0-9a-fA-F]{4}(:[^\s]{1,64})?$"
NAME_PATTERN: Final = r"^[A-Za-z0-9_-]{1,32}$"
MASK_PATTERN: Final = r"^\d{2,3}[CWPNVX]{3,20}K$"
"""A weight barcode digit by digit, see docs/serial.md."""
Charset = Literal["cp866", "cp1251", "utf-8"]
Language = Literal["en", "ru"]
Baud = Literal[1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600]

_Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN)]
_Path = Annotated[str, msgspec.Meta(pattern=r"^/", max_length=200)]
_Usb = Annotated[str, msgspec.Meta(pattern=USB_PATTERN)]
_Mask = Annotated[str, msgspec.Meta(pattern=MASK_PATTERN)]
_Prefix = Annotated[str, msgspec.Meta(pattern=r"^\d{1,12}$")]
_Separator = Annotated[str, msgspec.Meta(pattern=r"\A(?s:.|[0-9A-Fa-f]{2})\Z")]


class PortSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A port, named by ``path`` (best one below /dev/serial/by-id) or by ``usb``.

    ``usb`` is VID:PID or VID:PID:SERIAL in hexadecimal, as ``lsusb -v`` shows them.
    """

    name: _Name
    path: _Path | None = None
    usb: _Usb | None = None
    baud: Baud = 115_200
    rtscts: bool = False


class TillSettings(PortSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A till that asks. Its name is the receipts' ``register``. Spans are milliseconds."""

    charset: Charset = "cp866"
    byte_timeout_ms: Annotated[int, msgspec.Meta(ge=20, le=5_000)] = 200
    answer_timeout_ms: Annotated[int, msgspec.Meta(ge=100, le=30_000)] = 1_000
    repeats: Annotated[int, msgspec.Meta(ge=1, le=10)] = 5


class ScannerSettings(PortSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scanner or card reader beside the till ``till``, which fetches what it reads."""

    till: _Name
    baud: Baud = 9_600


class DisplaySettings(PortSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A customer display of 2 × 20 characters beside the till ``till``."""

    till: _Name
    baud: Baud = 9_600


class CodeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How codes are understood.

    ``card_prefixes``: what loyalty cards begin with; none: any number may be one. ``weight_masks``:
    in-store barcodes. ``group_separator``: what a scanner sends in place of GS (0x1D), as a
    character or as a byte of two hexadecimal digits.
    """

    card_prefixes: Annotated[tuple[_Prefix, ...], msgspec.Meta(max_length=50)] = ()
    weight_masks: Annotated[tuple[_Mask, ...], msgspec.Meta(max_length=100)] = ()
    group_separator: _Separator | None = None

    @property
    def separator(self) -> str | None:
        """The character of a scanned text that stands for GS; None: GS itself."""
        given = self.group_separator
        return given if given is not None and len(given) == 1 else None

    @property
    def separator_byte(self) -> bytes | None:
        """The byte that does, if one is named: it need not be a part of any character."""
        given = self.group_separator
        return bytes.fromhex(given) if given is not None and len(given) > 1 else None


class SerialSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it; nothing is opened where nothing is named."""

    language: Language = "ru"
    till: tuple[TillSettings, ...] = ()
    scanner: tuple[ScannerSettings, ...] = ()
    display: tuple[DisplaySettings, ...] = ()
    codes: CodeSettings = CodeSettings()

    def check(self) -> None:
        """Raises InputError: what no single value shows, such as two ports of one name."""
        ports: Sequence[PortSettings] = (*self.till, *self.scanner, *self.display)
        if len(ports) > PORTS_MAX:
            raise _bad(f"there are more than {PORTS_MAX} ports")
        for port in ports:
            if (port.path is None) == (port.usb is None):
                raise _bad(f"{port.name} needs path or usb, one of the two")
        _once([port.name for port in ports], "name")
        _once([port.path or (port.usb or "").lower() for port in ports], "port")
        tills = {till.name for till in self.till}
        wanted = [(each.name, each.till) for each in self.scanner]
        for name, till in [*wanted, *((each.name, each.till) for each in self.display)]:
            if till not in tills:
                raise _bad(f"{name} names the till {till}, which is not there")
        _once([display.till for display in self.display], "till with a display")
        for mask in self.codes.weight_masks:
            _check_mask(mask)
        _once([_prefix(mask) for mask in self.codes.weight_masks], "prefix of a weight mask")


def _check_mask(mask: str) -> None:
    values = re.findall(r"W+|P+|N+", mask)
    codes = re.findall(r"C+", mask)
    second = re.findall(r"V", mask)
    if len(codes) != 1 or len(values) != 1 or len(second) > 1:
        raise _bad(f"the weight mask {mask} needs one run of C and one of W, P or N")
    if second and len(values[0]) not in (4, 5):
        raise _bad(f"the weight mask {mask}: V is the check digit of 4 or 5 digits")


def _prefix(mask: str) -> str:
    return mask.rstrip("CWPNVXK") + f" of {len(mask)} digits"


def _once(names: list[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise _bad(f"the {what} {name} stands twice")


def _bad(detail: str) -> InputError:
    return InputError(f"[serial]: {detail}", code="bad_config")
