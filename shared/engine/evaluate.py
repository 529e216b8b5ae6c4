"""Price a receipt: the one function that tills, the web shop, the what-if screen and replays call.

Stages run in the order goods, receipt, spend, round, accrue; inside a stage the groups in theirs;
inside a group the promotions by priority and id, those that stack after the others. In a group
that resolves ``all`` a promotion's conditions are judged at its turn; in one that resolves
``first`` at the group's start. Sections 5 to 9 of the language.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from shared.engine.accrue import Accrual
from shared.engine.active import is_active
from shared.engine.conditions import Situation, judge
from shared.engine.explain import HOLDS, Finding, Reason
from shared.engine.goods import Turn, apply_goods
from shared.engine.lots import LineState, Lot, Range, State
from shared.engine.program import (
    Account,
    AccruePoints,
    DiscountGoods,
    DiscountReceipt,
    Group,
    Nth,
    Program,
    Promotion,
    Resolve,
    Result,
    RoundTotal,
    SetPrice,
    SpendPoints,
)
from shared.engine.receipt_stage import apply_receipt_discount
from shared.engine.spend import apply_rounding, apply_spend, plan_spend
from shared.wire.answer import (
    Accrued,
    Answer,
    AnswerLine,
    Applied,
    Outcome,
    Part,
    Spendable,
    Spent,
    Totals,
    TraceEntry,
)
from shared.wire.receipt import Receipt

_STAGES: tuple[tuple[str, tuple[type[Result], ...]], ...] = (
    ("goods", (DiscountGoods, SetPrice, Nth)),
    ("receipt", (DiscountReceipt,)),
    ("spend", (SpendPoints,)),
    ("round", (RoundTotal,)),
    ("accrue", (AccruePoints,)),
)
_INACTIVE = Finding(holds=False, subject="active")


def evaluate(program: Program, receipt: Receipt, *, trace: bool = False) -> Answer:
    """The answer to a receipt under a program. Pure; ``trace`` adds reasons and changes nothing."""
    return _Run(program=program, receipt=receipt, wants_trace=trace).answer()


@dataclass(slots=True, kw_only=True)
class _Did:
    """What a promotion did in one stage."""

    amount: int
    reason: Reason
    finding: Finding = HOLDS
    points_centi: int = 0


@dataclass(slots=True)
class _Run:
    program: Program
    receipt: Receipt
    wants_trace: bool
    state: State = field(init=False)
    at: Situation = field(init=False)
    accounts: dict[str, Account] = field(init=False)
    families: dict[str, str] = field(default_factory=dict)
    """Which promotion of an ``only_one_of`` family has acted."""
    spent: dict[str, Spent] = field(default_factory=dict)
    spendable: dict[str, Spendable] = field(default_factory=dict)
    accrual: Accrual = field(init=False)
    entries: list[TraceEntry] = field(default_factory=list)
    forbid_spend: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        lines = sorted(self.receipt.lines, key=lambda line: line.line)
        self.state = State(
            receipt=self.receipt,
            max_discount_ppm=self.program.max_discount_ppm,
            lines=[LineState(line) for line in lines],
        )
        self.at = Situation(self.state, datetime.fromisoformat(self.receipt.time))
        self.accounts = {account.id: account for account in self.program.accounts}
        promotions = [each for group in self.program.groups for each in group.promotions]
        self.forbid_spend = frozenset(each.id for each in promotions if each.forbid_spend)
        self.accrual = Accrual(
            forbidden=frozenset(each.id for each in promotions if each.forbid_accrual)
        )

    def answer(self) -> Answer:
        for stage, kinds in _STAGES:
            for group in self.program.groups:
                self._run_group(stage, kinds, group)
        return self._answer()

    # --- groups

    def _run_group(self, stage: str, kinds: tuple[type[Result], ...], group: Group) -> None:
        work = [
            (promotion, indexed)
            for promotion in group.promotions
            if (
                indexed := [
                    (index, result)
                    for index, result in enumerate(promotion.results)
                    if isinstance(result, kinds)
                ]
            )
        ]
        plain = [item for item in work if not item[0].stack]
        stacked = [item for item in work if item[0].stack]
        competes = group.resolve is Resolve.FIRST
        judged = {item[0].id: self._judge(item[0]) for item in plain} if competes else {}
        used: dict[int, list[Range]] = {}
        won = False
        for promotion, results in plain:
            if competes and stage == "receipt" and won:
                self._note_all(stage, promotion, results, Reason.USED_BY_ANOTHER)
                continue
            finding = judged[promotion.id] if competes else self._judge(promotion)
            did = self._run_promotion(
                stage,
                promotion,
                results,
                group=group,
                finding=finding,
                used=used if competes else None,
            )
            won |= did
        for promotion, results in stacked:
            self._run_promotion(
                stage, promotion, results, group=group, finding=self._judge(promotion), used=None
            )

    def _judge(self, promotion: Promotion) -> Finding:
        if not is_active(promotion.active, self.at.now):
            return _INACTIVE
        return HOLDS if promotion.when is None else judge(promotion.when, self.at)

    def _run_promotion(
        self,
        stage: str,
        promotion: Promotion,
        results: list[tuple[int, Result]],
        *,
        group: Group,
        finding: Finding,
        used: dict[int, list[Range]] | None,
    ) -> bool:
        family = promotion.only_one_of
        if not finding.holds:
            reason = Reason.NOT_ACTIVE if finding is _INACTIVE else Reason.CONDITION
            self._note_all(stage, promotion, results, reason, finding)
            return False
        if family is not None and self.families.get(family, promotion.id) != promotion.id:
            self._note_all(stage, promotion, results, Reason.ONLY_ONE_OF)
            return False
        turn = Turn(
            promotion=promotion,
            used={} if used is None else used,
            applications_left=promotion.per_receipt_max,
        )
        # Pieces used by this very promotion stay open to its own later results.
        mine: dict[int, list[Range]] = {}
        acted = False
        for index, result in results:
            before = {line: list(ranges) for line, ranges in turn.used.items()}
            did = self._run_result(promotion, result, group, turn)
            for line, ranges in turn.used.items():
                mine.setdefault(line, []).extend(ranges[len(before.get(line, ())) :])
            turn.used = before
            self._note(stage, promotion, index, did)
            acted |= did.reason is Reason.APPLIED
        if used is not None:
            for line, ranges in mine.items():
                used.setdefault(line, []).extend(ranges)
        if acted:
            self.state.acted.setdefault(promotion.id)
            if family is not None:
                self.families[family] = promotion.id
        return acted

    # --- results

    def _run_result(self, promotion: Promotion, result: Result, group: Group, turn: Turn) -> _Did:
        match result:
            case DiscountGoods() | SetPrice() | Nth():
                turn.matched = turn.stopped_by_floor = False
                return _goods_fate(apply_goods(self.state, turn, result), turn)
            case DiscountReceipt():
                return _fate(apply_receipt_discount(self.at, promotion, result))
            case RoundTotal():
                return _fate(apply_rounding(self.at, promotion, result))
            case SpendPoints():
                return self._spend(promotion, result)
            case AccruePoints():
                return self._accrue(promotion, result, group)

    def _spend(self, promotion: Promotion, result: SpendPoints) -> _Did:
        if self.receipt.customer is None:
            return _Did(amount=0, reason=Reason.ANONYMOUS)
        if result.account in self.spendable:
            return _Did(amount=0, reason=Reason.USED_BY_ANOTHER)
        plan = plan_spend(
            self.at,
            promotion,
            result,
            self.accounts[result.account],
            forbidden=self.forbid_spend,
        )
        if plan.spendable_centi == 0:
            return _Did(amount=0, reason=Reason.NO_POINTS)
        self.spendable[result.account] = Spendable(
            account=result.account, points_centi=plan.spendable_centi
        )
        if plan.points_centi == 0:
            return _Did(amount=0, reason=Reason.NOT_REQUESTED)
        apply_spend(plan)
        self.spent[result.account] = Spent(account=result.account, points_centi=plan.points_centi)
        return _Did(amount=0, reason=Reason.APPLIED, points_centi=plan.points_centi)

    def _accrue(self, promotion: Promotion, result: AccruePoints, group: Group) -> _Did:
        if self.receipt.customer is None:
            return _Did(amount=0, reason=Reason.ANONYMOUS)
        points_centi = self.accrual.earn(
            self.at,
            promotion,
            result,
            group_id=group.id,
            resolve=group.resolve,
            precision_centi=self.accounts[result.account].precision_centi,
        )
        reason = Reason.APPLIED if points_centi else Reason.NOTHING_TO_GAIN
        return _Did(amount=0, reason=reason, points_centi=points_centi)

    # --- trace

    def _note(self, stage: str, promotion: Promotion, index: int, did: _Did) -> None:
        if not self.wants_trace:
            return
        applied = did.reason is Reason.APPLIED
        self.entries.append(
            TraceEntry(
                promotion=promotion.id,
                result_index=index,
                stage=stage,
                outcome=Outcome.APPLIED if applied else Outcome.NOT_APPLIED,
                reason=did.reason.value,
                subject=did.finding.subject,
                seen=did.finding.seen,
                wanted=did.finding.wanted,
                discount_minor=did.amount,
                points_centi=did.points_centi,
            )
        )

    def _note_all(
        self,
        stage: str,
        promotion: Promotion,
        results: list[tuple[int, Result]],
        reason: Reason,
        finding: Finding = HOLDS,
    ) -> None:
        for index, _result in results:
            self._note(stage, promotion, index, _Did(amount=0, reason=reason, finding=finding))

    # --- the answer

    def _answer(self) -> Answer:
        lines = [self._line(line) for line in self.state.lines]
        return Answer(
            receipt_id=self.receipt.receipt_id,
            programme=self.program.programme,
            version=self.program.version,
            optimal=True,
            lines=lines,
            total=Totals(
                list_minor=sum(line.list_minor for line in lines),
                discount_minor=sum(line.discount_minor for line in lines),
                net_minor=sum(line.net_minor for line in lines),
                points_spent_minor=sum(line.points_spent_minor for line in lines),
                to_pay_minor=sum(line.to_pay_minor for line in lines),
            ),
            accrued=_in_one(self.accrual.entries),
            spent=self._spent(),
            spendable=list(self.spendable.values()),
            applied=list(self.state.acted),
            trace=self.entries,
        )

    def _spent(self) -> list[Spent]:
        """Every account that could pay or was asked to, with what it paid, zero too."""
        accounts = dict.fromkeys(self.spendable)
        request = self.receipt.spend
        if request is not None and request.account in self.accounts:
            accounts.setdefault(request.account)
        return [
            self.spent.get(account, Spent(account=account, points_centi=0)) for account in accounts
        ]

    def _line(self, line: LineState) -> AnswerLine:
        net_minor = line.net_minor
        points_minor = sum(lot.points_minor for lot in line.lots)
        quantities: dict[str, int] = {}
        for lot in line.lots:
            for promotion_id in lot.touched:
                quantities[promotion_id] = quantities.get(promotion_id, 0) + lot.quantity_milli
        return AnswerLine(
            line=line.line.line,
            list_minor=line.list_minor,
            discount_minor=line.list_minor - net_minor,
            net_minor=net_minor,
            points_spent_minor=points_minor,
            to_pay_minor=net_minor if self.program.points_are_payment else net_minor - points_minor,
            applied=[
                Applied(
                    promotion=promotion_id,
                    discount_minor=discount_minor,
                    quantity_milli=quantities[promotion_id],
                )
                for promotion_id, discount_minor in line.applied_minor.items()
            ],
            parts=_parts(line, points_are_payment=self.program.points_are_payment),
        )


def _fate(amount_minor: int) -> _Did:
    reason = Reason.APPLIED if amount_minor else Reason.NOTHING_TO_GAIN
    return _Did(amount=amount_minor, reason=reason)


def _goods_fate(amount_minor: int, turn: Turn) -> _Did:
    if amount_minor:
        return _Did(amount=amount_minor, reason=Reason.APPLIED)
    if not turn.matched:
        return _Did(amount=0, reason=Reason.NO_MATCHING_GOODS)
    if turn.stopped_by_floor:
        return _Did(amount=0, reason=Reason.FLOOR)
    if turn.used:
        return _Did(amount=0, reason=Reason.USED_BY_ANOTHER)
    return _Did(amount=0, reason=Reason.NOTHING_TO_GAIN)


def _in_one(entries: list[Accrued]) -> list[Accrued]:
    """Entries of one promotion and account with the same dates stand together."""
    sums: dict[tuple[str, str, str, str | None], int] = {}
    for entry in entries:
        key = (entry.account, entry.promotion, entry.active_on_date, entry.expires_on_date)
        sums[key] = sums.get(key, 0) + entry.points_centi
    return [
        Accrued(
            account=account,
            promotion=promotion,
            points_centi=points_centi,
            active_on_date=active_on,
            expires_on_date=expires_on,
        )
        for (account, promotion, active_on, expires_on), points_centi in sums.items()
    ]


def _pieces(line: LineState, *, points_are_payment: bool) -> Iterator[tuple[int, int]]:
    """What one piece pays and how many do, lot by lot; extra kopecks are on the first pieces."""

    def to_pay(lot: Lot) -> int:
        return lot.net_minor if points_are_payment else lot.net_minor - lot.points_minor

    for lot in line.lots:
        each_minor, extra = divmod(to_pay(lot), lot.piece_count)
        yield each_minor + 1, extra
        yield each_minor, lot.piece_count - extra


def _parts(line: LineState, *, points_are_payment: bool) -> list[Part]:
    """Pieces with the same sum to pay together, dearest first."""
    counts: dict[int, int] = {}
    for each_minor, count in _pieces(line, points_are_payment=points_are_payment):
        if count:
            counts[each_minor] = counts.get(each_minor, 0) + count
    return [
        Part(quantity_milli=count * line.piece_milli, to_pay_minor=each_minor * count)
        for each_minor, count in sorted(counts.items(), reverse=True)
    ]
