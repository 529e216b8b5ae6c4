"""Whether a condition holds, and what was seen (section 4 of the language)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Final

from shared.engine.active import Moment
from shared.engine.explain import FAILS, HOLDS, Finding
from shared.engine.filters import Wanted
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
    CounterIs,
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
from shared.engine.shelves import Shelves, in_one
from shared.money import format_centi, format_minor
from shared.quantity import format_quantity
from shared.wire.receipt import Customer

_STRANGER: Final = CustomerIs(identified=False)


class Situation:
    """What conditions look at: the receipt in its present state, and its local time.

    ``filters`` are those that were read before, by identity; they are the program's, so that they
    are read once for all receipts.
    """

    def __init__(
        self,
        state: State,
        now: datetime,
        filters: dict[int, Wanted],
        *,
        explains: bool = False,
    ) -> None:
        self.state = state
        self.shelves = Shelves(state.lines)
        self._filters = filters
        self.explains = explains
        """Whether anybody reads what was seen: texts are made only then."""
        self.receipt = state.receipt
        self.customer = state.receipt.customer
        self.moment = Moment(now)
        self.today = now.date()
        self.favourites = (
            frozenset(self.customer.favourites) if self.customer is not None else frozenset[str]()
        )

    def lines(self, wanted: Filter) -> list[LineState]:
        """The lines that match, flagged ones too: a condition speaks of the whole receipt.

        Lines are looked up by the narrowest name that the filter has, then tested one by one. The
        list is not to be changed.
        """
        known = self._filters.get(id(wanted))
        if known is None:
            # It holds on to the filter, so that no other gets its identity.
            known = self._filters[id(wanted)] = Wanted(wanted)
        return self._matching(known)

    def _matching(self, wanted: Wanted) -> list[LineState]:
        if wanted.skus is not None:
            pool = self.shelves.by_sku.under(wanted.skus)
        elif wanted.brands is not None:
            pool = self.shelves.by_brand.under(wanted.brands)
        elif wanted.category_names is not None:
            pool = self.shelves.by_category.under(wanted.category_names)
        elif wanted.lists is not None:
            pool = in_one([self._matching(each) for each in wanted.lists])
        else:
            pool = self.state.lines
        if not wanted.has_more:
            return pool
        favourites = self.favourites
        return [line for line in pool if wanted.holds(line, favourites)]


def judge(condition: Condition, at: Situation) -> Finding:
    """Whether the condition holds; if not, the leaf that decided and the value it saw."""
    # Machine code compares a class several times faster than it asks a Struct for being of one.
    if type(condition) is AllOf:
        for part in condition.parts:
            finding = judge(part, at)
            if not finding.holds:
                return finding
        return HOLDS
    if type(condition) is AnyOf:
        last = FAILS
        for part in condition.parts:
            last = judge(part, at)
            if last.holds:
                return HOLDS
        return last
    if type(condition) is Not:
        if not judge(condition.part, at).holds:
            return HOLDS
        return Finding(holds=False, subject=f"not {_subject(condition.part)}")
    return _judge_leaf(condition, at)


def _subject(condition: Condition) -> str:
    return str(condition.__struct_config__.tag)


def _names(values: frozenset[str]) -> str:
    return ", ".join(sorted(values)[:5])


def _listed(subject: str, seen: str, values: frozenset[str], at: Situation) -> Finding:
    if seen in values:
        return HOLDS
    if not at.explains:
        return FAILS
    return Finding(holds=False, subject=subject, seen=seen, wanted=_names(values))


def _fails(subject: str, seen: str = "", wanted: str = "") -> Finding:
    return Finding(holds=False, subject=subject, seen=seen, wanted=wanted)


def _plain(value: int) -> str:
    return str(value)


def _within(
    subject: str, value: int, span: Span, at: Situation, text: Callable[[int], str]
) -> Finding:
    """Whether the value lies within; ``text`` writes it and the bounds."""
    low, high = span.low, span.high
    if (low is None or value >= low) and (high is None or value <= high):
        return HOLDS
    if not at.explains:
        return FAILS
    wanted = "–".join("" if bound is None else text(bound) for bound in (low, high))
    return Finding(holds=False, subject=subject, seen=text(value), wanted=wanted)


def _judge_leaf(condition: Condition, at: Situation) -> Finding:
    receipt = at.receipt
    if type(condition) is StoreIs:
        return _listed("store", receipt.store, condition.values, at)
    if type(condition) is CustomerIs:
        return _judge_customer(condition, at)
    if type(condition) is Total:
        lines = at.lines(condition.filter)
        if condition.at_list:
            money = sum([line.list_minor for line in lines])
        else:
            money = sum([line.net_minor for line in lines])
        return _within("total", money, condition.span, at, format_minor)
    if type(condition) is Quantity:
        return _judge_quantity(condition, at)
    if type(condition) is CouponShown:
        return _judge_coupon(condition, at)
    if type(condition) is ChannelIs:
        return _listed("channel", receipt.channel, condition.values, at)
    if type(condition) is RegisterIs:
        return _listed("register", receipt.register, condition.values, at)
    if type(condition) is OnlineIs:
        if receipt.online is condition.value:
            return HOLDS
        return _fails("online", "true" if receipt.online else "false")
    if type(condition) is Birthday:
        return _judge_birthday(condition, at)
    if type(condition) is Distinct:
        count = len({line.sku for line in at.lines(condition.filter)})
        return _within("distinct", count, condition.span, at, _plain)
    if type(condition) is AnyLine:
        quantities = [line.quantity_milli for line in at.lines(condition.filter)]
        for quantity in quantities:
            if condition.span.holds(quantity):
                return HOLDS
        return _fails("any_line", ", ".join(format_quantity(each) for each in quantities[:5]))
    if type(condition) is PaymentIs:
        return _judge_payment(condition, at)
    if type(condition) is Applied:
        some = not condition.promotions.isdisjoint(at.state.acted)
        if some is condition.wanted:
            return HOLDS
        subject = "applied" if condition.wanted else "not_applied"
        return _fails(subject, wanted=_names(condition.promotions))
    if type(condition) is CounterIs:
        return _judge_counter(condition, at)
    if type(condition) is PointsAre:
        if at.customer is None:
            return _fails("points", "anonymous")
        points = at.customer.points_centi.get(condition.account, 0)
        return _within("points", points, condition.span, at, format_centi)
    assert isinstance(condition, ChipsAre), "every leaf is known"
    if at.customer is None:
        return _fails("chips", "anonymous")
    chips = at.customer.chips.get(condition.account, 0)
    return _within("chips", chips, condition.span, at, _plain)


def _judge_counter(condition: CounterIs, at: Situation) -> Finding:
    customer = at.customer
    if customer is None:
        return _fails("counter", "anonymous")
    value = customer.counters.get(condition.counter, 0)
    if condition.every is not None:
        if (value + 1) % condition.every == 0:
            return HOLDS
        return _fails("counter", str(value), f"{condition.every}×n − 1")
    milli = value * 1000
    if condition.with_current is not None:
        milli += sum([line.quantity_milli for line in at.lines(condition.with_current)])
    return _within("counter", milli, condition.span, at, format_quantity)


def _judge_quantity(condition: Quantity, at: Situation) -> Finding:
    lines = at.lines(condition.filter)
    span = condition.span
    if not condition.in_base_units:
        quantity = sum([line.quantity_milli for line in lines])
        return _within("quantity", quantity, span, at, format_quantity)
    # Thousandths of thousandths, so that nothing is rounded before it is compared.
    exact = sum([line.quantity_milli * line.line.base_quantity_milli for line in lines])
    low, high = span.low, span.high
    if (low is None or exact >= low * 1000) and (high is None or exact <= high * 1000):
        return HOLDS
    return Finding(holds=False, subject="quantity", seen=format_quantity(exact // 1000))


def _judge_coupon(condition: CouponShown, at: Situation) -> Finding:
    states: list[str] = []
    for coupon in at.receipt.coupons:
        if coupon.series in condition.series or coupon.code.upper() in condition.codes:
            if coupon.state == "valid":
                return HOLDS
            states.append(coupon.state)
    if not at.explains:
        return FAILS
    seen = ", ".join(states) if states else "none"
    return _fails("coupon", seen, _names(condition.series | condition.codes))


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
        return HOLDS
    seen = ", ".join(payment.type for payment in at.receipt.payments[:5]) or "none"
    return Finding(holds=False, subject="payment", seen=seen)


def _judge_customer(wanted: CustomerIs, at: Situation) -> Finding:
    customer = at.customer
    if customer is None:
        # Only the bare `identified: false` speaks of strangers.
        if wanted.identified is False and wanted == _STRANGER:
            return HOLDS
        return _fails("customer", "anonymous")
    if wanted.identified is False:
        return Finding(holds=False, subject="customer", seen="identified")
    if wanted.ids is not None and customer.id not in wanted.ids:
        return _other("customer.id", customer.id, wanted.ids, at)
    if wanted.levels is not None and customer.level not in wanted.levels:
        return _other("customer.level", customer.level, wanted.levels, at)
    categories = wanted.card_categories
    if categories is not None and customer.card_category not in categories:
        return _other("customer.card_category", customer.card_category, categories, at)
    if wanted.genders is not None and customer.gender not in wanted.genders:
        return _other("customer.gender", customer.gender, wanted.genders, at)
    organisations = wanted.organisations
    if organisations is not None and customer.organisation not in organisations:
        return _other("customer.organisation", customer.organisation, organisations, at)
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


def _other(subject: str, value: str | None, values: frozenset[str], at: Situation) -> Finding:
    if not at.explains:
        return FAILS
    return Finding(holds=False, subject=subject, seen=value or "", wanted=_names(values))


def _judge_history(wanted: CustomerIs, customer: Customer, at: Situation) -> Finding:
    """The tests on dates, counts and sums of a known customer."""
    span = wanted.age_years
    if span is not None:
        born = customer.birthday
        if born is None:
            return _fails("customer.age", "unknown")
        finding = _within("customer.age", _age_years(_date_of(born), at.today), span, at, _plain)
        if not finding.holds:
            return finding
    finding = _judge_days(
        "customer.registered_days", wanted.registered_days, customer.registered, at
    )
    if not finding.holds:
        return finding
    finding = _judge_days(
        "customer.last_purchase_days", wanted.last_purchase_days, customer.last_purchase, at
    )
    if not finding.holds:
        return finding
    purchase = customer.purchases + 1
    if (wanted.purchase_number is not None and purchase != wanted.purchase_number) or (
        wanted.purchase_every is not None and purchase % wanted.purchase_every != 0
    ):
        return Finding(holds=False, subject="customer.purchase_number", seen=str(purchase))
    if wanted.spent is not None:
        money = customer.spent_minor.get(wanted.spent.window, 0)
        if wanted.spent.with_current:
            money += at.state.net_minor()
        if not wanted.spent.span.holds(money):
            return _within("customer.spent", money, wanted.spent.span, at, format_minor)
    return HOLDS


def _judge_days(subject: str, span: Span | None, since: str | None, at: Situation) -> Finding:
    if span is None:
        return HOLDS
    if since is None:
        return _fails(subject, "unknown")
    return _within(subject, (at.today - _date_of(since)).days, span, at, _plain)


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
