"""The goods stage: discounts on pieces (section 6 of the language).

A result first *offers*: which pieces it would take, in its order of choice, and by which rule.
The limits of the promotion then shorten the offer, and what is left is *given*: computed lot by
lot, cut at floors and caps, taken off. The mode ``best`` reads the same offers and shortens them
by its own choice, so both ways price alike. What discounts nothing is not done at all: no lot is
split for it and it is no application.
"""

from __future__ import annotations

from typing import cast

from shared.engine.allocate import allocate_with_room
from shared.engine.allowance import Allowance
from shared.engine.lots import amount_of
from shared.engine.offers import bundles_left, counter_before, deal_paid, offer_of, offer_set
from shared.engine.pieces import (
    NO_RULE,
    PERCENT,
    PRICE,
    SHARED,
    Portion,
    Run,
    between,
    count_of,
    portions_of,
)
from shared.engine.program import GoodsSet
from shared.engine.ready import GIFT_GOODS, GOODS_SET, NTH, Step
from shared.engine.turn import Bundle, Offer, Taking, Turn
from shared.money import PPM, allocate_largest_remainder, divide_half_up


def apply_goods(turn: Turn, step: Step) -> int:
    """Run one result; the discount it gave, in minor units."""
    offer = offer_of(turn, step)
    turn.matched = offer.matched
    before = turn.allowance.acted_count
    was_cut = turn.allowance.cut
    taking = shorten(turn, offer)
    more = 64
    while offer.ends_early:
        left = bundles_left(turn.allowance)
        if left is None or len(taking.bundles) >= left:
            break
        # Sets that round to nothing are no applications: the limit reaches for the next ones.
        turn.allowance.cut = was_cut
        offer = offer_set(turn, cast("GoodsSet", step.result), more)
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
        if step.kind in (NTH, GOODS_SET):
            count = turn.counts
        elif step.kind == GIFT_GOODS:
            count = min(-(-turn.counts // max(offer.gifts_each, 1)), allowance.claims)
        allowance.acted_count = max(before, count)
    return given


# --- limits


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
            portions = _wanted(turn, [run for each in taking.bundles for run in each.taken])
            lost = _rounded_away(portions)
            if not lost:
                taking.portions = portions
                break
            bundles = [bundle for bundle in bundles if _is_left(bundle, lost)]
            taking = _shorten_bundles(allowance, bundles, was_cut=was_cut)
        deal_paid(taking.bundles)
        return taking
    runs = [run for run in offer.runs if turn.gains(run)]
    taken = _shorten_runs(allowance, runs, was_cut=was_cut)
    if taken and taken[0].rule == SHARED:
        # An amount is shared over all lots of the result first; what those without room would
        # have got is then shared again.
        if len(runs) < len(offer.runs):
            taken = taken + [run for run in offer.runs if not turn.gains(run)]
        return Taking(taken, [])
    taking = Taking(taken, [])
    while _is_counted(allowance) and taking.runs:
        portions = _wanted(turn, taking.runs)
        lost = _rounded_away(portions)
        if not lost:
            taking.portions = portions
            break
        runs = [run for run in runs if (id(run.lot), run.rule, run.value) not in lost]
        taking.runs = _shorten_runs(allowance, runs, was_cut=was_cut)
    return taking


def _is_counted(allowance: Allowance) -> bool:
    return (
        allowance.applications_left is not None
        or allowance.pieces_left is not None
        or allowance.claimed_left is not None
    )


def _rounded_away(portions: list[Portion]) -> set[tuple[int, int, int]]:
    """Lots under a rule whose discount rounds to nothing."""
    return {(id(each.lot), each.rule, each.value) for each in portions if not each.wanted_minor}


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
    portions = taking.portions
    if portions is None:
        runs = taking.runs
        if taking.bundles:
            runs = [run for bundle in taking.bundles for run in bundle.taken]
        if runs[0].rule == SHARED:
            portions = portions_of(runs)
            given = _give_shared(turn, portions, runs[0].value, offer.cap_minor)
        else:
            portions = _wanted(turn, runs)
            given = _give_each(turn, portions, offer.cap_minor)
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
            spent[key] = spent.get(key, 0) + portion.chips * portion.piece_count


def _account(turn: Turn, taking: Taking, portions: list[Portion]) -> None:
    """Count applications and pieces, and note what was used."""
    applications = new_pieces = 0
    for portion in portions:
        if portion.discount_minor:
            applications += portion.piece_count
            if portion.is_new:
                new_pieces += portion.piece_count
            if turn.used is not None and not taking.bundles:
                for start, end in portion.ranges:
                    turn.uses.append(Run(portion.lot, start, end))
    if taking.bundles:
        done = {(id(p.lot), p.rule, p.value) for p in portions if p.discount_minor}
        applications = 0
        for bundle in taking.bundles:
            if any([(id(run.lot), run.rule, run.value) in done for run in bundle.taken]):
                applications += 1
                turn.uses.extend(bundle.taken)
                turn.uses.extend(bundle.paid)
        allowance = turn.allowance
        if allowance.claimed_left is not None:
            allowance.claimed_left -= applications
    turn.counts = applications
    turn.allowance.use(applications, new_pieces)


def _give_each(turn: Turn, portions: list[Portion], cap_minor: int | None) -> int:
    """Each portion by its own rule, on what the portions before left of its lot.

    What is wanted off each is known.
    """
    while True:
        wanting = [each for each in portions if each.wanted_minor]
        if not wanting:
            return 0
        if len(wanting) == len(portions):
            break
        # What rounds to nothing is not split off: the others are computed without it.
        portions = wanting
        _want(turn, portions)
    allowance = turn.allowance
    if cap_minor is not None and sum([each.wanted_minor for each in portions]) > cap_minor:
        _want_in_line_order(portions, cap_minor)
    if allowance.discount_left_minor is not None:
        left = allowance.discount_left_minor
        for portion in portions:
            if portion.wanted_minor > left:
                allowance.cut = True
                portion.wanted_minor = left
            left -= portion.wanted_minor
    return _take(turn, portions)


def _want_in_line_order(portions: list[Portion], amount_minor: int) -> None:
    """Want the amount in all, by what is wanted; ties to the lower line, then the earlier lot."""
    ordered = _in_line_order(portions)
    shares = allocate_largest_remainder(amount_minor, [each.wanted_minor for each in ordered])
    for portion, share in zip(ordered, shares, strict=True):
        portion.wanted_minor = share


def _in_line_order(portions: list[Portion]) -> list[Portion]:
    if len(portions) == 1:
        return portions
    keys = [(p.lot.line.index, min(p.ranges)[0], index) for index, p in enumerate(portions)]
    return [portions[key[2]] for key in sorted(keys)]


def _wanted(turn: Turn, runs: list[Run]) -> list[Portion]:
    """The portions of the runs, each with its net and what its rule wants off it."""
    portions = portions_of(runs)
    _want(turn, portions)
    return portions


def _find_nets(portions: list[Portion]) -> None:
    """The net of each portion if they are split off one after another."""
    rests: dict[int, tuple[int, int]] = {}
    for portion in portions:
        lot = portion.lot
        count = portion.piece_count
        if portion.is_alone:
            portion.net_minor = lot.share_minor(count)
            continue
        net, pieces = rests.get(id(lot), (lot.net_minor, lot.piece_count))
        share = net if count == pieces else divide_half_up(net * count, pieces)
        rests[id(lot)] = (net - share, pieces - count)
        portion.net_minor = share


def _want(turn: Turn, portions: list[Portion]) -> None:
    """Compute what each rule wants, within the floor."""
    _find_nets(portions)
    for portion in portions:
        line = portion.lot.line
        net = portion.net_minor
        milli = portion.quantity_milli
        rule = portion.rule
        if rule == PERCENT:
            want = divide_half_up(net * portion.value, PPM)
        elif rule == PRICE:
            want = max(net - amount_of(portion.value, milli), 0)
        else:
            want = min(amount_of(portion.value, milli), net)
        if want:
            room = net - line.floor_minor(milli, turn.promotion)
            if want > room:
                turn.floored = True
                want = max(room, 0)
        portion.wanted_minor = want


def _give_shared(
    turn: Turn, portions: list[Portion], amount_minor: int, cap_minor: int | None
) -> int:
    """An amount in all, allocated by net; what a floor takes is allocated again."""
    _find_nets(portions)
    allowance = turn.allowance
    amount = min(amount_minor, sum([each.net_minor for each in portions]))
    left = allowance.discount_left_minor
    if cap_minor is None or left is None or cap_minor > left:
        amount = allowance.money(amount)
    wanted = _share_out(turn, portions, amount, again=True)
    if cap_minor is not None and wanted > cap_minor:
        _want_in_line_order(portions, cap_minor)
    return _take(turn, portions)


def _share_out(turn: Turn, portions: list[Portion], amount_minor: int, *, again: bool) -> int:
    """Allocate the amount by net within the rooms; what is wanted of all portions then."""
    ordered = _in_line_order(portions)
    given = allocate_with_room(
        amount_minor,
        [each.net_minor for each in ordered],
        [
            turn.state.room_minor(
                each.lot.line, each.quantity_milli, each.net_minor, turn.promotion
            )
            for each in ordered
        ],
        again=again,
    )
    for portion, share in zip(ordered, given, strict=True):
        portion.wanted_minor = share
    return sum(given)


def _take(turn: Turn, portions: list[Portion]) -> int:
    """Take off what is wanted; what was taken."""
    total = 0
    skipped = False
    promotion = turn.promotion
    events = turn.state.events
    for portion in portions:
        discount = portion.wanted_minor
        if discount <= 0:
            skipped = True
            continue
        part = portion.split()
        if skipped:
            # A portion before got nothing and was not split off, so a kopeck may lie elsewhere.
            net, milli = part.net_minor, part.quantity_milli
            discount = min(discount, turn.state.room_minor(part.line, milli, net, promotion))
            if discount <= 0:
                continue
        portion.is_new = not part.is_touched_by(promotion)
        part.discount(promotion, discount)
        if portion.chips and events is not None:
            events[-1].chips = portion.chips
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
            if sum([each.piece_count for each in fresh]) > pieces:
                turn.allowance.cut = True
                continue
        _find_nets(portions)
        net = sum([each.net_minor for each in portions])
        if bundle.whole == PERCENT:
            amount = divide_half_up(net * bundle.whole_value, PPM)
        elif bundle.whole == PRICE:
            amount = max(net - bundle.whole_value, 0)
        else:
            amount = min(bundle.whole_value, net)
        amount = turn.allowance.money(amount)
        if _share_out(turn, portions, amount, again=bundle.whole != PERCENT) < amount:
            turn.floored = True
        given_minor = _take(turn, portions)
        if not given_minor:
            break
        total += given_minor
        turn.counts += 1
        turn.uses.extend(bundle.taken)
        turn.allowance.use(
            1, sum([each.piece_count for each in portions if each.discount_minor and each.is_new])
        )
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
