"""The programme, the receipt and the running state of one pricing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any

from .amounts import dec, fl, hu, kopecks

Piece = tuple[int, int]
"""Line number and piece number; a block is the one piece 1 of its line."""

STAGE_OF = {
    "discount_goods": "goods",
    "set_price": "goods",
    "nth": "goods",
    "set": "goods",
    "gift_goods": "goods",
    "chips_price": "goods",
    "counter_nth": "goods",
    "manual": "goods",
    "external": "goods",
    "discount_receipt": "receipt",
    "spend_points": "spend",
    "round_total": "round",
    "accrue_points": "accrue",
    "accrue_chips": "accrue",
    "count": "accrue",
    "issue_coupon": "inform",
    "message": "inform",
    "gift_info": "inform",
    "service": "inform",
}
KEPT_OUT = frozenset({"tobacco", "gift_card", "no_discount"})
EARN_NOTHING = frozenset({"tobacco", "gift_card"})


class TooLargeError(Exception):
    """The receipt is too large for the exhaustive search of a `best` group."""


class UndecidedError(Exception):
    """Several choices of a `best` group are equal by every rule of the text."""


def optional(value: Any, convert: Callable[[Any], Any]) -> Any:
    return None if value is None else convert(value)


class Line:
    """One line of the receipt, never changed."""

    def __init__(self, raw: dict[str, Any], programme_max_discount: Fraction) -> None:
        soft = raw.get("soft") or {}
        self.raw = raw
        self.number = int(raw["line"])
        self.sku = raw["sku"]
        self.qty = dec(raw["qty"])
        self.price = kopecks(raw["price"])
        self.list = hu(self.price * self.qty)
        self.flags = frozenset(raw.get("flags") or ())
        self.countable = self.qty.denominator == 1 and raw.get("weighed") is not True
        self.min_price = optional(raw.get("min_price"), kopecks)
        own = raw.get("max_discount")
        self.max_discount = programme_max_discount if own is None else dec(own)
        self.soft_min_price = optional(soft.get("min_price"), kopecks)
        self.soft_max_discount = optional(soft.get("max_discount"), dec)
        self.base_qty = dec(raw.get("base_qty") or 1)
        self.kept_out = bool(self.flags & KEPT_OUT)
        self.earns = not self.flags & EARN_NOTHING

    def __deepcopy__(self, memo: dict[int, Any]) -> Line:
        return self

    def pieces(self) -> list[Piece]:
        count = int(self.qty) if self.countable else 1
        return [(self.number, i) for i in range(1, count + 1)]

    def list_of(self, units: Fraction) -> Fraction:
        """The list amount of these units (a block only as a whole)."""
        return self.price * units if self.countable else Fraction(self.list)

    def floor(self, units: Fraction, promo: Promotion, *, exact: bool = False) -> Fraction:
        """The floor of `units` of this line for a promotion, rounded as section 2 says or not."""
        up: Callable[[Fraction], Fraction] = (lambda x: x) if exact else (lambda x: Fraction(hu(x)))
        down: Callable[[Fraction], Fraction] = (
            (lambda x: x) if exact else (lambda x: Fraction(fl(x)))
        )
        spirits = "excise_alcohol" in self.flags
        pairs = []
        if spirits or not promo.ignore_floor:
            pairs.append((self.min_price, self.max_discount))
        if spirits or not promo.ignore_soft:
            pairs.append((self.soft_min_price, self.soft_max_discount))
        bounds = [Fraction(0)]
        list_amount = self.list_of(units)
        for low, percent in pairs:
            if low is not None:
                bounds.append(up(low * units))
            if percent is not None:
                bounds.append(list_amount - down(list_amount * percent / 100))
        return max(bounds)


class Promotion:
    """A promotion with its defaults filled in."""

    def __init__(self, raw: dict[str, Any], default_group: str) -> None:
        self.raw = raw
        self.id: str = raw["id"]
        self.group: str = raw.get("group") or default_group
        self.priority = int(raw.get("priority", 100))
        self.enabled = raw.get("enabled", True)
        self.when = raw.get("when")
        self.then: list[dict[str, Any]] = raw["then"]
        self.stack = bool(raw.get("stack"))
        self.closes = bool(raw.get("closes"))
        self.family: str | None = raw.get("only_one_of")
        self.forbid_spend = bool(raw.get("forbid_spend"))
        self.forbid_accrual = bool(raw.get("forbid_accrual"))
        self.ignore_floor = bool(raw.get("ignore_floor"))
        self.ignore_soft = bool(raw.get("ignore_soft"))
        self.on_claim = bool(raw.get("on_claim"))
        self.cost = raw.get("cost")
        limits = raw.get("limits") or {}
        self.per_receipt = optional(limits.get("per_receipt"), int)
        self.per_customer = limits.get("per_customer") or {}
        self.total = limits.get("total") or {}
        self.skip_excess = limits.get("on_excess") == "skip"

    def __deepcopy__(self, memo: dict[int, Any]) -> Promotion:
        return self

    def results(self, stage: str) -> list[dict[str, Any]]:
        return [r for r in self.then if STAGE_OF[r["do"]] == stage]


class Context:
    """What does not change while one receipt is priced."""

    def __init__(self, programme: dict[str, Any], receipt: dict[str, Any]) -> None:
        self.programme = programme
        self.receipt = receipt
        cap = dec(programme.get("max_discount") or 100)
        self.lines = sorted((Line(raw, cap) for raw in receipt["lines"]), key=lambda x: x.number)
        self.line = {line.number: line for line in self.lines}
        self.customer: dict[str, Any] | None = receipt.get("customer")
        self.time = datetime.fromisoformat(receipt["time"])
        self.groups = programme.get("groups") or [{"id": "main", "resolve": "all"}]
        self.accounts = {a["id"]: a for a in programme.get("accounts") or []}
        first = self.groups[0]["id"]
        promos = [Promotion(raw, first) for raw in programme.get("promotions") or []]
        self.promotions = sorted(promos, key=lambda p: (p.priority, p.id))
        self.payment = programme.get("spend_as") == "payment"

    def __deepcopy__(self, memo: dict[int, Any]) -> Context:
        return self

    def of_group(self, group: str, stage: str, *, stack: bool) -> list[Promotion]:
        return [
            p
            for p in self.promotions
            if p.enabled and p.group == group and p.stack is stack and p.results(stage)
        ]

    def rate(self, account: str) -> Fraction:
        """Kopecks that one point pays."""
        return kopecks(self.accounts[account].get("rate") or "1.00")

    def precision(self, account: str) -> Fraction:
        return dec(self.accounts[account].get("precision") or "0.01")


@dataclass
class Lot:
    """Pieces of one line that share one net."""

    line: Line
    pieces: list[Piece]
    qty: Fraction
    net: int
    points: int = 0
    touched: set[str] = field(default_factory=set)
    closed_by: set[str] = field(default_factory=set)

    def open_to(self, promo: Promotion) -> bool:
        return not self.closed_by - {promo.id}

    @property
    def list(self) -> Fraction:
        return self.line.list_of(self.qty)

    @property
    def due(self) -> int:
        return self.net - self.points

    def room(self, promo: Promotion) -> int:
        """What a discount may still take off this lot."""
        return max(0, self.net - int(self.line.floor(self.qty, promo)))


@dataclass
class Taken:
    """One discount on one lot, as it was given."""

    pieces: list[Piece]
    discount: int
    chips: dict[tuple[str, Piece], int]


@dataclass
class Earned:
    """One entry of `accrued`."""

    account: str
    promotion: str
    points: Fraction
    active_on: str
    expires_on: str | None


@dataclass
class State:
    """Everything that pricing changes."""

    lots: list[Lot]
    applied: dict[int, dict[str, int]] = field(default_factory=dict)
    discounted: dict[str, set[Piece]] = field(default_factory=dict)
    given: dict[str, int] = field(default_factory=dict)
    acted: list[str] = field(default_factory=list)
    families: dict[str, str] = field(default_factory=dict)
    balances: dict[str, Fraction] = field(default_factory=dict)
    times: dict[str, dict[str, int]] = field(default_factory=dict)
    paid_times: dict[str, int] = field(default_factory=dict)
    spent: list[tuple[str, str, Fraction]] = field(default_factory=list)
    spendable: dict[str, Fraction] = field(default_factory=dict)
    spent_accounts: set[str] = field(default_factory=set)
    applications: dict[str, int] = field(default_factory=dict)
    chips: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    counters: dict[str, Fraction] = field(default_factory=dict)
    counters_set: dict[str, Fraction] = field(default_factory=dict)
    accrued: list[Earned] = field(default_factory=list)
    coupons: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    gifts: list[dict[str, Any]] = field(default_factory=list)
    services: list[dict[str, Any]] = field(default_factory=list)
    log: list[Taken] = field(default_factory=list)
    used: list[Piece] = field(default_factory=list)
    cut: bool = False

    def copy(self) -> State:
        return copy.deepcopy(self)

    def become(self, other: State) -> None:
        self.__dict__.update(other.__dict__)

    def act(self, promo: Promotion) -> None:
        """The promotion did something."""
        if promo.id not in self.acted:
            self.acted.append(promo.id)
        if promo.family is not None:
            self.families.setdefault(promo.family, promo.id)

    def count_times(self, promo: Promotion, kind: str, number: int) -> None:
        """How often a kind of result of this promotion acted (for `on_claim` and `cost`)."""
        kinds = self.times.setdefault(promo.id, {})
        kinds[kind] = kinds.get(kind, 0) + number

    def split(self, pieces: Iterable[Piece]) -> Lot:
        """The lot of exactly these pieces, split off if there are more in it."""
        wanted = sorted(pieces)
        lot = self.lot_of(wanted[0])
        if wanted == lot.pieces:
            return lot
        net = self.net_of_part(lot, len(wanted))
        part = copy.deepcopy(lot)
        part.pieces, part.qty, part.net = wanted, Fraction(len(wanted)), net
        lot.pieces = [p for p in lot.pieces if p not in set(wanted)]
        lot.qty -= len(wanted)
        lot.net -= net
        self.lots.append(part)
        self.lots.sort(key=lambda x: x.pieces[0])
        return part

    @staticmethod
    def net_of_part(lot: Lot, count: int) -> int:
        return lot.net if count == len(lot.pieces) else hu(Fraction(lot.net * count, 1) / lot.qty)

    def lot_of(self, piece: Piece) -> Lot:
        return next(lot for lot in self.lots if piece in lot.pieces)

    def take(
        self, promo: Promotion, lot: Lot, discount: int, chips: dict[tuple[str, Piece], int]
    ) -> None:
        """Takes a discount off a lot and writes it down."""
        assert 0 < discount <= lot.net
        lot.net -= discount
        lot.touched.add(promo.id)
        if promo.closes:
            lot.closed_by.add(promo.id)
        applied = self.applied.setdefault(lot.line.number, {})
        applied[promo.id] = applied.get(promo.id, 0) + discount
        self.discounted.setdefault(promo.id, set()).update(lot.pieces)
        self.given[promo.id] = self.given.get(promo.id, 0) + discount
        for (account, _), number in chips.items():
            self.chips.setdefault((account, promo.id), [0, 0])[1] += number
        self.log.append(Taken(list(lot.pieces), discount, chips))
        self.act(promo)

    def line_net(self, number: int) -> int:
        return sum(lot.net for lot in self.lots if lot.line.number == number)


def start(ctx: Context) -> State:
    """The state before anything happened."""
    customer = ctx.customer or {}
    return State(
        lots=[Lot(x, x.pieces(), x.qty, x.list) for x in ctx.lines],
        balances={k: dec(v) for k, v in (customer.get("points") or {}).items()},
        counters={k: dec(v) for k, v in (customer.get("counters") or {}).items()},
    )
