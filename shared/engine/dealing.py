"""From a choice of kinds back to pieces: who is dealt which piece of which line."""

from __future__ import annotations

from fractions import Fraction

from shared.engine.entrants import Entrant, Result
from shared.engine.kinds import Kind, Kinds, Seat, nth_rule, slot_rule
from shared.engine.pieces import NO_RULE, PERCENT, PRICE, SHARED, Run
from shared.engine.program import GoodsSet, Nth
from shared.engine.turn import Bundle, Offer, Taking
from shared.money import divide_half_up


class Pick:
    """Pieces of one kind in one application, and the slot they are in; -1 where there is none."""

    __slots__ = ("count", "kind", "seat")

    def __init__(self, kind: int, count: int, seat: Seat) -> None:
        self.kind: int = kind
        self.count: int = count
        self.seat: Seat = seat


class Plan:
    """An application: its pieces by kind, in the order in which they are taken."""

    __slots__ = ("alone", "paid", "result", "taken")

    def __init__(self, result: int, taken: list[Pick], paid: list[Pick], *, alone: bool) -> None:
        self.result: int = result
        self.taken: list[Pick] = taken
        self.paid: list[Pick] = paid
        self.alone: bool = alone
        """Whether it is a single piece of a result that takes single pieces."""


def nth_plan(result: int, spec: Nth, picks: list[Pick]) -> Plan:
    """One run, dearest first: the last m are the taken ones, save those that gain nothing."""
    paid_count = spec.every - spec.take
    taken: list[Pick] = []
    paid: list[Pick] = []
    position = 0
    for pick in picks:
        free = max(min(paid_count - position, pick.count), 0)
        if free:
            paid.append(Pick(pick.kind, free, pick.seat))
        if pick.count > free:
            held = taken if pick.seat.worth > 0 else paid
            held.append(Pick(pick.kind, pick.count - free, pick.seat))
        position += pick.count
    return Plan(result, taken, paid, alone=False)


def set_plan(result: int, spec: GoodsSet, picks: list[Pick]) -> Plan:
    """One set, slot by slot; of rewards by slot, what gains nothing is only used."""
    if is_whole(spec):
        return Plan(result, picks, [], alone=False)
    taken = [pick for pick in picks if pick.seat.worth > 0]
    paid = [pick for pick in picks if pick.seat.worth <= 0]
    return Plan(result, taken, paid, alone=False)


def is_whole(spec: GoodsSet) -> bool:
    """Whether the reward is one for the whole set."""
    return (
        spec.price_minor is not None
        or spec.percent_ppm is not None
        or spec.amount_minor is not None
    )


class Chosen:
    """A plan, and how many times it is followed."""

    __slots__ = ("plan", "times")

    def __init__(self, plan: Plan, times: int) -> None:
        self.plan: Plan = plan
        self.times: int = times


def deal(
    kinds: Kinds, entrants: list[Entrant], results: list[Result], chosen: list[Chosen]
) -> list[list[Taking]]:
    """Give the pieces out in the order of the plans: who comes first gets the lower lines."""
    takings = [[Taking([], []) for _ in entrant.offers] for entrant in entrants]
    pools = [_Pool(kind) for kind in kinds.all]
    single: dict[int, list[_Dealt]] = {}
    for each in chosen:
        plan = each.plan
        result = results[plan.result]
        if plan.alone:
            pick = plan.taken[0]
            found = pools[pick.kind].take(each.times)
            single.setdefault(plan.result, []).extend([_Dealt(pick.seat, run) for run in found])
            continue
        taking = takings[result.entrant][result.index]
        for _ in range(each.times):
            taking.bundles.append(_bundle(result.spec, plan, pools))
    for number, pieces in single.items():
        result = results[number]
        takings[result.entrant][result.index].runs = _ruled(pieces, result.offer)
    return takings


class _Pool:
    """Pieces of one kind, handed out from the front."""

    __slots__ = ("at", "index", "pieces")

    def __init__(self, kind: Kind) -> None:
        self.pieces: list[Run] = kind.pieces
        self.index: int = 0
        self.at: int = kind.pieces[0].start

    def take(self, count: int) -> list[Run]:
        """The next pieces."""
        found: list[Run] = []
        while count > 0:
            run = self.pieces[self.index]
            end = min(self.at + count, run.end)
            if end > self.at:
                found.append(Run(run.lot, self.at, end))
                count -= end - self.at
                self.at = end
            if self.at >= run.end:
                self.index += 1
                if self.index == len(self.pieces):
                    break
                self.at = self.pieces[self.index].start
        assert count == 0, "no more pieces are chosen than there are"
        return found


def _bundle(spec: object, plan: Plan, pools: list[_Pool]) -> Bundle:
    paid: list[Run] = []
    paid_first = not isinstance(spec, Nth) or not spec.cheapest
    if paid_first:
        paid = [run for pick in plan.paid for run in pools[pick.kind].take(pick.count)]
    taken: list[Run] = []
    for pick in plan.taken:
        rule, value = NO_RULE, 0
        if isinstance(spec, Nth):
            rule, value = nth_rule(spec)
        elif isinstance(spec, GoodsSet):
            rule, value = slot_rule(spec, pick.seat.slot)
        taken.extend([run.ruled(rule, value) for run in pools[pick.kind].take(pick.count)])
    if not paid_first:
        paid = [run for pick in plan.paid for run in pools[pick.kind].take(pick.count)]
    whole, whole_value = NO_RULE, 0
    if isinstance(spec, GoodsSet):
        if spec.price_minor is not None:
            whole, whole_value = PRICE, spec.price_minor
        elif spec.percent_ppm is not None:
            whole, whole_value = PERCENT, spec.percent_ppm
        elif spec.amount_minor is not None:
            whole, whole_value = SHARED, spec.amount_minor
    return Bundle(taken, paid, whole, whole_value)


class _Dealt:
    """Single pieces under the rule of a seat."""

    __slots__ = ("run", "seat")

    def __init__(self, seat: Seat, run: Run) -> None:
        self.seat: Seat = seat
        self.run: Run = run


def _ruled(pieces: list[_Dealt], offer: Offer) -> list[Run]:
    """Chosen single pieces under their rules, in the order in which they were offered.

    A shared amount is what the exact shares of the chosen pieces come to.
    """
    rank = {(id(run.lot), run.start): place for place, run in enumerate(offer.runs)}

    def offered(item: _Dealt) -> tuple[int, int]:
        run = item.run
        best = len(rank)
        for candidate in offer.runs:
            if candidate.lot is run.lot and candidate.start <= run.start < candidate.end:
                best = rank[(id(candidate.lot), candidate.start)]
                break
        return (best, run.start)

    ordered = sorted(pieces, key=offered)
    shared = Fraction(0)
    for each in ordered:
        if each.seat.run.rule == SHARED:
            shared += each.seat.shared * (each.run.end - each.run.start)
    amount = divide_half_up(shared.numerator, shared.denominator)
    runs: list[Run] = []
    for each in ordered:
        rule = each.seat.run.rule
        part = each.run.ruled(rule, amount if rule == SHARED else each.seat.run.value)
        part.chips = each.seat.run.chips
        runs.append(part)
    return runs
