"""Whether a condition holds, and what was seen (section 4 of the language)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from shared.engine.explain import HOLDS, Finding
from shared.engine.filters import matches
from shared.engine.lots import LineState, State
from shared.engine.program import (
    AllOf,
    AnyLine,
    AnyOf,
    Applied,
    Birthday,
    ChannelIs,
    ChipsAre,
    Condition,
    CouponShown,
    CustomerIs,
    Distinct,
    Filter,
    Not,
    OnlineIs,
    PaymentIs,
    PointsAre,
    Quantity,
    RegisterIs,
    Span,
    StoreIs,
    Total,
)
from shared.money import format_centi, format_minor
from shared.quantity import format_quantity
from shared.wire.receipt import Customer


class Situation:
    """What conditions look at: the receipt in its present state, and its local time."""

    def __init__(self, state: State, now: datetime) -> None:
        self.state = state
        self.receipt = state.receipt
        self.customer = state.receipt.customer
        self.now = now
        self.today = now.date()
        self.favourites = (
            frozenset(self.customer.favourites) if self.customer is not None else frozenset[str]()
        )

    def lines(self, wanted: Filter) -> Iterator[LineState]:
        """The lines that match, flagged ones too: a condition speaks of the whole receipt."""
        return (line for line in self.state.lines if matches(wanted, line, self.favourites))


def judge(condition: Condition, at: Situation) -> Finding:
    """Whether the condition holds; if not, the leaf that decided and the value it saw."""
    match condition:
        case AllOf(parts=parts):
            return next((f for f in (judge(part, at) for part in parts) if not f.holds), HOLDS)
        case AnyOf(parts=parts):
            findings = [judge(part, at) for part in parts]
            if any(finding.holds for finding in findings):
                return HOLDS
            return findings[-1] if findings else Finding(holds=False, subject="any")
        case Not(part=part):
            inner = judge(part, at)
            if inner.holds:
                return Finding(holds=False, subject=f"not {_subject(part)}")
            return HOLDS
        case _:
            return _judge_leaf(condition, at)


def _subject(condition: Condition) -> str:
    return str(condition.__struct_config__.tag)


def _listed(subject: str, seen: str, values: frozenset[str]) -> Finding:
    return Finding(
        holds=seen in values, subject=subject, seen=seen, wanted=", ".join(sorted(values)[:5])
    )


def _span_text(span: Span, scale: int) -> str:
    low, high = (
        "" if bound is None else format_minor(bound) if scale == 100 else str(bound)
        for bound in (span.low, span.high)
    )
    return f"{low}–{high}"


def _judge_leaf(condition: Condition, at: Situation) -> Finding:
    receipt = at.receipt
    match condition:
        case StoreIs(values=values):
            return _listed("store", receipt.store, values)
        case ChannelIs(values=values):
            return _listed("channel", receipt.channel, values)
        case RegisterIs(values=values):
            return _listed("register", receipt.register, values)
        case OnlineIs(value=value):
            seen = "true" if receipt.online else "false"
            return Finding(holds=receipt.online is value, subject="online", seen=seen)
        case CustomerIs():
            return _judge_customer(condition, at)
        case Birthday():
            return _judge_birthday(condition, at)
        case Total():
            money = sum(
                line.list_minor if condition.at_list else line.net_minor
                for line in at.lines(condition.filter)
            )
            return _within("total", money, condition.span, format_minor(money), 100)
        case Quantity():
            return _judge_quantity(condition, at)
        case Distinct():
            count = len({line.line.sku for line in at.lines(condition.filter)})
            return _within("distinct", count, condition.span, str(count), 1)
        case AnyLine():
            quantities = [line.line.quantity_milli for line in at.lines(condition.filter)]
            return Finding(
                holds=any(condition.span.holds(quantity) for quantity in quantities),
                subject="any_line",
                seen=", ".join(format_quantity(quantity) for quantity in quantities[:5]),
            )
        case CouponShown():
            return _judge_coupon(condition, at)
        case PaymentIs():
            return _judge_payment(condition, at)
        case PointsAre():
            if at.customer is None:
                return Finding(holds=False, subject="points", seen="anonymous")
            points = at.customer.points_centi.get(condition.account, 0)
            return _within("points", points, condition.span, format_centi(points), 100)
        case ChipsAre():
            if at.customer is None:
                return Finding(holds=False, subject="chips", seen="anonymous")
            chips = at.customer.chips.get(condition.account, 0)
            return _within("chips", chips, condition.span, str(chips), 1)
        case Applied():
            some = not condition.promotions.isdisjoint(at.state.acted)
            subject = "applied" if condition.wanted else "not_applied"
            return Finding(
                holds=some is condition.wanted,
                subject=subject,
                wanted=", ".join(sorted(condition.promotions)[:5]),
            )
        case AllOf() | AnyOf() | Not():
            return judge(condition, at)


def _within(subject: str, value: int, span: Span, seen: str, scale: int) -> Finding:
    return Finding(
        holds=span.holds(value), subject=subject, seen=seen, wanted=_span_text(span, scale)
    )


def _judge_quantity(condition: Quantity, at: Situation) -> Finding:
    quantity = 0
    for line in at.lines(condition.filter):
        each = line.line.quantity_milli
        if condition.in_base_units:
            # Thousandths of thousandths; the bounds are compared at the same scale below.
            quantity += each * line.line.base_quantity_milli
        else:
            quantity += each * 1000
    low, high = condition.span.low, condition.span.high
    holds = (low is None or quantity >= low * 1000) and (high is None or quantity <= high * 1000)
    wanted = "–".join("" if bound is None else format_quantity(bound) for bound in (low, high))
    return Finding(
        holds=holds, subject="quantity", seen=format_quantity(quantity // 1000), wanted=wanted
    )


def _judge_coupon(condition: CouponShown, at: Situation) -> Finding:
    wanted = ", ".join(sorted(condition.series | condition.codes)[:5])
    states: list[str] = []
    for coupon in at.receipt.coupons:
        if coupon.series in condition.series or coupon.code.upper() in condition.codes:
            if coupon.state == "valid":
                return Finding(holds=True, subject="coupon", seen="valid", wanted=wanted)
            states.append(coupon.state)
    seen = ", ".join(states) if states else "none"
    return Finding(holds=False, subject="coupon", seen=seen, wanted=wanted)


def _judge_payment(condition: PaymentIs, at: Situation) -> Finding:
    for payment in at.receipt.payments:
        if condition.types is not None and payment.type not in condition.types:
            continue
        if condition.bins is not None and not any(
            payment.bin.startswith(prefix) for prefix in condition.bins
        ):
            continue
        bounded = condition.span != Span()
        if bounded and (
            payment.amount_minor is None or not condition.span.holds(payment.amount_minor)
        ):
            continue
        return Finding(holds=True, subject="payment", seen=payment.type)
    seen = ", ".join(payment.type for payment in at.receipt.payments[:5]) or "none"
    return Finding(holds=False, subject="payment", seen=seen)


def _judge_customer(wanted: CustomerIs, at: Situation) -> Finding:
    customer = at.customer
    if customer is None:
        # Only the bare `identified: false` speaks of strangers.
        bare = wanted == CustomerIs(identified=False)
        return Finding(holds=bare, subject="customer", seen="anonymous")
    if wanted.identified is False:
        return Finding(holds=False, subject="customer", seen="identified")
    for subject, value, values in (
        ("customer.id", customer.id, wanted.ids),
        ("customer.level", customer.level, wanted.levels),
        ("customer.card_category", customer.card_category, wanted.card_categories),
        ("customer.gender", customer.gender, wanted.genders),
        ("customer.organisation", customer.organisation, wanted.organisations),
    ):
        if values is not None and value not in values:
            return Finding(
                holds=False, subject=subject, seen=value or "", wanted=", ".join(sorted(values)[:5])
            )
    if wanted.segments is not None and wanted.segments.isdisjoint(customer.segments):
        return Finding(
            holds=False, subject="customer.segment", wanted=", ".join(sorted(wanted.segments)[:5])
        )
    if wanted.not_segments is not None and not wanted.not_segments.isdisjoint(customer.segments):
        return Finding(
            holds=False,
            subject="customer.not_segment",
            seen=", ".join(sorted(wanted.not_segments.intersection(customer.segments))[:5]),
        )
    for attribute in wanted.attributes:
        if customer.attributes.get(attribute.key) not in attribute.values:
            return Finding(holds=False, subject=f"customer.attributes.{attribute.key}")
    if wanted.control is not None and customer.control is not wanted.control:
        return Finding(holds=False, subject="customer.control")
    return _judge_history(wanted, customer, at)


def _judge_history(wanted: CustomerIs, customer: Customer, at: Situation) -> Finding:
    """The tests on dates, counts and sums of a known customer."""
    for subject, span, born in (
        ("customer.age", wanted.age_years, customer.birthday),
        ("customer.registered_days", wanted.registered_days, customer.registered),
        ("customer.last_purchase_days", wanted.last_purchase_days, customer.last_purchase),
    ):
        if span is None:
            continue
        if born is None:
            return Finding(holds=False, subject=subject, seen="unknown")
        then = _date_of(born)
        number = _age_years(then, at.today) if subject == "customer.age" else (at.today - then).days
        if not span.holds(number):
            return _within(subject, number, span, str(number), 1)
    purchase = customer.purchases + 1
    if (wanted.purchase_number is not None and purchase != wanted.purchase_number) or (
        wanted.purchase_every is not None and purchase % wanted.purchase_every != 0
    ):
        return Finding(holds=False, subject="customer.purchase_number", seen=str(purchase))
    if wanted.spent is not None:
        money = customer.spent_minor.get(wanted.spent.window, 0)
        if wanted.spent.with_current:
            money += sum(line.net_minor for line in at.state.lines)
        if not wanted.spent.span.holds(money):
            return _within("customer.spent", money, wanted.spent.span, format_minor(money), 100)
    return HOLDS


def _date_of(text: str) -> date:
    return date.fromisoformat(text[:10])


def _age_years(born: date, today: date) -> int:
    """Full years; someone born on 29 February has the birthday on the 28th in common years."""
    return today.year - born.year - (today < _birthday_in(born, today.year))


def _birthday_in(born: date, year: int) -> date:
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def _judge_birthday(wanted: Birthday, at: Situation) -> Finding:
    customer = at.customer
    if customer is None:
        return Finding(holds=False, subject="birthday", seen="anonymous")
    births = [customer.birthday] if wanted.of == "self" else list(customer.children)
    for text in births:
        if text is None:
            continue
        born = _date_of(text)
        for year in (at.today.year - 1, at.today.year, at.today.year + 1):
            distance = (at.today - _birthday_in(born, year)).days
            if -wanted.before_days <= distance <= wanted.after_days:
                return HOLDS
    return Finding(holds=False, subject="birthday", seen=at.today.isoformat())
