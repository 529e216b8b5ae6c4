"""Conditions that no receipt can meet."""

from __future__ import annotations

import msgspec

from rules_compiler.filter_logic import covers, skus_of, why_nothing_matches
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

STRANGER = CustomerIs(identified=False)
_WORDS = ("ids", "levels", "card_categories", "genders", "organisations")


class Facts:
    """What is known of a receipt that meets the conditions added so far."""

    def __init__(self) -> None:
        self._sets: dict[str, frozenset[str]] = {}
        self._spans: dict[str, Span] = {}
        self._sums: list[tuple[str, Filter, Span]] = []
        self._truths: dict[str, bool] = {}
        self._not_segments: frozenset[str] = frozenset()
        self._segments: list[frozenset[str]] = []
        self._acted: list[frozenset[str]] = []
        self._idle: frozenset[str] = frozenset()
        self._leaves: list[Condition] = []
        self._denied: list[Condition] = []

    def copy(self) -> Facts:
        """The same facts, to which others can be added."""
        other = Facts()
        for name, value in vars(self).items():
            setattr(other, name, value if isinstance(value, frozenset) else value.copy())
        return other

    def add(self, condition: Condition) -> str | None:
        """Add what must hold too; why it then cannot, None where it can as far as is known."""
        match condition:
            case AllOf(parts=parts):
                return next((why for part in parts if (why := self.add(part))), None)
            case AnyOf(parts=parts):
                return self._add_any(parts)
            case Not(part=part):
                return self._deny(part)
            case _:
                self._leaves.append(condition)
                denied = any(_implies(condition, each) for each in self._denied)
                return "another condition denies it" if denied else self._add_leaf(condition)

    def _add_any(self, parts: list[Condition]) -> str | None:
        if not parts:
            return "'any' has nothing to choose from"
        reasons = [self.copy().add(part) for part in parts]
        return reasons[0] if all(reasons) else None

    def _deny(self, part: Condition) -> str | None:
        if part == AllOf(parts=[]):
            return "it denies what always holds"
        self._denied.append(part)
        denied = any(_implies(each, part) for each in self._leaves)
        return "it denies what another condition demands" if denied else None

    def _add_leaf(self, condition: Condition) -> str | None:
        match condition:
            case StoreIs(values=values):
                return self._among("store", values)
            case ChannelIs(values=values):
                return self._among("channel", values)
            case RegisterIs(values=values):
                return self._among("register", values)
            case OnlineIs(value=value):
                return self._is("online", value=value)
            case CustomerIs():
                return self._add_customer(condition)
            case Birthday():
                return self._is("identified", value=True)
            case CouponShown(series=series):
                return None if series else "no coupon is named"
            case PaymentIs(types=types, bins=bins):
                is_named = types != frozenset() and bins != []
                return None if is_named else "no payment is named"
            case CounterIs() | PointsAre() | ChipsAre():
                return self._add_balance(condition)
            case Applied(promotions=promotions, wanted=wanted):
                return self._add_applied(promotions, wanted=wanted)
            case Total() | Quantity() | Distinct() | AnyLine():
                return self._add_goods(condition)
        return None

    def _among(self, subject: str, values: frozenset[str]) -> str | None:
        if not values:
            return f"no {subject} is named"
        left = self._sets.get(subject, values) & values
        self._sets[subject] = left
        return None if left else f"no {subject} is in all of its lists"

    def _is(self, subject: str, *, value: bool) -> str | None:
        if self._truths.setdefault(subject, value) is value:
            return None
        return f"{subject!r} would have to be both true and false"

    def _lies(self, subject: str, span: Span) -> str | None:
        both = _overlap(self._spans.get(subject, Span()), span)
        self._spans[subject] = both
        return _why_empty(both, subject)

    def _add_customer(self, wanted: CustomerIs) -> str | None:
        if wanted.identified is False and wanted != STRANGER:
            return "a stranger meets no other test of customers"
        reasons = [self._is("identified", value=wanted.identified is not False)]
        reasons += [
            self._among(word, values)
            for word in _WORDS
            if (values := getattr(wanted, word)) is not None
        ]
        reasons += [self._among(f"attribute {each.key}", each.values) for each in wanted.attributes]
        for subject, span in (
            ("age", wanted.age_years),
            ("registered_days", wanted.registered_days),
            ("last_purchase_days", wanted.last_purchase_days),
        ):
            if span is not None:
                reasons.append(self._lies(subject, span))
        if wanted.control is not None:
            reasons.append(self._is("control", value=wanted.control))
        if wanted.spent is not None and not wanted.spent.with_current:
            reasons.append(self._lies(f"spent in {wanted.spent.window}", wanted.spent.span))
        reasons += [self._add_segments(wanted), self._add_purchase(wanted)]
        return next((why for why in reasons if why), None)

    def _add_segments(self, wanted: CustomerIs) -> str | None:
        self._not_segments |= wanted.not_segments or frozenset()
        if wanted.segments is not None:
            if not wanted.segments:
                return "no segment is named"
            self._segments.append(wanted.segments)
        shut_out = any(each <= self._not_segments for each in self._segments)
        return "'not_segment' takes away every segment" if shut_out else None

    def _add_purchase(self, wanted: CustomerIs) -> str | None:
        number = wanted.purchase_number
        if number is None:
            return None
        if number == 0:
            return "the first purchase has the number 1"
        return self._lies("purchase_number", Span(low=number, high=number))

    def _add_balance(self, condition: CounterIs | PointsAre | ChipsAre) -> str | None:
        why = self._is("identified", value=True)
        if why is not None:
            return why
        if isinstance(condition, CounterIs):
            if condition.every is not None or condition.with_current is not None:
                return None
            return self._lies(f"counter {condition.counter}", condition.span)
        kind = "points" if isinstance(condition, PointsAre) else "chips"
        return self._lies(f"{kind} {condition.account}", condition.span)

    def _add_applied(self, promotions: frozenset[str], *, wanted: bool) -> str | None:
        if wanted:
            if not promotions:
                return "no promotion is named"
            self._acted.append(promotions)
        else:
            self._idle |= promotions
        if any(each <= self._idle for each in self._acted):
            return "'not_applied' takes away all that 'applied' names"
        return None

    def _add_goods(self, condition: Total | Quantity | Distinct | AnyLine) -> str | None:
        span, wanted = condition.span, condition.filter
        asks = isinstance(condition, AnyLine) or (span.low or 0) > 0
        why = why_nothing_matches(wanted) if asks else None
        if why is not None:
            return f"no line matches its filter: {why}"
        if isinstance(condition, AnyLine):
            return "no line has a quantity of zero" if span.high == 0 else None
        skus = skus_of(wanted)
        if isinstance(condition, Distinct) and skus is not None and (span.low or 0) > len(skus):
            return f"its filter names {len(skus)} SKUs"
        return self._add_sum(_kind(condition), wanted, span)

    def _add_sum(self, kind: str, wanted: Filter, span: Span) -> str | None:
        """Sums over lines: what is asked of a part cannot exceed what is allowed of the whole."""
        for other_kind, other, bounds in self._sums:
            if other_kind != kind:
                continue
            for wide, narrow, most, least in (
                (wanted, other, span.high, bounds.low),
                (other, wanted, bounds.high, span.low),
            ):
                if (most is not None and least is not None and most < least) and (
                    covers(wide, narrow)
                ):
                    return f"another condition on the {kind} excludes it"
        self._sums.append((kind, wanted, span))
        return None


def _kind(condition: Total | Quantity | Distinct) -> str:
    match condition:
        case Total(at_list=at_list):
            return "list total" if at_list else "total"
        case Quantity(in_base_units=in_base_units):
            return "quantity in base units" if in_base_units else "quantity"
        case Distinct():
            return "number of different SKUs"


def _overlap(one: Span, other: Span) -> Span:
    lows = [bound for bound in (one.low, other.low) if bound is not None]
    highs = [bound for bound in (one.high, other.high) if bound is not None]
    return Span(low=max(lows, default=None), high=min(highs, default=None))


def _why_empty(span: Span, subject: str) -> str | None:
    if span.low is not None and span.high is not None and span.low > span.high:
        return f"the bounds of {subject!r} exclude each other"
    return None


def _implies(leaf: Condition, wide: Condition) -> bool:
    """Whether the wide condition surely holds where the leaf does."""
    if isinstance(leaf, StoreIs | ChannelIs | RegisterIs) and type(leaf) is type(wide):
        values: frozenset[str] = msgspec.structs.asdict(wide)["values"]
        return leaf.values <= values
    return leaf == wide
