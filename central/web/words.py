"""The trace of a calculation in words: one message for each reason code of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from central.web.languages import Tongue
from shared.engine.explain import Reason
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
}
"""What conditions are called by the engine, for people; a code not here is shown as it is."""
RESULTS: Final = {
    "discount_goods": "discount on goods",
    "discount_receipt": "discount on the receipt",
    "set_price": "fixed price",
    "nth": "every n-th",
    "set": "set of goods",
    "accrue_points": "points accrued",
    "spend_points": "payment with points",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One line of the explanation."""

    name: str
    acted: bool
    why: str
    values: str
    discount_minor: int
    points_centi: int


def tell(entry: TraceEntry, names: dict[str, str], tongue: Tongue) -> Told:
    """One entry of the trace in words; a code of a newer engine is shown as it is."""
    message = REASONS.get(Reason(entry.reason)) if entry.reason in set(Reason) else None
    parts = []
    if entry.subject:
        parts.append(tongue.text(SUBJECTS.get(entry.subject, entry.subject)))
    if entry.seen:
        parts.append(tongue.text("seen: %(value)s", value=entry.seen))
    if entry.wanted:
        parts.append(tongue.text("wanted: %(value)s", value=entry.wanted))
    return Told(
        name=names.get(entry.promotion, entry.promotion),
        acted=entry.outcome is Outcome.APPLIED,
        why=tongue.text(message) if message else entry.reason,
        values=" · ".join(parts),
        discount_minor=entry.discount_minor,
        points_centi=entry.points_centi,
    )
