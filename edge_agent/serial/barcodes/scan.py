"""One reading of a scanner: goods, goods by weight, a loyalty card, or nothing we know. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from edge_agent.serial.barcodes.cards import BankCard, read_card
from edge_agent.serial.barcodes.digits import is_gtin
from edge_agent.serial.barcodes.gs1 import GS, is_gs1, read_gs1, split_aim
from edge_agent.serial.barcodes.layout import as_latin
from edge_agent.serial.barcodes.weights import read_weighed
from edge_agent.serial_settings import CodeSettings
from shared.errors import ForbiddenError

SCAN_CHARS_MAX: Final = 300
"""The longest marking code has about 130."""


class ScanKind(enum.StrEnum):
    """What was read."""

    GOODS = "goods"
    WEIGHED = "weighed"
    CARD = "card"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """``code``: EAN, GTIN, in-store code or card number; ``other``: the text as it came."""

    kind: ScanKind
    code: str
    weight_milli: int | None = None
    price_minor: int | None = None
    pieces: int | None = None
    serial: str | None = None
    batch: str | None = None
    expires_on_date: str | None = None


def read_scan(text: str, settings: CodeSettings, *, year: int) -> Scan:
    """What was read, whichever scanner, symbology and keyboard it came through.

    Raises:
        InputError: ``bad_barcode``: too long, or a check digit is wrong.
        ForbiddenError: ``bank_card``: nothing of it is kept or told.
    """
    text = text.rstrip("\r\n\t ")[: SCAN_CHARS_MAX + 1]
    separator = settings.separator or GS
    if not separator.isascii():
        # Before the letters: a scanner's byte for GS may look like one of the Russian keyboard's.
        text = text.replace(separator, GS)
    symbology, code = split_aim(as_latin(text))
    # After the AIM identifier, since some scanners send its own "]" in place of GS.
    code = code.replace(separator, GS)
    if len(code) > SCAN_CHARS_MAX:
        return Scan(kind=ScanKind.OTHER, code=code[:SCAN_CHARS_MAX])
    if is_gs1(symbology, code):
        return _goods(code, year)
    weighed = read_weighed(code, settings.weight_masks)
    if weighed is not None:
        return Scan(
            kind=ScanKind.WEIGHED,
            code=weighed.code,
            weight_milli=weighed.weight_milli,
            price_minor=weighed.price_minor,
            pieces=weighed.pieces,
        )
    goods = is_gtin(code) and symbology not in ("code128", "qr", "datamatrix")
    card = read_card(code, settings.card_prefixes)
    if isinstance(card, BankCard):
        raise ForbiddenError("this is a bank card", code="bank_card")
    if card is not None and (settings.card_prefixes or not goods):
        return Scan(kind=ScanKind.CARD, code=card.number)
    return Scan(kind=ScanKind.GOODS if goods else ScanKind.OTHER, code=code)


def _goods(code: str, year: int) -> Scan:
    read = read_gs1(code, year=year)
    if read.gtin is None:
        return Scan(kind=ScanKind.OTHER, code=code.strip(GS))
    return Scan(
        kind=ScanKind.GOODS,
        # A GTIN-14 of single goods is their EAN-13 with a 0 before it.
        code=read.gtin.removeprefix("0"),
        weight_milli=read.weight_milli,
        price_minor=read.price_minor,
        serial=read.serial,
        batch=read.batch,
        expires_on_date=read.expires_on_date,
    )
