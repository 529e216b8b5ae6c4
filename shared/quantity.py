"""Quantities in thousandths of a piece, kilogram or litre."""

from __future__ import annotations

from typing import Final

QUANTITY_SCALE: Final = 1000


def format_quantity(quantity_milli: int) -> str:
    """Decimal text, whole without decimals, else with three: 2000 -> ``2``, 532 -> ``0.532``."""
    whole, rest = quantity_milli // QUANTITY_SCALE, quantity_milli % QUANTITY_SCALE
    return str(whole) if rest == 0 else f"{whole}.{str(QUANTITY_SCALE + rest)[1:]}"
