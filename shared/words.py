"""The trace of a calculation in words: one message for each reason code of the engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from shared.engine.explain import Reason
from shared.tongues import Tongue
from shared.wire.answer import Outcome, TraceEntry

REASONS: Final = {
    Reason.APPLIED: "It acted.",
    Reason.NOT_ACTIVE: "It was not valid at that time: outside its dates, weekdays or hours.",
    Reason.CONDITION: "One of its conditions does not hold.",
    Reason.NO_MATCHING_GOODS: "The receipt has none of the goods it is for.",
    Reason.NOTHING_TO_GAIN: "Goods match, but there are too few or none would become cheaper.",
    Reason.FLOOR: "Minimum prices or maximum discounts leave no room.",
    Reason.USED_BY_ANOTHER: "Another promotion has already used these goods.",
    Reason.ONLY_ONE_OF: "Only one promotion of its family may act, and another one did.",
    Reason.ANONYMOUS: "It needs a customer, and no card was shown.",
    Reason.LIMIT: "Its limit is used up, or would be exceeded.",
    Reason.NOT_CLAIMED: "It acts only when the till asks for it.",
    Reason.COST: "The customer has not the points it costs.",
    Reason.OUTDONE: "Other promotions of its group save more.",
    Reason.ALREADY: "Points of this account were being spent already.",
    Reason.NOT_REQUESTED: "The customer did not ask to pay with points.",
    Reason.NO_POINTS: "There were no points to pay with.",
}
"""Complete over ``Reason``: a test holds this to it."""
SUBJECTS: Final = {
    "active": "validity",
    "store": "store",
    "channel": "sales channel",
    "register": "till",
    "online": "connection",
    "customer": "customer",
    "customer.segment": "segment",
    "customer.not_segment": "segment",
    "customer.level": "level",
    "birthday": "birthday",
    "total": "sum",
    "quantity": "quantity",
    "any_line": "goods",
    "coupon": "coupon",
    "payment": "payment",
    "points": "points",
    "chips": "chips",
    "distinct": "different goods",
    "applied": "other promotions",
    "not_applied": "other promotions",
    "customer.purchase_number": "number of the purchase",
    "customer.control": "control group",
    "counter": "counter",
    "limits.total.times": "limit of times for everybody",
    "limits.per_customer": "limit of one customer",
    "limits.per_customer.times": "limit of times for one customer",
}
"""What conditions are called by the engine, for people; a code not here is shown as it is."""
VALUES: Final = {
    "none": "none",
    "anonymous": "no card",
    "identified": "card shown",
    "valid": "valid",
    "unknown": "unknown",
    "expired": "expired",
    "used": "used already",
    "true": "yes",
    "false": "no",
}
"""Values the engine names by a word; any other is shown as it is."""
INCIDENTS: Final = {
    "points_without_lease": "Points were spent beyond what the shop was given",
    "points_shortage": "Points were spent that no lease covered",
    "to_pay_differs": "The till took another sum than was calculated",
    "unknown_card": "The card was not known in the shop",
    "unknown_customer": "Points were earned by an unknown customer",
    "spend_differs": "Two records tell one spend differently",
    "close_differs": "A shop gave points back and its spends do not add up",
    "unknown_lease": "A shop gave back points that were not lent to it",
    "bad_amount": "An amount was impossible",
    "foreign_void": "A shop took back another shop's spend",
    "foreign_sub_lease": "A till's part belongs to other points than it says",
    "sub_lease_overspent": "A till spent more than its part",
    "right_without_lease": "A right was used beyond what the shop was given",
    "limit_exceeded": "A customer got a promotion more often than it allows",
    "returned_too_much": "More came back than was sold",
    "money_differs": "The till gave back another sum than was due",
    "return_unconfirmed": "Goods of another shop came back while head office did not answer",
    "sale_unknown": "Goods of an unknown sale came back while head office did not answer",
    "no_right": "The cashier had no right to take goods back without a receipt",
    "over_limit": "More was given without a receipt than is allowed",
}
NEAREST_FIRST: Final = (
    Reason.FLOOR,
    Reason.LIMIT,
    Reason.OUTDONE,
    Reason.USED_BY_ANOTHER,
    Reason.ONLY_ONE_OF,
    Reason.ALREADY,
    Reason.NOTHING_TO_GAIN,
    Reason.COST,
    Reason.NO_POINTS,
    Reason.NOT_CLAIMED,
    Reason.NOT_REQUESTED,
    Reason.ANONYMOUS,
    Reason.CONDITION,
    Reason.NO_MATCHING_GOODS,
    Reason.NOT_ACTIVE,
)
"""Why a promotion did not act, from the reason a customer came nearest with; complete too."""
RESULTS: Final = {
    "discount_goods": "discount on goods",
    "discount_receipt": "discount on the receipt",
    "set_price": "fixed price",
    "nth": "every n-th",
    "set": "set of goods",
    "accrue_points": "points accrued",
    "gift_goods": "gift from the receipt",
    "chips_price": "price for chips",
    "counter_nth": "every n-th by counter",
    "manual": "cashier's discount",
    "external": "partner's discount",
    "round_total": "rounding",
    "accrue_chips": "chips given",
    "count": "counter",
    "issue_coupon": "coupon",
    "message": "message",
    "gift_info": "gift to hand out",
    "service": "service",
    "spend_points": "payment with points",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One line of the explanation; ``values`` are those that decided."""

    name: str
    acted: bool
    why: str
    values: str
    discount_minor: int
    points_centi: int
    spent: bool
    """The points were taken, not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Promotions that did not act for the same reason."""

    why: str
    promotions: list[Told]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A whole trace for a reader: first what acted, then the rest by its reason."""

    acted: list[Told]
    idle: list[Idle]
    idle_count: int


def tell_all(trace: Iterable[TraceEntry], names: dict[str, str], tongue: Tongue) -> Story:
    """The trace, each promotion once for a reason; the reasons nearest to acting come first.

    A promotion of which one part acted is not listed again for its other parts.
    """
    acted: dict[tuple[str, str], Told] = {}
    idle: dict[tuple[str, str], dict[tuple[str, str], Told]] = {}
    entries = list(trace)
    working = {entry.promotion for entry in entries if entry.outcome is Outcome.APPLIED}
    for entry in entries:
        told = tell(entry, names, tongue)
        if told.acted:
            key = (entry.promotion, entry.stage)
            before = acted.get(key)
            acted[key] = told if before is None else _both(before, told)
        elif entry.promotion not in working:
            group = idle.setdefault((entry.reason, entry.subject), {})
            group.setdefault((entry.promotion, told.values), told)
    order = {reason.value: place for place, reason in enumerate(NEAREST_FIRST)}
    groups = sorted(idle.items(), key=lambda item: order.get(item[0][0], len(order)))
    return Story(
        acted=list(acted.values()),
        idle=[
            Idle(why=_heading(reason, subject, tongue), promotions=list(told.values()))
            for (reason, subject), told in groups
        ],
        idle_count=len({entry.promotion for entry in entries} - working),
    )


def tell(entry: TraceEntry, names: dict[str, str], tongue: Tongue) -> Told:
    """One entry of the trace in words; a code of a newer engine is shown as it is."""
    parts = []
    if entry.seen:
        parts.append(tongue.text("seen: %(value)s", value=_value(entry.seen, tongue)))
    if entry.wanted:
        parts.append(tongue.text("wanted: %(value)s", value=_value(entry.wanted, tongue)))
    return Told(
        name=names.get(entry.promotion, entry.promotion),
        acted=entry.outcome is Outcome.APPLIED,
        why=_why(entry.reason, tongue),
        values=" · ".join(parts),
        discount_minor=entry.discount_minor,
        points_centi=entry.points_centi,
        spent=entry.stage == "spend",
    )


def _why(reason: str, tongue: Tongue) -> str:
    message = REASONS.get(Reason(reason)) if reason in set(Reason) else None
    return tongue.text(message) if message else reason


def _heading(reason: str, subject: str, tongue: Tongue) -> str:
    why = _why(reason, tongue)
    if not subject or reason == Reason.NOT_ACTIVE:
        return why
    return f"{why.rstrip('.')}: {tongue.text(SUBJECTS.get(subject, subject))}"


def _value(text: str, tongue: Tongue) -> str:
    """A word of the engine, or a span that is open at one end, as people say it."""
    if text in VALUES:
        return tongue.text(VALUES[text])
    if len(text) > 1 and text.endswith("–"):
        return tongue.text("from %(value)s", value=text[:-1])
    if len(text) > 1 and text.startswith("–"):
        return tongue.text("up to %(value)s", value=text[1:])
    return text


def _both(one: Told, other: Told) -> Told:
    return replace(
        one,
        discount_minor=one.discount_minor + other.discount_minor,
        points_centi=one.points_centi + other.points_centi,
    )
