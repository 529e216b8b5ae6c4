"""Points, chips and counts for what was bought (section 9)."""

from __future__ import annotations

from datetime import timedelta

from shared.engine.conditions import Situation
from shared.engine.lots import Lot, amount_of
from shared.engine.offers import counter_before
from shared.engine.program import (
    AccrueChips,
    AccruePoints,
    Count,
    CountBy,
    Filter,
    Promotion,
    Resolve,
)
from shared.money import PPM, allocate_largest_remainder
from shared.wire.answer import Accrued, LinePoints


class Rate:
    """A percent result of a promotion that may act: what competes for lots inside a group."""

    __slots__ = ("percent_ppm", "promotion", "result")

    def __init__(self, promotion: Promotion, result: AccruePoints, percent_ppm: int) -> None:
        self.promotion: Promotion = promotion
        self.result: AccruePoints = result
        self.percent_ppm: int = percent_ppm


class Accrual:
    """The accrue stage: what has been earned so far."""

    __slots__ = ("chips_earned", "entries", "exact", "got_centi", "won")

    def __init__(self) -> None:
        self.entries: list[Accrued] = []
        self.got_centi: dict[str, int] = {}
        self.exact: dict[tuple[str, str], int] = {}
        """Points by rate in millionths of hundredths, by promotion and account, before rounding."""
        self.won: dict[int, set[int]] = {}
        """Lots (by identity) that a competing result has won, by the identity of the result."""
        self.chips_earned: dict[tuple[str, str], int] = {}
        """Chips given, by account and promotion."""

    # --- competition of rates

    def compete(self, at: Situation, rates: list[Rate], resolve: Resolve) -> None:
        """Decide lot by lot which of the rates (in order) counts: the highest, or the first."""
        best: dict[tuple[str, int], Rate] = {}
        for rate in rates:
            won = self.won.setdefault(id(rate.result), set())
            won.clear()
            for lot in earning_lots(at, rate.result.filter):
                key = (rate.result.account, id(lot))
                other = best.get(key)
                if other is None or (
                    resolve is Resolve.BEST and rate.percent_ppm > other.percent_ppm
                ):
                    best[key] = rate
        for (_, lot_id), rate in best.items():
            self.won[id(rate.result)].add(lot_id)

    # --- points

    def earn(
        self, at: Situation, promotion: Promotion, result: AccruePoints, precision_centi: int
    ) -> int:
        """Run one result; the points it gave, in hundredths."""
        customer = at.customer
        assert customer is not None, "an anonymous receipt earns nothing"
        lots = earning_lots(at, result.filter)
        bases = [base_of(lot, at_list=result.at_list) for lot in lots]
        won = self.won.get(id(result))
        if won is not None:
            bases = [base if id(lot) in won else 0 for lot, base in zip(lots, bases, strict=True)]
        account = result.account
        got = self.got_centi.get(account, 0)
        room_centi = result.cap_centi
        if result.cap_day_centi is not None:
            today = customer.points_today_centi.get(account, 0) + got
            left_centi = max(result.cap_day_centi - today, 0)
            room_centi = left_centi if room_centi is None else min(room_centi, left_centi)
        rate_ppm = rate_of(at, result)
        if rate_ppm is not None:
            exact = sum(bases) * rate_ppm
            if room_centi is not None:
                exact = min(exact, room_centi * PPM)
            points_centi = self._whole(promotion, result, precision_centi, exact)
        else:
            points_centi = self._points(result, precision_centi, lots, bases)
            if room_centi is not None:
                points_centi = min(points_centi, room_centi)
        if points_centi <= 0:
            return 0
        self.got_centi[account] = got + points_centi
        active_on = at.today + timedelta(days=result.active_after_days)
        expires_on = result.expires_on_date
        if result.expires_after_days is not None:
            expires_on = (active_on + timedelta(days=result.expires_after_days)).isoformat()
        self.entries.append(
            Accrued(
                account=account,
                promotion=promotion.id,
                points_centi=points_centi,
                active_on_date=active_on.isoformat(),
                expires_on_date=expires_on,
                lines=_shares(points_centi, lots, bases),
            )
        )
        return points_centi

    def _whole(
        self, promotion: Promotion, result: AccruePoints, precision_centi: int, exact: int
    ) -> int:
        """Rates of one promotion add up exactly, each within its caps; their sum is rounded down.

        ``exact``: points in millionths of hundredths.
        """
        key = (promotion.id, result.account)
        before = self.exact.get(key, 0)
        after = self.exact[key] = before + exact
        grain = PPM * precision_centi
        return (after // grain - before // grain) * precision_centi

    def _points(
        self, result: AccruePoints, precision_centi: int, lots: list[Lot], bases: list[int]
    ) -> int:
        """What a result gives that is no rate."""
        if result.multiply_ppm is not None:
            got = self.got_centi.get(result.account, 0)
            more = got * (result.multiply_ppm - PPM) // (PPM * precision_centi) * precision_centi
            return max(more, 0)
        if result.fixed_centi is not None:
            if not result.has_filter or _any_earns(lots):
                return result.fixed_centi
            return 0
        if result.per_amount_minor is not None:
            return sum(bases) // result.per_amount_minor * result.per_points_centi
        if result.per_quantity_milli is not None:
            return _quantity(lots) // result.per_quantity_milli * result.per_points_centi
        return 0

    # --- chips and counters

    def earn_chips(self, at: Situation, promotion: Promotion, result: AccrueChips) -> int:
        """Run one result; the chips it gave."""
        lots = earning_lots(at, result.filter)
        chips = 0
        if result.fixed is not None:
            if not result.has_filter or _any_earns(lots):
                chips = result.fixed
        else:
            per = result.per
            assert per is not None, "chips say for what"
            if per.amount_minor is not None:
                base = sum([base_of(lot, at_list=False) for lot in lots])
                chips = base // per.amount_minor * per.count
            else:
                assert per.quantity_milli is not None, "it is per an amount or a quantity"
                chips = _quantity(lots) // per.quantity_milli * per.count
        if result.count_max is not None:
            chips = min(chips, result.count_max)
        if chips > 0:
            key = (result.account, promotion.id)
            self.chips_earned[key] = self.chips_earned.get(key, 0) + chips
        return max(chips, 0)


def count(at: Situation, result: Count) -> bool:
    """Move a counter of the customer; whether it moved."""
    before = counter_before(at, result.counter)
    lots = earning_lots(at, result.filter)
    if result.reset:
        # Like a count by receipt, it wants the goods of its filter.
        value = 0 if not result.has_filter or _any_earns(lots) else before
    elif result.by is CountBy.RECEIPT:
        value = before + (1 if not result.has_filter or _any_earns(lots) else 0)
    elif result.by is CountBy.QUANTITY:
        value = before + _quantity(lots) // 1000
    else:
        value = before + sum([base_of(lot, at_list=False) for lot in lots]) // 100
    if value == before:
        return False
    at.state.counters[result.counter] = value
    return True


def rate_of(at: Situation, result: AccruePoints) -> int | None:
    """The percent of this customer; None where the result is none or knows not the level."""
    if result.by_level_ppm is None:
        return result.percent_ppm
    customer = at.customer
    if customer is None or customer.level is None:
        return None
    return result.by_level_ppm.get(customer.level)


def earning_lots(at: Situation, wanted: Filter) -> list[Lot]:
    """The lots of matching lines that may earn."""
    return [lot for line in at.lines(wanted) if line.earns for lot in line.lots]


def base_of(lot: Lot, *, at_list: bool) -> int:
    """What of this lot earns, in minor units."""
    if lot.touched and lot.forbids_accrual():
        return 0
    if at_list:
        return amount_of(lot.line.line.price_minor, lot.quantity_milli)
    return lot.net_minor - lot.points_minor


def _any_earns(lots: list[Lot]) -> bool:
    for lot in lots:
        if not lot.forbids_accrual():
            return True
    return False


def _quantity(lots: list[Lot]) -> int:
    return sum([lot.quantity_milli for lot in lots if not lot.forbids_accrual()])


def _shares(points_centi: int, lots: list[Lot], bases: list[int]) -> list[LinePoints]:
    """What each line brought of the points, by its base."""
    by_line: dict[int, int] = {}
    for lot, base in zip(lots, bases, strict=True):
        if base > 0:
            number = lot.line.number
            by_line[number] = by_line.get(number, 0) + base
    if not by_line:
        return []
    shares = allocate_largest_remainder(points_centi, list(by_line.values()))
    return [
        LinePoints(line=number, points_centi=share)
        for number, share in zip(by_line, shares, strict=True)
        if share
    ]
