"""What a goods result would take, before any limit (section 6 of the language).

An offer names pieces in the result's order of choice, each under a rule. Limits shorten it and
``goods`` gives what is left; the mode ``best`` reads the same offers and shortens them by its own
choice, so both ways price alike.
"""

from __future__ import annotations

from typing import Final, cast

from shared.engine.allowance import Allowance
from shared.engine.conditions import Situation
from shared.engine.lots import LineState
from shared.engine.pieces import (
    EACH,
    NO_RULE,
    PERCENT,
    PRICE,
    SHARED,
    Run,
    between,
    count_of,
    grouped,
    in_order,
    open_runs,
)
from shared.engine.program import (
    ChipsPrice,
    Choose,
    CounterNth,
    DiscountGoods,
    ExternalDiscount,
    GiftGoods,
    GoodsSet,
    ManualDiscount,
    Measure,
    Nth,
    Per,
    PerSum,
    SetPrice,
    Slot,
    Tiers,
    Value,
)
from shared.engine.program import Step as TierStep
from shared.engine.ready import (
    CHIPS_PRICE,
    COUNTER_NTH,
    DISCOUNT_GOODS,
    EXTERNAL,
    GIFT_GOODS,
    GOODS_SET,
    MANUAL,
    NTH,
    SET_PRICE,
    Step,
)
from shared.engine.turn import Bundle, Offer, Turn

# Enumerations are slow to ask for a member.
_DEAREST: Final = Choose.DEAREST


def counter_before(at: Situation, counter: str) -> int:
    """A counter of the customer as it stands at this moment of the receipt."""
    found = at.state.counters.get(counter)
    if found is not None:
        return found
    return 0 if at.customer is None else at.customer.counters.get(counter, 0)


def offer_of(turn: Turn, step: Step) -> Offer:
    """The pieces that the result would take, before any limit of the promotion."""
    kind, result = step.kind, step.result
    if kind == DISCOUNT_GOODS:
        return _offer_discount(turn, cast("DiscountGoods", result))
    if kind == SET_PRICE:
        return _offer_price(turn, cast("SetPrice", result))
    if kind == NTH:
        return _offer_nth(turn, cast("Nth", result))
    if kind == GOODS_SET:
        return offer_set(turn, cast("GoodsSet", result))
    if kind == GIFT_GOODS:
        return _offer_gift(turn, cast("GiftGoods", result))
    if kind == CHIPS_PRICE:
        return _offer_chips(turn, cast("ChipsPrice", result))
    if kind == COUNTER_NTH:
        return _offer_counter(turn, cast("CounterNth", result))
    if kind == MANUAL:
        return _offer_manual(turn, cast("ManualDiscount", result))
    assert kind == EXTERNAL, "only goods results offer pieces"
    return _offer_external(turn, cast("ExternalDiscount", result))


def _discount_rule(result: DiscountGoods, lines: list[LineState]) -> tuple[int, int]:
    if result.percent_ppm is not None:
        return PERCENT, result.percent_ppm
    if result.amount_each_minor is not None:
        return EACH, result.amount_each_minor
    if result.amount_minor is not None:
        return SHARED, result.amount_minor
    tiers = result.tiers
    if tiers is None:
        return NO_RULE, 0
    value = step_value(tiers.steps, measure(tiers, lines))
    if tiers.gives is Value.PERCENT:
        return PERCENT, value
    return (EACH if tiers.gives is Value.AMOUNT_EACH else SHARED), value


def measure(tiers: Tiers, lines: list[LineState]) -> int:
    """What the ladder looks at, over lines that benefits may touch."""
    if tiers.by is Measure.QUANTITY:
        return sum([line.quantity_milli for line in lines])
    if tiers.by is Measure.TOTAL:
        return sum([line.net_minor for line in lines])
    return len({line.sku for line in lines})


def step_value(steps: list[TierStep], reached: int) -> int:
    """The value of the highest step reached; 0 below the first."""
    value = 0
    for step in steps:
        if reached < step.bound:
            break
        value = step.value
    return value


def _offer_discount(turn: Turn, result: DiscountGoods) -> Offer:
    offer = Offer()
    lines = turn.lines(result.filter)
    if not lines:
        return offer
    offer.matched = True
    offer.cap_minor = result.cap_minor
    rule, value = _discount_rule(result, lines)
    runs = in_order(open_runs(lines, turn.promotion, turn.used), result.choose)
    if result.skip_count:
        runs = between(runs, result.skip_count, None)
    if result.quantity_max is not None:
        runs = _at_most(runs, result.quantity_max, result.quantity_max_by, result.choose)
    if result.piece_ppms is not None:
        offer.runs = _stepped(runs, result.piece_ppms)
    elif result.by_category is not None:
        rates = {rate.category: rate.percent_ppm for rate in result.by_category}
        offer.runs = [
            run.ruled(PERCENT, ppm)
            for run in runs
            if (ppm := category_ppm(rates, run.lot.line.line.category)) is not None
        ]
    else:
        for run in runs:
            run.rule = rule
            run.value = value
        offer.runs = runs
    return offer


def _at_most(runs: list[Run], most: int, per: Per, choose: Choose) -> list[Run]:
    if per is Per.RECEIPT:
        return between(runs, 0, most)
    return in_order(
        [run for group in grouped(runs, per) for run in between(group, 0, most)], choose
    )


def _stepped(runs: list[Run], ppms: list[int]) -> list[Run]:
    """The rate of the first piece, of the second, …; the last rate repeats."""
    found: list[Run] = []
    position = 0
    for run in runs:
        start = run.start
        while start < run.end:
            last = position >= len(ppms) - 1
            end = run.end if last else start + 1
            part = run.part(start, end)
            part.rule = PERCENT
            part.value = ppms[min(position, len(ppms) - 1)]
            found.append(part)
            position += end - start
            start = end
    return found


def category_ppm(rates: dict[str, int], category: str | None) -> int | None:
    """The rate of the deepest category that the line's category is or lies below."""
    path = category
    while path:
        rate = rates.get(path)
        if rate is not None:
            return rate
        path = path.rpartition("/")[0]
    return None


def _offer_price(turn: Turn, result: SetPrice) -> Offer:
    offer = Offer()
    lines = turn.lines(result.filter)
    if not lines:
        return offer
    offer.matched = True
    runs = open_runs(lines, turn.promotion, turn.used)
    runs = between(in_order(runs, result.choose), 0, result.quantity_max)
    for run in runs:
        run.rule = PRICE
        run.value = unit_price(run, result)
    offer.runs = runs
    return offer


def unit_price(run: Run, result: SetPrice) -> int:
    """The price of one unit that the result sets; -1 where there is none to set."""
    lot = run.lot
    if result.price_minor is not None:
        return result.price_minor
    if result.price_type is not None:
        return lot.line.line.prices_minor.get(result.price_type, -1)
    ending = result.ending_minor
    assert ending is not None, "a set price says which"
    step = 100
    while step <= ending:
        step *= 10
    unit = lot.net_minor * 1000 // lot.quantity_milli
    price = (unit - ending) // step * step + ending
    return price if price > 0 else -1


def _offer_nth(turn: Turn, result: Nth) -> Offer:
    offer = Offer()
    lines = [line for line in turn.lines(result.filter) if line.countable]
    offer.matched = bool(lines)
    if result.price_minor is not None:
        rule, value = PRICE, result.price_minor
    else:
        assert result.percent_ppm is not None, "an nth says how much"
        rule, value = PERCENT, result.percent_ppm
    runs = open_runs(lines, turn.promotion, turn.used)
    every, take = result.every, result.take
    # What is alike stands together in the order of lines; inside it the dearest piece is first.
    for alike in grouped(runs, result.same):
        group = in_order(alike, _DEAREST)
        count = count_of(group) // every
        if not count:
            continue
        if result.cheapest:
            _cheapest_bundles(offer, in_order(group, Choose.CHEAPEST), result, rule, value)
            continue
        cursor = _Cursor(group)
        for _ in range(count):
            paid = cursor.next(every - take)
            taken = [run.ruled(rule, value) for run in cursor.next(take)]
            offer.bundles.append(Bundle(taken, paid))
    return offer


def _cheapest_bundles(offer: Offer, ordered: list[Run], result: Nth, rule: int, value: int) -> None:
    """Runs that take the cheapest of all; the paid pieces are the next cheapest.

    Which pieces are paid depends on how many runs are made, so ``deal_paid`` finds them later.
    """
    every, take = result.every, result.take
    cursor = _Cursor(ordered)
    for _ in range(count_of(ordered) // every):
        bundle = Bundle([run.ruled(rule, value) for run in cursor.next(take)], [])
        bundle.ordered = ordered
        bundle.paid_count = every - take
        offer.bundles.append(bundle)


def deal_paid(bundles: list[Bundle]) -> None:
    """Give each run that is made its paid pieces: the next cheapest after the last one taken."""
    cursors: dict[int, _Cursor] = {}
    for bundle in bundles:
        if bundle.ordered is not None:
            cursor = cursors.get(id(bundle.ordered))
            if cursor is None:
                cursor = cursors[id(bundle.ordered)] = _Cursor(bundle.ordered)
            for run in (*bundle.taken, *bundle.paid):
                cursor.pass_by(run)
    for bundle in bundles:
        if bundle.ordered is not None:
            bundle.paid.extend(cursors[id(bundle.ordered)].next(bundle.paid_count))


def bundles_left(allowance: Allowance) -> int | None:
    """How many applications of several pieces the limits and the claim still allow."""
    left, claimed = allowance.applications_left, allowance.claimed_left
    if left is None:
        return claimed
    return left if claimed is None else min(left, claimed)


class _Cursor:
    """Takes pieces off the front of ordered runs."""

    __slots__ = ("at", "index", "runs")

    def __init__(self, runs: list[Run]) -> None:
        self.runs: list[Run] = runs
        self.index: int = 0
        self.at: int = runs[0].start if runs else 0

    def pass_by(self, passed: Run) -> None:
        """Go on after these pieces, if they still lie ahead."""
        for index in range(self.index, len(self.runs)):
            run = self.runs[index]
            if run.lot is passed.lot and run.start <= passed.start < run.end:
                if index > self.index or passed.end > self.at:
                    self.index, self.at = index, passed.end
                break

    def next(self, count: int) -> list[Run]:
        """The next pieces; fewer where there are no more."""
        found: list[Run] = []
        while count > 0 and self.index < len(self.runs):
            run = self.runs[self.index]
            end = min(self.at + count, run.end)
            if end > self.at:
                found.append(run.part(self.at, end))
                count -= end - self.at
                self.at = end
            if self.at >= run.end:
                self.index += 1
                if self.index < len(self.runs):
                    self.at = self.runs[self.index].start
        return found


def offer_set(turn: Turn, result: GoodsSet, more: int = 0) -> Offer:
    """Sets, one after another, each slot taking the first free pieces in its order.

    No more than the limits leave, and ``more`` for those that may turn out to be none.
    """
    offer = Offer()
    slots = result.slots
    ordered: list[list[Run]] = []
    for slot in slots:
        lines = [line for line in turn.lines(slot.filter) if line.countable]
        offer.matched = offer.matched or bool(lines)
        ordered.append(in_order(open_runs(lines, turn.promotion, turn.used), slot.choose))
    if not all(ordered):
        return offer
    left = bundles_left(turn.allowance)
    # How far each run of a lot is used up, by the lot and where the run begins.
    free: dict[tuple[int, int], int] = {}
    while left is None or len(offer.bundles) < left + more:
        bundle = next_set(result, ordered, free)
        if bundle is None or not _set_gains(turn, bundle):
            return offer
        offer.bundles.append(bundle)
    offer.ends_early = left > 0
    return offer


def _whole_rule(result: GoodsSet) -> tuple[int, int]:
    if result.price_minor is not None:
        return PRICE, result.price_minor
    if result.percent_ppm is not None:
        return PERCENT, result.percent_ppm
    if result.amount_minor is not None:
        return SHARED, result.amount_minor
    return NO_RULE, 0


def next_set(
    result: GoodsSet, ordered: list[list[Run]], free: dict[tuple[int, int], int]
) -> Bundle | None:
    """One more set from what is free of the slots' ordered runs; None where a slot stays empty.

    ``free`` tells how far each run is used up and is moved on.
    """
    whole, whole_value = _whole_rule(result)
    undo: list[tuple[tuple[int, int], int | None]] = []
    taken: list[Run] = []
    paid: list[Run] = []
    for slot, runs in zip(result.slots, ordered, strict=True):
        need = slot.quantity
        rule, value = _slot_rule(slot)
        # Runs used up by earlier sets stand at the front and are passed once.
        while runs and not undo and free.get((id(runs[0].lot), runs[0].start), 0) >= runs[0].end:
            runs.pop(0)
        for run in runs:
            key = (id(run.lot), run.start)
            start = free.get(key, run.start)
            end = min(start + need, run.end)
            if end <= start:
                continue
            part = Run(run.lot, start, end, rule, value)
            if whole != NO_RULE or rule != NO_RULE:
                taken.append(part)
            else:
                paid.append(part)
            undo.append((key, free.get(key)))
            free[key] = end
            need -= end - start
            if not need:
                break
        if need:
            for key, known in reversed(undo):
                if known is None:
                    del free[key]
                else:
                    free[key] = known
            return None
    return Bundle(taken, paid, whole, whole_value)


def _slot_rule(slot: Slot) -> tuple[int, int]:
    if slot.percent_ppm is not None:
        return PERCENT, slot.percent_ppm
    if slot.price_minor is not None:
        return PRICE, slot.price_minor
    return NO_RULE, 0


def _set_gains(turn: Turn, bundle: Bundle) -> bool:
    if bundle.whole == NO_RULE:
        return any([turn.gains(run) for run in bundle.taken])
    if bundle.whole_value == 0 and bundle.whole != PRICE:
        return False
    state, promotion = turn.state, turn.promotion
    has_room = False
    # The sum of exact shares, over one denominator.
    numerator, denominator = 0, 1
    for run in bundle.taken:
        lot = run.lot
        pieces = run.end - run.start
        numerator = numerator * lot.piece_count + lot.net_minor * pieces * denominator
        denominator *= lot.piece_count
        if lot.net_minor and state.room_minor(
            lot.line, lot.quantity_milli, lot.net_minor, promotion
        ):
            has_room = True
    if not has_room:
        turn.floored = True
        return False
    if bundle.whole == PRICE:
        return numerator > bundle.whole_value * denominator
    return numerator > 0


def _offer_gift(turn: Turn, result: GiftGoods) -> Offer:
    offer = Offer()
    lines = turn.lines(result.filter)
    if not lines:
        return offer
    offer.matched = True
    gifts = result.quantity
    if result.per is not None:
        wanted = result.filter if result.per.filter is None else result.per.filter
        gifts = times_of(result.per, turn.lines(wanted)) * result.per.count
    offer.gifts_each = gifts
    gifts *= turn.allowance.claims
    if result.count_max is not None:
        gifts = min(gifts, result.count_max)
    runs = between(in_order(open_runs(lines, turn.promotion, turn.used), result.choose), 0, gifts)
    offer.runs = [run.ruled(PRICE, result.price_minor) for run in runs]
    return offer


def times_of(per: PerSum, lines: list[LineState]) -> int:
    """How many full amounts or quantities the lines hold, at what they cost now."""
    if per.amount_minor is not None:
        return sum([line.net_minor for line in lines]) // per.amount_minor
    assert per.quantity_milli is not None, "it is per an amount or a quantity"
    return sum([line.quantity_milli for line in lines]) // per.quantity_milli


def chips_left(at: Situation, account: str) -> int:
    """The chips that pieces may still take: the balance, and no more than was asked for."""
    if at.customer is None:
        return 0
    left = at.customer.chips.get(account, 0)
    request = at.receipt.chips.get(account)
    if request is not None:
        left = min(left, request)
    for (spent_from, _), count in at.state.chips_spent.items():
        if spent_from == account:
            left -= count
    return left


def _offer_chips(turn: Turn, result: ChipsPrice) -> Offer:
    offer = Offer()
    lines = turn.lines(result.filter)
    left = chips_left(turn.at, result.account)
    if not lines:
        return offer
    offer.matched = True
    offer.chips_account = result.account
    runs = in_order(open_runs(lines, turn.promotion, turn.used), result.choose)
    runs = between(runs, 0, result.quantity_max)
    pieces = _pieces_left(turn.allowance)
    if result.ladder is None:
        assert result.each is not None, "chips a piece"
        if result.price_minor is not None:
            rule, value = PRICE, result.price_minor
        else:
            rule, value = PERCENT, result.percent_ppm or 0
        for run in runs:
            ruled = run.ruled(rule, value)
            if not turn.gains(ruled):
                continue
            can = left // result.each if result.each else run.end - run.start
            count = min(can, run.end - run.start)
            if count:
                ruled.end = ruled.start + count
                ruled.chips = result.each
                offer.runs.append(ruled)
                left -= count * result.each
        return offer
    taken = 0
    for run in runs:
        start = run.start
        while start < run.end and (pieces is None or taken < pieces):
            part = run.part(start, start + 1)
            part.rule = PERCENT
            for step in result.ladder:
                if step.chips <= left:
                    part.value = step.percent_ppm
                    part.chips = step.chips
                    break
            else:
                return offer
            start += 1
            if turn.gains(part):
                left -= part.chips
                taken += 1
                offer.runs.append(part)
    return offer


def _pieces_left(allowance: Allowance) -> int | None:
    left, pieces = allowance.applications_left, allowance.pieces_left
    if left is None:
        # Where pieces run short the offer must show that there would be one more.
        return None if pieces is None else pieces + 1
    return left if pieces is None else min(left, pieces + 1)


def _offer_counter(turn: Turn, result: CounterNth) -> Offer:
    offer = Offer()
    if turn.at.customer is None:
        return offer
    lines = turn.lines(result.filter)
    if not lines:
        return offer
    offer.matched = True
    count = counter_before(turn.at, result.counter)
    before = count
    every = result.every
    for run in in_order(open_runs(lines, turn.promotion, turn.used), Choose.LINE):
        size = run.end - run.start
        position = run.start + every - count % every - 1
        if every == 1:
            offer.runs.append(run.ruled(PRICE, result.price_minor))
        else:
            while position < run.end:
                part = run.part(position, position + 1)
                part.rule, part.value = PRICE, result.price_minor
                offer.runs.append(part)
                position += every
        count += size
    offer.counter = result.counter
    offer.counter_pieces = count - before
    return offer


def _offer_manual(turn: Turn, result: ManualDiscount) -> Offer:
    offer = Offer()
    manual = turn.at.receipt.manual
    if manual is None:
        return offer
    allowed = result.permissions is None or manual.permission in result.permissions
    if manual.percent_ppm > result.percent_ppm_max or not allowed:
        return offer
    named = None if manual.lines is None else set(manual.lines)
    lines = [line for line in turn.lines(result.filter) if named is None or line.number in named]
    offer.matched = bool(lines)
    for run in in_order(open_runs(lines, turn.promotion, turn.used), Choose.LINE):
        offer.runs.append(run.ruled(PERCENT, manual.percent_ppm))
    return offer


def _offer_external(turn: Turn, result: ExternalDiscount) -> Offer:
    offer = Offer()
    amount = turn.at.receipt.external_minor.get(result.service)
    if amount is None:
        return offer
    lines = turn.lines(result.filter)
    offer.matched = bool(lines)
    for run in in_order(open_runs(lines, turn.promotion, turn.used), Choose.LINE):
        offer.runs.append(run.ruled(SHARED, amount))
    return offer
