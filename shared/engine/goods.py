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
from shared.engine.lots import amount_of, count_pieces, floor_minor
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
from shared.engine.program import (
    GiftGoods,
    GoodsResult,
    GoodsSet,
    Nth,
)
from shared.engine.turn import Bundle, Offer, Taking, Turn
from shared.money import PPM, allocate_largest_remainder, divide_half_up


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
        offer = offer_set(turn, result, more)
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
            lost = _rounded_away(turn, [run for each in taking.bundles for run in each.taken])
            if not lost:
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
