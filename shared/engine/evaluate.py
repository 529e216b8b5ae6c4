"""Price a receipt: the one function that tills, the web shop, the what-if screen and replays call.

Stages run in the order goods, receipt, spend, round, accrue, inform; inside a stage the groups in
theirs; inside a group the promotions by priority and id, those that stack after the others. How
the promotions of a group share the goods is the business of ``groups``. Sections 5 to 10 of the
language.
"""

from __future__ import annotations

from shared.engine.groups import Runner
from shared.engine.hints import find_hints
from shared.engine.lots import LineState
from shared.engine.program import Program
from shared.engine.ready import Ready
from shared.wire.answer import (
    Accrued,
    Answer,
    AnswerLine,
    Applied,
    ChipsMoved,
    CounterValue,
    HintGiven,
    LinePoints,
    Part,
    Spendable,
    Spent,
    Totals,
)
from shared.wire.receipt import Receipt


def evaluate(
    program: Program | Ready, receipt: Receipt, *, trace: bool = False, hints: bool = False
) -> Answer:
    """The answer to a receipt under a program. Pure; trace and hints change nothing else.

    A program that prices many receipts is made ``Ready`` once.
    """
    ready = program if isinstance(program, Ready) else Ready(program)
    runner = Runner(ready, receipt, explains=trace)
    runner.run()
    answer = _answer(runner, find_hints(runner) if hints else [])
    runner.state.release()
    return answer


def _answer(runner: Runner, hints: list[HintGiven]) -> Answer:
    program = runner.ready.program
    payment = program.points_are_payment
    sums = _Sums()
    lines = [_line(state, sums, points_are_payment=payment) for state in runner.state.lines]
    return Answer(
        receipt_id=runner.receipt.receipt_id,
        programme=program.programme,
        version=program.version,
        optimal=runner.optimal,
        lines=lines,
        total=Totals(
            list_minor=sums.list_minor,
            discount_minor=sums.list_minor - sums.net_minor,
            net_minor=sums.net_minor,
            points_spent_minor=sums.points_minor,
            to_pay_minor=sums.to_pay_minor,
        ),
        accrued=_in_one(runner.accrual.entries),
        spent=_spent(runner),
        spendable=[
            Spendable(account=account, points_centi=points)
            for account, points in runner.spendable.items()
        ],
        applied=list(runner.state.acted),
        trace=runner.entries,
        chips=_chips(runner),
        counters=[
            CounterValue(id=counter, value=value)
            for counter, value in runner.state.counters.items()
        ],
        coupons=runner.informed.coupons,
        messages=runner.informed.messages,
        gifts=runner.informed.gifts,
        services=runner.informed.services,
        hints=hints,
    )


def _spent(runner: Runner) -> list[Spent]:
    """Every account that could pay or was asked to, with what it paid, zero too; then costs."""
    accounts = dict.fromkeys(runner.spendable)
    request = runner.receipt.spend
    if request is not None and request.account in runner.ready.accounts:
        accounts.setdefault(request.account)
    spent = [
        Spent(account=account, points_centi=runner.spent.get(account, 0)) for account in accounts
    ]
    for (account, promotion), points in runner.paid_costs.items():
        spent.append(Spent(account=account, points_centi=points, promotion=promotion))
    return spent


def _chips(runner: Runner) -> list[ChipsMoved]:
    moved: dict[tuple[str, str], list[int]] = {}
    for key, count in runner.state.chips_spent.items():
        moved.setdefault(key, [0, 0])[1] += count
    for key, count in runner.accrual.chips_earned.items():
        moved.setdefault(key, [0, 0])[0] += count
    return [
        ChipsMoved(account=account, promotion=promotion, earned=counts[0], spent=counts[1])
        for (account, promotion), counts in moved.items()
        if counts[0] or counts[1]
    ]


class _Sums:
    """The columns of all lines added up."""

    __slots__ = ("list_minor", "net_minor", "points_minor", "to_pay_minor")

    def __init__(self) -> None:
        self.list_minor: int = 0
        self.net_minor: int = 0
        self.points_minor: int = 0
        self.to_pay_minor: int = 0


def _line(state: LineState, sums: _Sums, *, points_are_payment: bool) -> AnswerLine:
    lots = state.lots
    net_minor = points_minor = 0
    for lot in lots:
        net_minor += lot.net_minor
        points_minor += lot.points_minor
    to_pay_minor = net_minor if points_are_payment else net_minor - points_minor
    if len(lots) == 1 and to_pay_minor % lots[0].piece_count == 0:
        parts = [Part(quantity_milli=state.quantity_milli, to_pay_minor=to_pay_minor)]
    else:
        parts = _parts(state, points_are_payment=points_are_payment)
    list_minor = state.list_minor
    sums.list_minor += list_minor
    sums.net_minor += net_minor
    sums.points_minor += points_minor
    sums.to_pay_minor += to_pay_minor
    return AnswerLine(
        line=state.number,
        list_minor=list_minor,
        discount_minor=list_minor - net_minor,
        net_minor=net_minor,
        points_spent_minor=points_minor,
        to_pay_minor=to_pay_minor,
        applied=_applied(state) if state.applied_minor else [],
        parts=parts,
    )


def _applied(state: LineState) -> list[Applied]:
    """What each promotion took off the line, in the order in which they first did."""
    quantities: dict[str, int] = {}
    if len(state.lots) > 1:
        for lot in state.lots:
            for promotion in lot.touched:
                quantities[promotion.id] = quantities.get(promotion.id, 0) + lot.quantity_milli
    # A line that was never taken apart was touched as a whole.
    return [
        Applied(
            promotion=promotion_id,
            discount_minor=discount_minor,
            quantity_milli=quantities[promotion_id] if quantities else state.quantity_milli,
        )
        for promotion_id, discount_minor in state.applied_minor.items()
    ]


def _parts(state: LineState, *, points_are_payment: bool) -> list[Part]:
    """Pieces with the same sum to pay together, dearest first.

    A lot whose sum does not divide gives its extra kopecks to its first pieces.
    """
    lots = state.lots
    counts: dict[int, int] = {}
    for lot in lots:
        to_pay = lot.net_minor if points_are_payment else lot.net_minor - lot.points_minor
        each_minor = to_pay // lot.piece_count
        extra = to_pay - each_minor * lot.piece_count
        if extra:
            counts[each_minor + 1] = counts.get(each_minor + 1, 0) + extra
        counts[each_minor] = counts.get(each_minor, 0) + lot.piece_count - extra
    milli = state.piece_milli
    return [
        Part(quantity_milli=count * milli, to_pay_minor=each_minor * count)
        for each_minor, count in sorted(counts.items(), reverse=True)
    ]


def _in_one(entries: list[Accrued]) -> list[Accrued]:
    """Entries of one promotion and account with the same dates stand together."""
    if len(entries) < 2:
        return entries
    together: dict[tuple[str, str, str, str | None], list[Accrued]] = {}
    for entry in entries:
        key = (entry.account, entry.promotion, entry.active_on_date, entry.expires_on_date)
        together.setdefault(key, []).append(entry)
    return [_joined(each) if len(each) > 1 else each[0] for each in together.values()]


def _joined(entries: list[Accrued]) -> Accrued:
    first = entries[0]
    points: dict[int, int] = {}
    for entry in entries:
        for share in entry.lines:
            points[share.line] = points.get(share.line, 0) + share.points_centi
    return Accrued(
        account=first.account,
        promotion=first.promotion,
        points_centi=sum([entry.points_centi for entry in entries]),
        active_on_date=first.active_on_date,
        expires_on_date=first.expires_on_date,
        lines=[LinePoints(line=line, points_centi=share) for line, share in sorted(points.items())],
    )
