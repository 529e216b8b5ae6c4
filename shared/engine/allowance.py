"""What the limits of one promotion leave it in this receipt (section 3, ``limits``)."""

from __future__ import annotations

from shared.engine.program import Limits, Promotion
from shared.wire.receipt import Receipt, Usage

_NO_USAGE = Usage()


class Allowance:
    """How many applications, pieces and how much money a promotion still has.

    None is without limit. ``cut``: a limit of pieces or money has taken something away.
    """

    __slots__ = (
        "acted_count",
        "applications_left",
        "claimed_left",
        "claims",
        "cut",
        "discount_left_minor",
        "pieces_left",
        "promotion",
        "times_used_up",
    )

    def __init__(self, promotion: Promotion, receipt: Receipt | None) -> None:
        self.promotion: Promotion = promotion
        self.applications_left: int | None = None
        self.pieces_left: int | None = None
        self.discount_left_minor: int | None = None
        self.times_used_up: str = ""
        """The limit of times that is used up: the promotion does not act at all."""
        self.claims: int = 1
        """How often a claimed promotion may act."""
        self.claimed_left: int | None = None
        """Applications of ``nth`` and ``set`` that the claim leaves."""
        self.acted_count: int = 0
        """The greatest count of any result: what a cost is taken for."""
        self.cut: bool = False
        limits = promotion.limits
        if limits is not None and receipt is not None:
            self._read(limits, receipt)

    def _read(self, limits: Limits, receipt: Receipt) -> None:
        self.applications_left = limits.per_receipt
        left: list[int] = []
        usage = receipt.usage.get(self.promotion.id, _NO_USAGE)
        if limits.total_times is not None and usage.times.get("total", 0) >= limits.total_times:
            self.times_used_up = "total.times"
        if limits.total_discount_minor is not None:
            left.append(limits.total_discount_minor - usage.discount_minor.get("total", 0))
        mine = limits.per_customer
        if mine is not None:
            customer = receipt.customer
            if customer is None:
                self.times_used_up = "per_customer"
            else:
                used = customer.usage.get(self.promotion.id, _NO_USAGE)
                if mine.times is not None and used.times.get(mine.per, 0) >= mine.times:
                    self.times_used_up = "per_customer.times"
                if mine.quantity_milli is not None:
                    pieces = mine.quantity_milli - used.quantity_milli.get(mine.per, 0)
                    self.pieces_left = max(pieces // 1000, 0)
                if mine.discount_minor is not None:
                    left.append(mine.discount_minor - used.discount_minor.get(mine.per, 0))
        if left:
            self.discount_left_minor = max(min(left), 0)

    def copy(self) -> Allowance:
        """The same allowance, apart: for trying what the promotion would do."""
        other = Allowance(self.promotion, None)
        other.applications_left = self.applications_left
        other.pieces_left = self.pieces_left
        other.discount_left_minor = self.discount_left_minor
        other.times_used_up = self.times_used_up
        other.claims = self.claims
        other.claimed_left = self.claimed_left
        other.acted_count = self.acted_count
        other.cut = self.cut
        return other

    def take_counts(self, other: Allowance) -> None:
        """What was counted elsewhere is left here too; money is counted where it is given."""
        self.applications_left = other.applications_left
        self.pieces_left = other.pieces_left
        self.claimed_left = other.claimed_left
        self.acted_count = other.acted_count

    def money(self, wanted_minor: int) -> int:
        """As much of the wanted discount as is left; notes where that is less."""
        left = self.discount_left_minor
        if left is None or wanted_minor <= left:
            return wanted_minor
        self.cut = True
        return left

    def give(self, discount_minor: int) -> None:
        """A discount was given."""
        if self.discount_left_minor is not None:
            self.discount_left_minor -= discount_minor

    def use(self, applications: int, pieces: int) -> None:
        """Applications were made that discounted so many pieces."""
        if self.applications_left is not None:
            self.applications_left -= applications
        if self.pieces_left is not None:
            self.pieces_left -= pieces
