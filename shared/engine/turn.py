"""A promotion's turn in the goods stage: what it offers, and what is taken of that."""

from __future__ import annotations

from shared.engine.allowance import Allowance
from shared.engine.conditions import Situation
from shared.engine.lots import LineState, State
from shared.engine.pieces import (
    NO_RULE,
    PRICE,
    Portion,
    Run,
    Used,
)
from shared.engine.program import (
    Filter,
    Promotion,
)


class Bundle:
    """An application of more than one piece: those it discounts and those it only uses.

    ``whole`` rules price all taken pieces together (a set's own reward). ``ordered`` are the
    pieces among which ``paid_count`` more are looked for once it is known which runs are made.
    """

    __slots__ = ("ordered", "paid", "paid_count", "taken", "whole", "whole_value")

    def __init__(
        self, taken: list[Run], paid: list[Run], whole: int = NO_RULE, whole_value: int = 0
    ) -> None:
        self.taken: list[Run] = taken
        self.paid: list[Run] = paid
        self.whole: int = whole
        self.whole_value: int = whole_value
        self.ordered: list[Run] | None = None
        self.paid_count: int = 0


class Offer:
    """What a result would take: single pieces, or applications of several.

    ``shared_minor`` is the amount in all that runs under the rule SHARED divide.
    """

    __slots__ = (
        "bundles",
        "cap_minor",
        "chips_account",
        "counter",
        "counter_pieces",
        "ends_early",
        "gifts_each",
        "matched",
        "runs",
    )

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.bundles: list[Bundle] = []
        self.cap_minor: int | None = None
        self.matched: bool = False
        self.ends_early: bool = False
        """Whether there were more sets than the limits seemed to leave."""
        self.counter: str = ""
        self.counter_pieces: int = 0
        self.chips_account: str = ""
        self.gifts_each: int = 1
        """Gifts that belong to one claim."""


class Turn:
    """One promotion's turn in the goods stage.

    ``used``: pieces that others of the group have used (mode ``first``). ``uses`` gathers those
    that this promotion uses.
    """

    __slots__ = (
        "allowance",
        "at",
        "changed",
        "counts",
        "discount_minor",
        "floored",
        "matched",
        "promotion",
        "state",
        "used",
        "uses",
    )

    def __init__(
        self, at: Situation, promotion: Promotion, allowance: Allowance, used: Used | None
    ) -> None:
        self.at: Situation = at
        self.state: State = at.state
        self.promotion: Promotion = promotion
        self.allowance: Allowance = allowance
        self.used: Used | None = used
        self.uses: list[Run] = []
        self.discount_minor: int = 0
        self.matched: bool = False
        self.floored: bool = False
        self.changed: bool = False
        """Whether a counter moved or a discount was given."""
        self.counts: int = 0

    # --- what pieces gain

    def gains(self, run: Run) -> bool:
        """Whether one such piece by itself would become cheaper."""
        lot = run.lot
        if lot.net_minor == 0 or run.value < 0:
            return False
        line = lot.line
        if not self.state.room_minor(line, lot.quantity_milli, lot.net_minor, self.promotion):
            self.floored = True
            return False
        if run.rule == PRICE:
            return lot.net_minor * 1000 > run.value * lot.quantity_milli
        return run.value > 0

    def lines(self, wanted: Filter) -> list[LineState]:
        """The lines that match and that benefits may touch; not to be changed."""
        lines = self.at.lines(wanted)
        if self.state.takes_benefits:
            return lines
        return [line for line in lines if line.takes_benefits]


class Taking:
    """What of an offer is taken: single pieces, and applications of several.

    ``portions`` are all its pieces with what is wanted off them, where that has been computed.
    """

    __slots__ = ("bundles", "portions", "runs")

    def __init__(self, runs: list[Run], bundles: list[Bundle]) -> None:
        self.runs: list[Run] = runs
        self.bundles: list[Bundle] = bundles
        self.portions: list[Portion] | None = None
