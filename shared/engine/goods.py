"""The goods stage: discounts on pieces (section 6 of the language).

A result first *offers*: which pieces it would take, in its order of choice, and by which rule.
The limits of the promotion then shorten the offer, and what is left is *given*: computed lot by
lot, cut at floors and caps, taken off. The mode ``best`` reads the same offers and shortens them
by its own choice, so both ways price alike. What discounts nothing is not done at all: no lot is
split for it and it is no application.
"""

from __future__ import annotations

from shared.engine.allocate import allocate_with_room
from shared.engine.allowance import Allowance
from shared.engine.conditions import Situation
from shared.engine.lots import LineState, State, amount_of, count_pieces, floor_minor
from shared.engine.pieces import (
    EACH,
    NO_RULE,
    PERCENT,
    PRICE,
    SHARED,
    Portion,
    Run,
    Used,
    between,
    count_of,
    grouped,
    in_order,
    open_runs,
    portions_of,
)
from shared.engine.program import (
    ChipsPrice,
    Choose,
    CounterNth,
    DiscountGoods,
    ExternalDiscount,
    Filter,
    GiftGoods,
    GoodsResult,
    GoodsSet,
    ManualDiscount,
    Measure,
    Nth,
    Per,
    PerSum,
    Promotion,
    SetPrice,
    Slot,
    Step,
    Tiers,
    Value,
)
from shared.money import PPM, allocate_largest_remainder, divide_half_up


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
        """The lines that match and that benefits may touch."""
        return [line for line in self.at.lines(wanted) if line.takes_benefits]


def apply_goods(turn: Turn, result: GoodsResult) -> int:
    """Run one result; the discount it gave, in minor units."""
    offer = offer_of(turn, result)
    turn.matched = offer.matched
    before = turn.allowance.acted_count
    was_cut = turn.allowance.cut
    taking = shorten(turn, offer)
    more = 64
    while offer.ends_early and isinstance(result, GoodsSet):
        left = bundles_left(turn.allowance)
        if left is None or len(taking.bundles) >= left:
            break
        # Sets that round to nothing are no applications: the limit reaches for the next ones.
        turn.allowance.cut = was_cut
        offer = _offer_set(turn, result, more)
        taking = shorten(turn, offer)
        more *= 4
    given = give(turn, offer, taking)
    if offer.counter_pieces:
        counters = turn.state.counters
        counters[offer.counter] = counter_before(turn.at, offer.counter) + offer.counter_pieces
        turn.changed = True
    if given:
        turn.changed = True
        allowance = turn.allowance
        count = 1
        if isinstance(result, (Nth, GoodsSet)):
            count = turn.counts
        elif isinstance(result, GiftGoods):
            count = min(-(-turn.counts // max(offer.gifts_each, 1)), allowance.claims)
        allowance.acted_count = max(before, count)
    return given


def counter_before(at: Situation, counter: str) -> int:
    """A counter of the customer as it stands at this moment of the receipt."""
    found = at.state.counters.get(counter)
    if found is not None:
        return found
    return 0 if at.customer is None else at.customer.counters.get(counter, 0)


# --- offers


def offer_of(turn: Turn, result: GoodsResult) -> Offer:
    """The pieces that the result would take, before any limit of the promotion."""
    if isinstance(result, DiscountGoods):
        return _offer_discount(turn, result)
    if isinstance(result, SetPrice):
        return _offer_price(turn, result)
    if isinstance(result, Nth):
        return _offer_nth(turn, result)
    if isinstance(result, GoodsSet):
        return _offer_set(turn, result)
    if isinstance(result, GiftGoods):
        return _offer_gift(turn, result)
    if isinstance(result, ChipsPrice):
        return _offer_chips(turn, result)
    if isinstance(result, CounterNth):
        return _offer_counter(turn, result)
    if isinstance(result, ManualDiscount):
        return _offer_manual(turn, result)
    return _offer_external(turn, result)


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
        return sum([line.line.quantity_milli for line in lines])
    if tiers.by is Measure.TOTAL:
        return sum([line.net_minor for line in lines])
    return len({line.line.sku for line in lines})


def step_value(steps: list[Step], reached: int) -> int:
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
        group = in_order(alike, Choose.DEAREST)
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

    Which pieces are paid depends on how many runs are made, so ``_deal_paid`` finds them later.
    """
    every, take = result.every, result.take
    cursor = _Cursor(ordered)
    for _ in range(count_of(ordered) // every):
        bundle = Bundle([run.ruled(rule, value) for run in cursor.next(take)], [])
        bundle.ordered = ordered
        bundle.paid_count = every - take
        offer.bundles.append(bundle)


def _deal_paid(bundles: list[Bundle]) -> None:
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


def _offer_set(turn: Turn, result: GoodsSet, more: int = 0) -> Offer:
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
    return sum([line.line.quantity_milli for line in lines]) // per.quantity_milli


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


# --- limits


class Taking:
    """What of an offer is taken: single pieces, and applications of several."""

    __slots__ = ("bundles", "runs")

    def __init__(self, runs: list[Run], bundles: list[Bundle]) -> None:
        self.runs: list[Run] = runs
        self.bundles: list[Bundle] = bundles


def shorten(turn: Turn, offer: Offer) -> Taking:
    """The part of the offer that gains something and that the limits leave.

    What rounds to nothing is no application either: where a limit counts, the next pieces are
    reached for instead.
    """
    allowance = turn.allowance
    was_cut = allowance.cut
    if offer.bundles:
        bundles = [bundle for bundle in offer.bundles if _bundle_gains(turn, bundle)]
        taking = _shorten_bundles(allowance, bundles, was_cut=was_cut)
        while _is_counted(allowance) and taking.bundles and taking.bundles[0].whole == NO_RULE:
            lost = _rounded_away(turn, [run for each in taking.bundles for run in each.taken])
            if not lost:
                break
            bundles = [bundle for bundle in bundles if _is_left(bundle, lost)]
            taking = _shorten_bundles(allowance, bundles, was_cut=was_cut)
        _deal_paid(taking.bundles)
        return taking
    runs = [run for run in offer.runs if turn.gains(run)]
    taken = _shorten_runs(allowance, runs, was_cut=was_cut)
    if taken and taken[0].rule == SHARED:
        # An amount is shared over all lots of the result first; what those without room would
        # have got is then shared again.
        if len(runs) < len(offer.runs):
            taken = taken + [run for run in offer.runs if not turn.gains(run)]
        return Taking(taken, [])
    while _is_counted(allowance) and taken:
        lost = _rounded_away(turn, taken)
        if not lost:
            break
        runs = [run for run in runs if (id(run.lot), run.rule, run.value) not in lost]
        taken = _shorten_runs(allowance, runs, was_cut=was_cut)
    return Taking(taken, [])


def _is_counted(allowance: Allowance) -> bool:
    return (
        allowance.applications_left is not None
        or allowance.pieces_left is not None
        or allowance.claimed_left is not None
    )


def _rounded_away(turn: Turn, runs: list[Run]) -> set[tuple[int, int, int]]:
    """Lots under a rule whose discount rounds to nothing."""
    portions = portions_of(runs)
    wanted = _wanted(turn, portions)
    return {
        (id(portion.lot), portion.rule, portion.value)
        for portion, want in zip(portions, wanted, strict=True)
        if not want
    }


def _shorten_runs(allowance: Allowance, runs: list[Run], *, was_cut: bool) -> list[Run]:
    allowance.cut = was_cut
    if allowance.applications_left is not None:
        runs = between(runs, 0, allowance.applications_left)
    pieces = allowance.pieces_left
    if pieces is None:
        return runs
    kept: list[Run] = []
    for run in runs:
        # A piece that the promotion has discounted before is no further piece.
        if run.lot.is_touched_by(allowance.promotion):
            kept.append(run)
            continue
        size = run.end - run.start
        if size > pieces:
            allowance.cut = True
        if pieces:
            part = run.part(run.start, run.start + min(size, pieces))
            kept.append(part)
            pieces -= part.end - part.start
    return kept


def _bundle_gains(turn: Turn, bundle: Bundle) -> bool:
    """Whether the application gains; pieces of it that do not are only used by it."""
    if bundle.whole != NO_RULE:
        return True
    gaining = [run for run in bundle.taken if turn.gains(run)]
    if len(gaining) < len(bundle.taken):
        bundle.paid = bundle.paid + [run for run in bundle.taken if run not in gaining]
        bundle.taken = gaining
    return bool(gaining)


def _is_left(bundle: Bundle, lost: set[tuple[int, int, int]]) -> bool:
    """Whether anything of it is discounted when what rounds to nothing is only used."""
    kept = [run for run in bundle.taken if (id(run.lot), run.rule, run.value) not in lost]
    if len(kept) < len(bundle.taken):
        bundle.paid = bundle.paid + [run for run in bundle.taken if run not in kept]
        bundle.taken = kept
    return bool(kept)


def _shorten_bundles(allowance: Allowance, bundles: list[Bundle], *, was_cut: bool) -> Taking:
    left = bundles_left(allowance)
    pieces = allowance.pieces_left
    kept: list[Bundle] = []
    allowance.cut = was_cut
    for bundle in bundles:
        if left is not None and len(kept) >= left:
            break
        # Of a set with a reward as a whole only giving shows which pieces it discounts.
        if pieces is not None and bundle.whole == NO_RULE:
            need = count_of(
                [run for run in bundle.taken if not run.lot.is_touched_by(allowance.promotion)]
            )
            if need > pieces:
                allowance.cut = True
                continue
            pieces -= need
        kept.append(bundle)
    return Taking([], kept)


# --- giving


def give(turn: Turn, offer: Offer, taking: Taking) -> int:
    """Take the discounts off; what was given, in minor units.

    Money caps: the result's own comes first, then what the promotion's limits leave.
    """
    turn.counts = 0
    if not taking.runs and not taking.bundles:
        return 0
    if taking.bundles and taking.bundles[0].whole != NO_RULE:
        return _give_wholes(turn, taking.bundles)
    runs = taking.runs
    if taking.bundles:
        runs = [run for bundle in taking.bundles for run in bundle.taken]
    portions = portions_of(runs)
    if portions[0].rule == SHARED:
        given = _give_shared(turn, portions, portions[0].value, offer.cap_minor)
    else:
        given = _give_each(turn, portions, offer.cap_minor)
    if given:
        _account(turn, taking, portions)
        if offer.chips_account:
            _spend_chips(turn, offer.chips_account, portions)
    return given


def _spend_chips(turn: Turn, account: str, portions: list[Portion]) -> None:
    spent = turn.state.chips_spent
    key = (account, turn.promotion.id)
    for portion in portions:
        if portion.discount_minor:
            count = portion.chips * count_pieces(portion.ranges)
            spent[key] = spent.get(key, 0) + count


def _account(turn: Turn, taking: Taking, portions: list[Portion]) -> None:
    """Count applications and pieces, and note what was used."""
    discounted = [portion for portion in portions if portion.discount_minor]
    pieces = sum([count_pieces(portion.ranges) for portion in discounted])
    applications = pieces
    if taking.bundles:
        done = {(id(each.lot), each.rule, each.value) for each in discounted}
        applications = 0
        for bundle in taking.bundles:
            if any([(id(run.lot), run.rule, run.value) in done for run in bundle.taken]):
                applications += 1
                turn.uses.extend(bundle.taken)
                turn.uses.extend(bundle.paid)
        allowance = turn.allowance
        if allowance.claimed_left is not None:
            allowance.claimed_left -= applications
    elif turn.used is not None:
        for portion in discounted:
            for start, end in portion.ranges:
                turn.uses.append(Run(portion.lot, start, end))
    turn.counts = applications
    turn.allowance.use(applications, _new_pieces(discounted))


def _new_pieces(portions: list[Portion]) -> int:
    return sum([count_pieces(each.ranges) for each in portions if each.is_new])


def _give_each(turn: Turn, portions: list[Portion], cap_minor: int | None) -> int:
    """Each portion by its own rule, on what the portions before left of its lot."""
    wanted = _wanted(turn, portions)
    while 0 in wanted and any(wanted):
        # What rounds to nothing is not split off: the others are computed without it.
        portions = [each for each, want in zip(portions, wanted, strict=True) if want]
        wanted = _wanted(turn, portions)
    allowance = turn.allowance
    if cap_minor is not None and sum(wanted) > cap_minor:
        wanted = _in_line_order(portions, wanted, cap_minor)
    if allowance.discount_left_minor is not None:
        left = allowance.discount_left_minor
        for index, want in enumerate(wanted):
            if want > left:
                allowance.cut = True
                wanted[index] = left
            left -= wanted[index]
    return _take(turn, portions, wanted)


def _in_line_order(portions: list[Portion], weights: list[int], amount: int) -> list[int]:
    """Largest remainder over the portions; ties to the lower line, then to the earlier lot."""
    if len(portions) == 1:
        return [amount]
    order = _order(portions)
    shares = allocate_largest_remainder(amount, [weights[index] for index in order])
    found = [0] * len(portions)
    for index, share in zip(order, shares, strict=True):
        found[index] = share
    return found


def _order(portions: list[Portion]) -> list[int]:
    if len(portions) == 1:
        return [0]
    keys = [(p.lot.line.index, min(p.ranges)[0], index) for index, p in enumerate(portions)]
    return [key[2] for key in sorted(keys)]


def _nets(portions: list[Portion]) -> list[int]:
    """The net of each portion if they are split off one after another."""
    if len(portions) == 1:
        return [portions[0].lot.share_minor(count_pieces(portions[0].ranges))]
    rests: dict[int, tuple[int, int]] = {}
    nets: list[int] = []
    for portion in portions:
        lot = portion.lot
        net, pieces = rests.get(id(lot), (lot.net_minor, lot.piece_count))
        count = count_pieces(portion.ranges)
        share = net if count == pieces else divide_half_up(net * count, pieces)
        rests[id(lot)] = (net - share, pieces - count)
        nets.append(share)
    return nets


def _wanted(turn: Turn, portions: list[Portion]) -> list[int]:
    nets = _nets(portions)
    wanted: list[int] = []
    ppm_max = turn.state.max_discount_ppm
    for portion, net in zip(portions, nets, strict=True):
        line = portion.lot.line
        milli = count_pieces(portion.ranges) * line.piece_milli
        rule = portion.rule
        if rule == PERCENT:
            want = divide_half_up(net * portion.value, PPM)
        elif rule == PRICE:
            want = max(net - amount_of(portion.value, milli), 0)
        else:
            want = min(amount_of(portion.value, milli), net)
        if want:
            room = net - floor_minor(line.line, milli, turn.promotion, ppm_max)
            if want > room:
                turn.floored = True
                want = max(room, 0)
        wanted.append(want)
    return wanted


def _give_shared(
    turn: Turn, portions: list[Portion], amount_minor: int, cap_minor: int | None
) -> int:
    """An amount in all, allocated by net; what a floor takes is allocated again."""
    nets = _nets(portions)
    rooms = _rooms(turn, portions, nets)
    order = _order(portions)
    allowance = turn.allowance

    def allocated(amount: int) -> list[int]:
        given = allocate_with_room(
            amount,
            [nets[index] for index in order],
            [rooms[index] for index in order],
            again=True,
        )
        found = [0] * len(portions)
        for index, share in zip(order, given, strict=True):
            found[index] = share
        return found

    amount = min(amount_minor, sum(nets))
    left = allowance.discount_left_minor
    if cap_minor is None or left is None or cap_minor > left:
        amount = allowance.money(amount)
    wanted = allocated(amount)
    if cap_minor is not None and sum(wanted) > cap_minor:
        wanted = _in_line_order(portions, wanted, cap_minor)
    return _take(turn, portions, wanted)


def _rooms(turn: Turn, portions: list[Portion], nets: list[int]) -> list[int]:
    state = turn.state
    rooms: list[int] = []
    for portion, net in zip(portions, nets, strict=True):
        line = portion.lot.line
        milli = count_pieces(portion.ranges) * line.piece_milli
        rooms.append(state.room_minor(line, milli, net, turn.promotion))
    return rooms


def _take(turn: Turn, portions: list[Portion], wanted: list[int]) -> int:
    total = 0
    skipped = False
    for portion, want in zip(portions, wanted, strict=True):
        if want <= 0:
            skipped = True
            continue
        part = portion.lot.split(portion.merged())
        discount = want
        if skipped:
            # A portion before got nothing and was not split off, so a kopeck may lie elsewhere.
            net, milli = part.net_minor, part.quantity_milli
            room = turn.state.room_minor(part.line, milli, net, turn.promotion)
            discount = min(want, room)
            if discount <= 0:
                continue
        portion.is_new = not part.is_touched_by(turn.promotion)
        part.discount(turn.promotion, discount)
        if portion.chips and turn.state.events is not None:
            turn.state.events[-1].chips = portion.chips
        portion.discount_minor = discount
        total += discount
    turn.allowance.give(total)
    turn.discount_minor += total
    return total


def _give_wholes(turn: Turn, bundles: list[Bundle]) -> int:
    """Sets with a reward as a whole: each by itself, one after another."""
    total = 0
    for bundle in bundles:
        portions = portions_of(_relocated(bundle.taken))
        pieces = turn.allowance.pieces_left
        if pieces is not None:
            fresh = [each for each in portions if not each.lot.is_touched_by(turn.promotion)]
            if sum([count_pieces(each.ranges) for each in fresh]) > pieces:
                turn.allowance.cut = True
                continue
        nets = _nets(portions)
        net = sum(nets)
        if bundle.whole == PERCENT:
            amount = divide_half_up(net * bundle.whole_value, PPM)
        elif bundle.whole == PRICE:
            amount = max(net - bundle.whole_value, 0)
        else:
            amount = min(bundle.whole_value, net)
        amount = turn.allowance.money(amount)
        order = _order(portions)
        rooms = _rooms(turn, portions, nets)
        given = allocate_with_room(
            amount,
            [nets[index] for index in order],
            [rooms[index] for index in order],
            again=bundle.whole != PERCENT,
        )
        wanted = [0] * len(portions)
        for index, share in zip(order, given, strict=True):
            wanted[index] = share
        if sum(given) < amount:
            turn.floored = True
        given_minor = _take(turn, portions, wanted)
        if not given_minor:
            break
        total += given_minor
        turn.counts += 1
        turn.uses.extend(bundle.taken)
        turn.allowance.use(1, _new_pieces([each for each in portions if each.discount_minor]))
        if turn.allowance.claimed_left is not None:
            turn.allowance.claimed_left -= 1
    return total


def _relocated(runs: list[Run]) -> list[Run]:
    """The runs in the lots that hold their pieces now: a set before may have split them."""
    found: list[Run] = []
    for run in runs:
        lot = run.lot
        for current in lot.line.lots:
            for low, high in current.ranges:
                start, end = max(low, run.start), min(high, run.end)
                if start < end:
                    found.append(Run(current, start, end, run.rule, run.value, run.chips))
    return found
