"""What tills were told lately, so that a sale is recorded as the customer saw it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from edge_agent.checkout.filling import Filled
from shared.uses import Used
from shared.wire.answer import Answer

CALCULATIONS_MAX: Final = 1_000
"""A shop has tens of tills, each with a few receipts open; one that fell out is priced again."""
CALCULATION_LINES_MAX: Final = 20_000
"""Together; about 20 MB when full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calculation:
    """One answer given. ``raw_sha256``: of the till's own receipt, before it was completed.

    ``used``: what the answer used of limited promotions. ``coupons``: the personal codes, in
    capitals, that it used up.
    """

    raw_sha256: bytes
    filled: Filled
    answer: Answer
    bundle_version: int
    used: tuple[Used, ...] = ()
    coupons: tuple[str, ...] = ()


class Calculations:
    """The latest answers by calculation id; the one not asked for longest leaves first.

    Threads may share it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Calculation] = OrderedDict()
        self._lines = 0

    def keep(self, calculation_id: str, calculation: Calculation) -> None:
        """Remember an answer; the same id again is the same answer."""
        with self._lock:
            self._forget(calculation_id)
            self._kept[calculation_id] = calculation
            self._lines += _lines_of(calculation)
            while len(self._kept) > CALCULATIONS_MAX or (
                self._lines > CALCULATION_LINES_MAX and len(self._kept) > 1
            ):
                self._forget(next(iter(self._kept)))

    def find(self, calculation_id: str) -> Calculation | None:
        """The answer of this id, if it is still here."""
        with self._lock:
            found = self._kept.get(calculation_id)
            if found is not None:
                self._kept.move_to_end(calculation_id)
            return found

    def _forget(self, calculation_id: str) -> None:
        gone = self._kept.pop(calculation_id, None)
        if gone is not None:
            self._lines -= _lines_of(gone)


def _lines_of(calculation: Calculation) -> int:
    # An empty receipt is held in memory too.
    return max(len(calculation.filled.receipt.lines), 1)
