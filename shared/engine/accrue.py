"""Points for what was bought (section 9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from shared.engine.conditions import Situation
from shared.engine.lots import NO_EARNING_FLAGS, Lot, amount_of
from shared.engine.program import AccruePoints, Promotion, Resolve
from shared.money import PPM
from shared.wire.answer import Accrued


@dataclass(slots=True, kw_only=True)
class Accrual:
    """The accrue stage: what has been earned, and which lots a rate has been claimed for."""

    forbidden: frozenset[str]
    """Promotions whose lots earn nothing."""
    entries: list[Accrued] = field(default_factory=list)
    got_centi: dict[str, int] = field(default_factory=dict)
    exact: dict[tuple[str, str], int] = field(default_factory=dict)
    """Points by rate in millionths of hundredths, by (promotion, account), before rounding."""
    claimed: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    """Lots (by identity) for which a rate of a group competes no more, by (group, account)."""

    def earn(
        self,
        at: Situation,
        promotion: Promotion,
        result: AccruePoints,
        *,
        group_id: str,
        resolve: Resolve,
        precision_centi: int,
    ) -> int:
        """Run one result; the points it gave, in hundredths."""
        assert at.customer is not None, "an anonymous receipt earns nothing"
        points_centi = self._points(
            at,
            promotion,
            result,
            group_id=group_id,
            resolve=resolve,
            precision_centi=precision_centi,
        )
        if result.cap_centi is not None:
            points_centi = min(points_centi, result.cap_centi)
        got = self.got_centi.get(result.account, 0)
        if result.cap_day_centi is not None:
            today = at.customer.points_today_centi.get(result.account, 0) + got
            points_centi = min(points_centi, max(result.cap_day_centi - today, 0))
        points_centi -= points_centi % precision_centi
        if points_centi <= 0:
            return 0
        self.got_centi[result.account] = got + points_centi
        active_on = at.today + timedelta(days=result.active_after_days)
        expires_on = result.expires_on_date
        if result.expires_after_days is not None:
            expires_on = (active_on + timedelta(days=result.expires_after_days)).isoformat()
        self.entries.append(
            Accrued(
                account=result.account,
                promotion=promotion.id,
                points_centi=points_centi,
                active_on_date=active_on.isoformat(),
                expires_on_date=expires_on,
            )
        )
        return points_centi

    def _points(
        self,
        at: Situation,
        promotion: Promotion,
        result: AccruePoints,
        *,
        group_id: str,
        resolve: Resolve,
        precision_centi: int,
    ) -> int:
        if result.multiply_ppm is not None:
            got = self.got_centi.get(result.account, 0)
            return max(got * result.multiply_ppm // PPM - got, 0)
        lots = self._earning_lots(at, result)
        bases = [self._base(lot, result) for lot in lots]
        if result.fixed_centi is not None:
            return result.fixed_centi if not result.has_filter or any(bases) else 0
        if result.per_amount_minor is not None:
            return sum(bases) // result.per_amount_minor * result.per_points_centi
        if result.per_quantity_milli is not None:
            quantity = sum(lot.quantity_milli for lot in lots if self._earns(lot))
            return quantity // result.per_quantity_milli * result.per_points_centi
        rate_ppm = self._rate(at, result)
        if not rate_ppm:
            return 0
        if resolve is Resolve.FIRST and not promotion.stack:
            claimed = self.claimed.setdefault((group_id, result.account), set())
            bases = [
                0 if id(lot) in claimed else base for lot, base in zip(lots, bases, strict=True)
            ]
            claimed.update(id(lot) for lot in lots)
        # Rates of one promotion add up exactly; only their sum is rounded down.
        key = (promotion.id, result.account)
        before = self.exact.get(key, 0)
        after = self.exact[key] = before + sum(bases) * rate_ppm
        grain = PPM * precision_centi
        return (after // grain - before // grain) * precision_centi

    def _rate(self, at: Situation, result: AccruePoints) -> int | None:
        if result.by_level_ppm is None:
            return result.percent_ppm
        assert at.customer is not None, "an anonymous receipt earns nothing"
        level = at.customer.level
        return None if level is None else result.by_level_ppm.get(level)

    def _earning_lots(self, at: Situation, result: AccruePoints) -> list[Lot]:
        return [
            lot
            for line in at.lines(result.filter)
            if NO_EARNING_FLAGS.isdisjoint(line.line.flags)
            for lot in line.lots
        ]

    def _earns(self, lot: Lot) -> bool:
        return self.forbidden.isdisjoint(lot.touched)

    def _base(self, lot: Lot, result: AccruePoints) -> int:
        """What of this lot earns, in minor units."""
        if not self._earns(lot):
            return 0
        if result.at_list:
            return amount_of(lot.line.line.price_minor, lot.quantity_milli)
        return lot.net_minor - lot.points_minor
