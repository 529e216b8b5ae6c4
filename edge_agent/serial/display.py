"""What a customer display of 2 × 20 characters shows, as the bytes it takes. Pure.

Both rows are always written whole, each after moving to its beginning, so that a byte lost on the
line spoils one picture and not those after it. The set-up goes out again with every opening of the
port; commands are those of ESC/POS displays with code page CP866.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_agent.serial.charsets import encode_text
from shared.money import format_minor
from shared.quantity import QUANTITY_SCALE, format_quantity

COLUMNS: Final = 20
SET_UP: Final = bytes.fromhex("1B40 1B7411 1F01 1F4300 0C")
"""Initialise, code page 17 (CP866), overwrite mode, no cursor, clear."""
_ROWS: Final = (bytes.fromhex("1F240101"), bytes.fromhex("1F240102"))
"""Move to column 1 of the row."""
PAUSE_STEPS: Final = 3
"""Steps that a scrolled text rests at its beginning and at its end."""
TEXT_CHARS_MAX: Final = 200
_ELLIPSIS: Final = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Two rows of any length; what is longer than a row scrolls through it."""

    upper: str = ""
    lower: str = ""

    @property
    def step_count(self) -> int:
        """How many steps until both rows have shown all they have; 1: nothing moves."""
        return max(_steps(_clean(self.upper)), _steps(_clean(self.lower)))


def render(picture: Picture, step: int = 0) -> bytes:
    """The bytes that show the picture at this step of its scrolling; any whole number will do."""
    rows = (picture.upper, picture.lower)
    return b"".join(
        move + encode_row(_window(_clean(text), step))
        for move, text in zip(_ROWS, rows, strict=True)
    )


def encode_row(text: str) -> bytes:
    """Exactly 20 bytes of CP866: what is too long is cut, what is too short filled with blanks."""
    return encode_text(_clean(text), "cp866")[:COLUMNS].ljust(COLUMNS)


def label_and_sum(label: str, amount_minor: int) -> str:
    """A row with its sum at the right edge; the label makes room, the sum never does."""
    return beside(label, format_minor(amount_minor))


def beside(left: str, right: str) -> str:
    """Two texts at the edges of a row; the left one is cut, with a full stop to show it."""
    left, right = _clean(left), _clean(right)[-COLUMNS:]
    room = COLUMNS - len(right) - 1
    if room < 1:
        return right.rjust(COLUMNS)
    if len(left) > room:
        left = left[: room - 1] + _ELLIPSIS
    return left.ljust(room) + " " + right


def item_picture(name: str, quantity_milli: int, price_minor: int, sum_minor: int) -> Picture:
    """What was just rung up: its name, and quantity × price beside the sum so far."""
    amount = format_minor(price_minor)
    if quantity_milli != QUANTITY_SCALE:
        amount = f"{format_quantity(quantity_milli)}x{amount}"
    total = f"={format_minor(sum_minor)}"
    # A number that is cut would be another number.
    fits = len(amount) + 1 + len(total) <= COLUMNS
    return Picture(upper=name, lower=beside(amount if fits else "", total))


def total_picture(to_pay: str, discount: str, to_pay_minor: int, discount_minor: int) -> Picture:
    """What is to be paid, and below it what was saved; the first two are the words for them."""
    lower = label_and_sum(discount, discount_minor) if discount_minor else ""
    return Picture(upper=label_and_sum(to_pay, to_pay_minor), lower=lower)


def _clean(text: str) -> str:
    """One line without control characters, so that no name of goods commands the display."""
    one_line = "".join(each if each.isprintable() else " " for each in text[:TEXT_CHARS_MAX])
    # Some characters take two or three places; they are counted as they will be shown.
    return encode_text(one_line, "cp866").decode("cp866")


def _steps(text: str) -> int:
    hidden = len(text) - COLUMNS
    return 1 if hidden <= 0 else hidden + 2 * PAUSE_STEPS


def _window(text: str, step: int) -> str:
    """The part of the text in sight: rests, moves a place a step, rests, begins again."""
    hidden = len(text) - COLUMNS
    if hidden <= 0:
        return text
    at = min(max(step % _steps(text) - PAUSE_STEPS, 0), hidden)
    return text[at : at + COLUMNS]
