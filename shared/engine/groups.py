"""Running the stages: who may act, in which order, and how the promotions of a group share goods.

The promotion with all its results of a stage is the unit of every mode. What a promotion would do
alone is tried on the receipt itself and taken back. Sections 3, 6 and 7 of the language.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from shared.engine.accrue import Accrual, Rate, count, rate_of
from shared.engine.allowance import Allowance
from shared.engine.best import choose_best
from shared.engine.conditions import Situation, judge
from shared.engine.entrants import Entrant
from shared.engine.explain import HOLDS, Finding, Reason
from shared.engine.goods import apply_goods, give
from shared.engine.inform import Informed, inform
from shared.engine.lots import Event, State, count_pieces, intersect_ranges
from shared.engine.offers import counter_before, offer_of
from shared.engine.pieces import Used
from shared.engine.program import (
    AccrueChips,
    AccruePoints,
    ChipsPrice,
    Count,
    DiscountReceipt,
    GiftInfo,
    IssueCoupon,
    Message,
    Resolve,
    RoundTotal,
    Service,
    SpendPoints,
)
from shared.engine.ready import (
    ACCRUE,
    GOODS,
    INFORM,
    RECEIPT,
    ROUND,
    SPEND,
    STAGES,
    Ready,
    Step,
    Work,
)
from shared.engine.receipt_stage import apply_receipt_discount
from shared.engine.spend import apply_rounding, apply_spend, plan_spend
from shared.engine.turn import Turn
from shared.money import allocate_largest_remainder
from shared.wire.answer import Outcome, TraceEntry
from shared.wire.receipt import Receipt

# Enumerations are slow to ask for a member.
_ALL: Final = Resolve.ALL
_APPLIED: Final = Reason.APPLIED


class Did:
    """What a result did, and if nothing, why."""

    __slots__ = ("amount_minor", "finding", "points_centi", "reason")

    def __init__(
        self,
        reason: Reason,
        amount_minor: int = 0,
        points_centi: int = 0,
        finding: Finding = HOLDS,
    ) -> None:
        self.reason: Reason = reason
        self.amount_minor: int = amount_minor
        self.points_centi: int = points_centi
        self.finding: Finding = finding


class Alone:
    """What a promotion did alone in a stage, result by result."""

    __slots__ = (
        "acted",
        "allowance",
        "chips_spent",
        "counters",
        "dids",
        "discount_minor",
        "events",
    )

    def __init__(self) -> None:
        self.acted: bool = False
        self.allowance: Allowance | None = None
        """What it would have left of its limits."""
        self.discount_minor: int = 0
        self.dids: list[Did] = []
        self.events: list[list[Event]] = []
        """The discounts of each result."""
        self.chips_spent: dict[tuple[str, str], int] = {}
        self.counters: dict[str, int] = {}
        """How far each counter moved."""


class Runner:
    """One receipt on its way through the stages."""

    __slots__ = (
        "_charged",
        "_families",
        "_silent",
        "_used",
        "_uses",
        "accrual",
        "allowances",
        "at",
        "entries",
        "explains",
        "informed",
        "optimal",
        "paid_costs",
        "ready",
        "receipt",
        "spendable",
        "spent",
        "state",
        "works",
    )

    def __init__(
        self, ready: Ready, receipt: Receipt, *, explains: bool = False, everybody: bool = False
    ) -> None:
        self.ready: Ready = ready
        self.receipt: Receipt = receipt
        self.explains: bool = explains
        self.state: State = State(receipt, ready.program.max_discount_ppm)
        self.at: Situation = Situation(
            self.state, datetime.fromisoformat(receipt.time), ready.filters, explains=explains
        )
        self.works: list[Work] = (
            ready.everybody()
            if explains or everybody
            else ready.candidates(receipt, self.at.shelves)
        )
        self.allowances: dict[str, Allowance] = {}
        self.accrual: Accrual = Accrual()
        self.informed: Informed = Informed()
        self.spendable: dict[str, int] = {}
        """The most points that the receipt could take, by account."""
        self.spent: dict[str, int] = {}
        """Points that pay, by account."""
        self.paid_costs: dict[tuple[str, str], int] = {}
        """Points that promotions took as their cost, by account and promotion."""
        self.optimal: bool = True
        self.entries: list[TraceEntry] = []
        self._families: dict[str, str] = {}
        """Which promotion of an ``only_one_of`` family has acted."""
        self._charged: dict[str, int] = {}
        """How many times each promotion has taken its cost."""
        self._used: Used | None = None
        self._uses: Used = {}
        self._silent: int = 0

    def run(self) -> None:
        """All stages."""
        groups = len(self.ready.starts)
        staged: list[list[list[Work]]] = [[[] for _ in range(groups)] for _ in range(6)]
        for work in self.works:
            for stage in range(6):
                if work.stages[stage]:
                    staged[stage][work.group].append(work)
        for stage in range(6):
            for group in range(groups):
                works = staged[stage][group]
                if works:
                    self._run_group(stage, works, self.ready.resolves[group])

    # --- groups

    def _run_group(self, stage: int, works: list[Work], resolve: Resolve) -> None:
        if resolve is _ALL:
            stacked: list[Work] = []
            for work in works:
                if work.stack:
                    stacked.append(work)
                elif self._admit(stage, work, None):
                    self._act(stage, work)
        else:
            plain = [work for work in works if not work.stack]
            stacked = [work for work in works if work.stack]
            freezes = resolve is not Resolve.FIRST and stage <= RECEIPT
            if freezes:
                for line in self.state.lines:
                    line.was_discounted = line.net_minor < line.list_minor
            self._compete(stage, plain, resolve)
            if freezes:
                for line in self.state.lines:
                    line.was_discounted = None
        for work in stacked:
            if self._admit(stage, work, None):
                self._act(stage, work)

    def _compete(self, stage: int, works: list[Work], resolve: Resolve) -> None:
        """A group that does not resolve ``all``: conditions are judged at its start."""
        findings = [self._judge(work) for work in works]
        entrants = [
            work
            for work, finding in zip(works, findings, strict=True)
            if self._admit(stage, work, finding)
        ]
        if stage == GOODS:
            entrants = self._one_of_each_family(stage, entrants)
            if resolve is Resolve.SUM:
                self._sum(stage, entrants)
            elif resolve is Resolve.FIRST:
                self._first_goods(entrants)
            else:
                self._best_goods(entrants)
        elif stage == RECEIPT:
            entrants = self._one_of_each_family(stage, entrants)
            if resolve is Resolve.SUM:
                self._sum(stage, entrants)
            elif resolve is Resolve.FIRST:
                self._first_receipt(entrants)
            else:
                self._best_receipt(entrants)
        else:
            if stage == ACCRUE and resolve is not Resolve.SUM:
                entrants = self._one_of_each_family(stage, entrants)
                self._compete_rates(entrants, resolve)
            for work in entrants:
                # A cost or a family may have changed since the group began.
                if self._still(stage, work):
                    self._act(stage, work)

    def _one_of_each_family(self, stage: int, works: list[Work]) -> list[Work]:
        """Of a family only the first that alone would do anything takes part."""
        chosen: dict[str, str] = {}
        kept: list[Work] = []
        for work in works:
            family = work.family
            if family is not None:
                if family in chosen or not self._try(stage, work).acted:
                    reason = Reason.ONLY_ONE_OF if family in chosen else Reason.NOTHING_TO_GAIN
                    self._note_all(stage, work, reason)
                    continue
                chosen[family] = work.id
            kept.append(work)
        return kept

    def _sum(self, stage: int, works: list[Work]) -> None:
        tries: list[Alone] = []
        for work in works:
            alone = self._try(stage, work)
            tries.append(alone)
            # Amounts are those of the group's start; chips once promised are gone.
            for key, chips in alone.chips_spent.items():
                self.state.chips_spent[key] = self.state.chips_spent.get(key, 0) + chips
        for work, alone in zip(works, tries, strict=True):
            acted = False
            for step, did, events in zip(work.stages[stage], alone.dids, alone.events, strict=True):
                taken = 0
                for event in events:
                    taken += self._take_event(work, step, event)
                if events:
                    did.amount_minor = taken
                    if not taken:
                        did.reason = Reason.FLOOR
                acted = acted or taken > 0 or (did.reason is _APPLIED and not events)
                self._note(stage, work, step, did)
            for counter, moved in alone.counters.items():
                self.state.counters[counter] = counter_before(self.at, counter) + moved
                acted = True
            if acted:
                if alone.allowance is not None:
                    self.allowance(work).take_counts(alone.allowance)
                self._acted(work)

    def _take_event(self, work: Work, step: Step, event: Event) -> int:
        """A discount computed alone, on its pieces as they are now, within what room they have."""
        promotion = work.promotion
        line = event.line
        parts = [
            (lot, shared)
            for lot in list(line.lots)
            if (shared := intersect_ranges(lot.ranges, event.ranges))
        ]
        shares = allocate_largest_remainder(
            event.discount_minor, [count_pieces(ranges) for _, ranges in parts]
        )
        total = chips = 0
        for (lot, ranges), share in zip(parts, shares, strict=True):
            if not lot.is_open_to(promotion):
                continue
            pieces = count_pieces(ranges)
            room = self.state.room_minor(
                line, pieces * line.piece_milli, lot.share_minor(pieces), promotion
            )
            discount = min(share, room)
            if discount > 0:
                lot.split(ranges).discount(promotion, discount)
                total += discount
                chips += event.chips * pieces
        self.allowance(work).give(total)
        result = step.result
        if event.chips and isinstance(result, ChipsPrice):
            # What was promised for all pieces is taken only for those that gained.
            promised = event.chips * count_pieces(event.ranges)
            self.state.chips_spent[result.account, promotion.id] += chips - promised
        return total

    def _first_goods(self, works: list[Work]) -> None:
        """Each only on pieces that nobody before it in this group has used."""
        used: Used = {}
        for work in works:
            # The points that one costs are gone from what the next can afford.
            if not self._still(GOODS, work):
                continue
            self._used = used
            self._uses = {}
            self._act(GOODS, work)
            self._used = None
            for line, ranges in self._uses.items():
                used.setdefault(line, []).extend(ranges)

    def _first_receipt(self, works: list[Work]) -> None:
        won = False
        for work in works:
            if won:
                self._note_all(RECEIPT, work, Reason.USED_BY_ANOTHER)
            else:
                won = self._act(RECEIPT, work)

    def _best_receipt(self, works: list[Work]) -> None:
        best: Work | None = None
        most = 0
        for work in works:
            alone = self._try(RECEIPT, work)
            if alone.discount_minor > most:
                best, most = work, alone.discount_minor
        for work in works:
            if work is best:
                self._act(RECEIPT, work)
            else:
                self._note_all(RECEIPT, work, Reason.OUTDONE if most else Reason.NOTHING_TO_GAIN)

    def _best_goods(self, works: list[Work]) -> None:
        entrants: list[Entrant] = []
        for work in works:
            if work.skips:
                tried = self._try(GOODS, work)
                if not tried.acted and tried.dids and tried.dids[0].reason is Reason.LIMIT:
                    self._note_all(GOODS, work, Reason.LIMIT)
                    continue
            allowance = self.allowance(work)
            free = allowance.copy()
            free.applications_left = None
            free.pieces_left = None
            free.discount_left_minor = None
            free.claimed_left = None
            offers = []
            for step in work.stages[GOODS]:
                turn = Turn(self.at, work.promotion, free, None)
                offers.append(offer_of(turn, step))
            entrants.append(Entrant(work, allowance, offers))
        choice = choose_best(self.at, entrants)
        self.optimal = self.optimal and choice.optimal
        for entrant, takings in zip(entrants, choice.takings, strict=True):
            work = entrant.work
            turn = Turn(self.at, work.promotion, entrant.allowance, None)
            acted = False
            for step, offer, taking in zip(
                work.stages[GOODS], entrant.offers, takings, strict=True
            ):
                given = give(turn, offer, taking)
                moved = offer.counter_pieces > 0
                if moved:
                    before = counter_before(self.at, offer.counter)
                    self.state.counters[offer.counter] = before + offer.counter_pieces
                acted = acted or given > 0 or moved
                if given or moved:
                    reason = _APPLIED
                elif offer.runs or offer.bundles:
                    reason = Reason.OUTDONE
                else:
                    reason = _why(turn)
                self._note(GOODS, work, step, Did(reason, given))
            if acted:
                entrant.allowance.acted_count = max(entrant.allowance.acted_count, 1)
                self._acted(work)

    def _compete_rates(self, works: list[Work], resolve: Resolve) -> None:
        if self.at.customer is None:
            return
        rates: list[Rate] = []
        for work in works:
            for step in work.stages[ACCRUE]:
                result = step.result
                if isinstance(result, AccruePoints):
                    rate = rate_of(self.at, result)
                    if rate is not None:
                        rates.append(Rate(work.promotion, result, rate))
        if rates:
            self.accrual.compete(self.at, rates, resolve)

    # --- one promotion

    def _judge(self, work: Work) -> Finding:
        return HOLDS if work.when is None else judge(work.when, self.at)

    def allowance(self, work: Work) -> Allowance:
        """What the limits and claims of the promotion leave it now."""
        allowance = self.allowances.get(work.id)
        if allowance is None:
            allowance = Allowance(work.promotion, self.receipt if work.is_bounded else None)
            if work.on_claim:
                allowance.claims = self.receipt.claims.get(work.id, 0)
                allowance.claimed_left = allowance.claims
            self.allowances[work.id] = allowance
        return allowance

    def _admit(self, stage: int, work: Work, finding: Finding | None) -> bool:
        """Whether the promotion may act now; notes why not."""
        if work.period is not None and not work.period.holds(self.at.moment):
            self._note_all(stage, work, Reason.NOT_ACTIVE)
            return False
        if finding is None:
            finding = self._judge(work)
        if not finding.holds:
            self._note_all(stage, work, Reason.CONDITION, finding)
            return False
        return self._still(stage, work)

    def _still(self, stage: int, work: Work) -> bool:
        """Whether family, limits, claim and cost let it act at this moment."""
        family = work.family
        if family is not None and self._families.get(family, work.id) != work.id:
            self._note_all(stage, work, Reason.ONLY_ONE_OF)
            return False
        if not work.is_bounded:
            return True
        allowance = self.allowance(work)
        if allowance.times_used_up:
            finding = Finding(holds=False, subject=f"limits.{allowance.times_used_up}")
            self._note_all(stage, work, Reason.LIMIT, finding)
            return False
        if work.on_claim and self.receipt.claims.get(work.id, 0) <= 0:
            self._note_all(stage, work, Reason.NOT_CLAIMED)
            return False
        if work.cost is not None and not self._affords(work, allowance):
            self._note_all(stage, work, Reason.COST)
            return False
        return True

    def could_act(self, work: Work) -> bool:
        """Whether all but conditions and goods would let the promotion act once more."""
        self._silent += 1
        active = work.period is None or work.period.holds(self.at.moment)
        able = active and self._still(GOODS, work)
        self._silent -= 1
        return able

    def balance_centi(self, account: str) -> int:
        """Points of the customer that this receipt has not taken yet."""
        customer = self.at.customer
        if customer is None:
            return 0
        balance = customer.points_centi.get(account, 0) - self.spent.get(account, 0)
        for (charged, _), points in self.paid_costs.items():
            if charged == account:
                balance -= points
        return balance

    def _affords(self, work: Work, allowance: Allowance) -> bool:
        cost = work.cost
        assert cost is not None, "only those with a cost are asked"
        charged = self._charged.get(work.id, 0)
        times = charged + max(self.balance_centi(cost.account), 0) // cost.points_centi
        if work.on_claim:
            times = min(times, self.receipt.claims.get(work.id, 0))
            if not charged:
                allowance.claimed_left = times
            allowance.claims = times
        return times > 0

    def _cost_to_come(self, work: Work, account: str) -> int:
        """Points of the account that the promotion will take for acting, and has not yet."""
        cost = work.cost
        if cost is None or cost.account != account:
            return 0
        times = max(self.allowance(work).acted_count, 1) if work.on_claim else 1
        return max(times - self._charged.get(work.id, 0), 0) * cost.points_centi

    def _acted(self, work: Work) -> None:
        """The promotion did something: it is named, its family is closed, its cost is taken."""
        self.state.acted.setdefault(work.id)
        if work.family is not None:
            self._families[work.family] = work.id
        cost = work.cost
        if cost is not None:
            times = max(self.allowance(work).acted_count, 1) if work.on_claim else 1
            more = times - self._charged.get(work.id, 0)
            if more > 0:
                key = (cost.account, work.id)
                self.paid_costs[key] = self.paid_costs.get(key, 0) + more * cost.points_centi
                self._charged[work.id] = times

    def _act(self, stage: int, work: Work) -> bool:
        """The promotion's turn in this stage; whether it did anything."""
        if stage <= ROUND and stage != SPEND and work.skips:
            tried = self._try(stage, work)
            if tried.dids and tried.dids[0].reason is Reason.LIMIT:
                self._note_all(stage, work, Reason.LIMIT)
                return False
        acted = False
        for step in work.stages[stage]:
            did = self._run_result(stage, work, step)
            acted = acted or did.reason is _APPLIED
            self._note(stage, work, step, did)
        if acted:
            self._acted(work)
        return acted

    def _try(self, stage: int, work: Work) -> Alone:
        """What the promotion would do alone at this moment; nothing of it stays."""
        alone = Alone()
        state = self.state
        promotion = work.promotion
        before = self.allowance(work)
        self.allowances[promotion.id] = before.copy()
        accrual, informed, uses = self.accrual, self.informed, self._uses
        if stage == ACCRUE:
            self.accrual = Accrual()
            # A multiple tops up what others have earned before.
            self.accrual.got_centi.update(accrual.got_centi)
        elif stage == INFORM:
            self.informed = Informed()
        self._uses = {}
        state.begin()
        self._silent += 1
        outer = state.events
        chips = dict(state.chips_spent)
        counters = dict(state.counters)
        for step in work.stages[stage]:
            events: list[Event] = []
            state.events = events
            alone.dids.append(self._run_result(stage, work, step))
            alone.events.append(events)
        state.events = outer
        alone.acted = any([did.reason is _APPLIED for did in alone.dids])
        for did in alone.dids:
            alone.discount_minor += did.amount_minor
        for key, count_spent in state.chips_spent.items():
            if count_spent != chips.get(key, 0):
                alone.chips_spent[key] = count_spent - chips.get(key, 0)
        for counter, value in state.counters.items():
            if value != counters.get(counter):
                start = counters.get(counter)
                if start is None:
                    customer = self.at.customer
                    start = 0 if customer is None else customer.counters.get(counter, 0)
                alone.counters[counter] = value - start
        if work.skips and self.allowances[promotion.id].cut:
            for did in alone.dids:
                did.reason, did.amount_minor = Reason.LIMIT, 0
            alone.events = [[] for _ in alone.events]
            alone.counters, alone.chips_spent = {}, {}
            alone.acted, alone.discount_minor = False, 0
        self._silent -= 1
        alone.allowance = self.allowances[promotion.id]
        state.rollback()
        self.allowances[promotion.id] = before
        self.accrual, self.informed, self._uses = accrual, informed, uses
        return alone

    # --- results

    def _run_result(self, stage: int, work: Work, step: Step) -> Did:
        if stage == GOODS:
            return self._discount_goods(work, step)
        result = step.result
        promotion = work.promotion
        if isinstance(result, (AccruePoints, AccrueChips, Count)):
            return self._earn(work, result)
        if isinstance(result, DiscountReceipt):
            return self._discount_receipt(work, result)
        if isinstance(result, SpendPoints):
            return self._spend(work, result)
        allowance = self.allowance(work)
        if isinstance(result, RoundTotal):
            return self._amount(
                apply_rounding(
                    self.at,
                    promotion,
                    result,
                    allowance,
                    points_are_payment=self.ready.program.points_are_payment,
                )
            )
        assert isinstance(result, (IssueCoupon, Message, GiftInfo, Service)), "no other stage"
        times = inform(
            self.at,
            promotion,
            result,
            allowance,
            self.informed,
            points_are_payment=self.ready.program.points_are_payment,
        )
        allowance.acted_count = max(allowance.acted_count, times)
        return Did(_APPLIED if times else Reason.NOTHING_TO_GAIN)

    def _discount_goods(self, work: Work, step: Step) -> Did:
        turn = Turn(self.at, work.promotion, self.allowance(work), self._used)
        given = apply_goods(turn, step)
        if self._used is not None:
            for run in turn.uses:
                self._uses.setdefault(run.lot.line.index, []).append((run.start, run.end))
        return Did(_APPLIED if turn.changed else _why(turn), given)

    def _amount(self, amount_minor: int) -> Did:
        return Did(_APPLIED if amount_minor else Reason.NOTHING_TO_GAIN, amount_minor)

    def _discount_receipt(self, work: Work, result: DiscountReceipt) -> Did:
        allowance = self.allowance(work)
        total = 0
        for done in range(allowance.claims if work.promotion.on_claim else 1):
            given = apply_receipt_discount(self.at, work.promotion, result, allowance)
            if not given:
                break
            total += given
            allowance.acted_count = max(allowance.acted_count, done + 1)
        return self._amount(total)

    def _spend(self, work: Work, result: SpendPoints) -> Did:
        if self.at.customer is None:
            return Did(Reason.ANONYMOUS)
        account = result.account
        if account in self.spendable:
            return Did(Reason.ALREADY)
        plan = plan_spend(
            self.at,
            work.promotion,
            result,
            self.ready.accounts[account],
            self.balance_centi(account) - self._cost_to_come(work, account),
        )
        if plan.spendable_centi == 0:
            return Did(Reason.NO_POINTS)
        self.spendable[account] = plan.spendable_centi
        if plan.points_centi == 0:
            return Did(Reason.NOT_REQUESTED)
        apply_spend(plan)
        self.spent[account] = plan.points_centi
        return Did(_APPLIED, 0, plan.points_centi)

    def _earn(self, work: Work, result: AccruePoints | AccrueChips | Count) -> Did:
        if self.at.customer is None:
            return Did(Reason.ANONYMOUS)
        if isinstance(result, AccruePoints):
            precision = self.ready.accounts[result.account].precision_centi
            points = self.accrual.earn(self.at, work.promotion, result, precision)
            return Did(_APPLIED if points else Reason.NOTHING_TO_GAIN, 0, points)
        if isinstance(result, AccrueChips):
            done = self.accrual.earn_chips(self.at, work.promotion, result) > 0
        else:
            done = count(self.at, result)
        return Did(_APPLIED if done else Reason.NOTHING_TO_GAIN)

    # --- trace

    def _note(self, stage: int, work: Work, step: Step, did: Did) -> None:
        if not self.explains or self._silent:
            return
        applied = did.reason is _APPLIED
        self.entries.append(
            TraceEntry(
                promotion=work.promotion.id,
                result_index=step.index,
                stage=STAGES[stage],
                outcome=Outcome.APPLIED if applied else Outcome.NOT_APPLIED,
                reason=did.reason.value,
                subject=did.finding.subject,
                seen=did.finding.seen,
                wanted=did.finding.wanted,
                discount_minor=did.amount_minor,
                points_centi=did.points_centi,
            )
        )

    def _note_all(self, stage: int, work: Work, reason: Reason, finding: Finding = HOLDS) -> None:
        if not self.explains or self._silent:
            return
        for step in work.stages[stage]:
            self._note(stage, work, step, Did(reason, finding=finding))


def _why(turn: Turn) -> Reason:
    """Why a goods result discounted nothing."""
    if not turn.matched:
        return Reason.NO_MATCHING_GOODS
    if turn.allowance.cut:
        return Reason.LIMIT
    if turn.floored:
        return Reason.FLOOR
    if turn.used:
        return Reason.USED_BY_ANOTHER
    return Reason.NOTHING_TO_GAIN
