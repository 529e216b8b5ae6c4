"""Words of ``explain``, English and Russian: reasons, conditions, results, sums.

English stands in the code, Russian in the catalogue under ``locales``.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from babel import Locale
from babel.numbers import format_decimal

from shared.engine.explain import Reason
from shared.engine.program import Result
from shared.texts import read_catalogue
from shared.wire.answer import Outcome, TraceEntry

REASONS: Final = {
    Reason.APPLIED: "it acted",
    Reason.NOT_ACTIVE: "not valid at that time: outside its dates, weekdays or hours",
    Reason.CONDITION: "a condition does not hold",
    Reason.NO_MATCHING_GOODS: "the receipt has none of the goods it is for",
    Reason.NOTHING_TO_GAIN: "too few goods, or none would become cheaper",
    Reason.FLOOR: "minimum prices or maximum discounts leave no room",
    Reason.USED_BY_ANOTHER: "another promotion has used these goods",
    Reason.ONLY_ONE_OF: "only one promotion of its family may act, and another did",
    Reason.ANONYMOUS: "it needs a customer, and none is known",
    Reason.LIMIT: "its limit is used up",
    Reason.NOT_CLAIMED: "it acts only when claimed at the till",
    Reason.COST: "the customer has not the points it takes",
    Reason.OUTDONE: "other promotions of its group save more",
    Reason.ALREADY: "points of this account are being spent already",
    Reason.NOT_REQUESTED: "the customer did not ask to pay with points",
    Reason.NO_POINTS: "there are no points to pay with",
}
"""Complete over ``Reason``: a test holds this to it."""
NEAREST_FIRST: Final = (
    Reason.APPLIED,
    Reason.FLOOR,
    Reason.LIMIT,
    Reason.OUTDONE,
    Reason.USED_BY_ANOTHER,
    Reason.ONLY_ONE_OF,
    Reason.ALREADY,
    Reason.NOTHING_TO_GAIN,
    Reason.NO_POINTS,
    Reason.NOT_REQUESTED,
    Reason.COST,
    Reason.NOT_CLAIMED,
    Reason.ANONYMOUS,
    Reason.CONDITION,
    Reason.NO_MATCHING_GOODS,
    Reason.NOT_ACTIVE,
)
"""From what acted to what was farthest from it."""
SUBJECTS: Final = {
    "store": "store",
    "channel": "channel",
    "register": "till",
    "online": "connection",
    "customer": "customer",
    "customer.id": "customer's number",
    "customer.segment": "segment",
    "customer.not_segment": "segment that shuts out",
    "customer.level": "level",
    "customer.card_category": "kind of card",
    "customer.gender": "gender",
    "customer.organisation": "organisation",
    "customer.control": "control group",
    "customer.age": "age",
    "customer.registered_days": "days since registration",
    "customer.last_purchase_days": "days since the last purchase",
    "customer.purchase_number": "number of the purchase",
    "customer.spent": "spent before",
    "birthday": "birthday",
    "total": "sum",
    "quantity": "quantity",
    "distinct": "different goods",
    "any_line": "a line of goods",
    "coupon": "coupon",
    "payment": "payment",
    "counter": "counter",
    "points": "points",
    "chips": "chips",
    "applied": "promotions that must have acted",
    "not_applied": "promotions that must not have acted",
    "all": "all of several conditions",
    "any": "any of several conditions",
    "limits.total.times": "times in all",
    "limits.per_customer": "per customer, and none is known",
    "limits.per_customer.times": "times per customer",
}
"""What the engine says decided; what is not here is shown as it is."""
VALUES: Final = {
    "none": "none",
    "anonymous": "nobody known",
    "identified": "a known customer",
    "valid": "valid",
    "unknown": "unknown",
    "expired": "expired",
    "used": "used",
    "reserved": "reserved",
    "true": "yes",
    "false": "no",
}
RESULTS: Final = {
    "discount_goods": "discount on goods",
    "set_price": "price",
    "nth": "every n-th",
    "set": "set",
    "gift_goods": "gift",
    "chips_price": "price for chips",
    "counter_nth": "n-th by counter",
    "manual": "cashier's discount",
    "external": "partner's discount",
    "discount_receipt": "discount on the receipt",
    "spend_points": "payment with points",
    "round_total": "rounding",
    "accrue_points": "points",
    "accrue_chips": "chips",
    "count": "counter",
    "issue_coupon": "coupon",
    "message": "message",
    "gift_info": "gift to hand out",
    "service": "service",
}
"""Complete over the results of a program: a test holds this to it."""


class Words:
    """One language."""

    def __init__(self, lang: str) -> None:
        self._locale = Locale.parse(lang)
        self._texts = read_catalogue(
            "rules_compiler.commands", f"locales/{lang}/LC_MESSAGES/commands.po", lang
        )

    def text(self, message: str, **values: object) -> str:
        """The message in this language, its ``%(name)s`` filled in."""
        found = self._texts.gettext(message)
        return found % values if values else found

    def money(self, minor: int) -> str:
        """Money in minor units, or points in hundredths."""
        return str(format_decimal(Decimal(minor).scaleb(-2), "#,##0.00", locale=self._locale))

    def quantity(self, milli: int) -> str:
        """A quantity in thousandths."""
        return str(format_decimal(Decimal(milli).scaleb(-3), "#,##0.###", locale=self._locale))

    def number(self, count: int) -> str:
        """A count."""
        return str(format_decimal(count, "#,##0", locale=self._locale))

    def result(self, result: Result) -> str:
        """What kind of thing a result does."""
        tag = str(result.__struct_config__.tag)
        return self.text(RESULTS.get(tag, tag))

    def fate(self, entry: TraceEntry) -> str:
        """What became of one result, and which value decided."""
        if entry.outcome is Outcome.APPLIED:
            return self._did(entry)
        known = REASONS.get(Reason(entry.reason)) if entry.reason in set(Reason) else None
        told = entry.reason if known is None else self.text(known)
        if entry.subject:
            told = f"{told}: {self._subject(entry.subject)}"
        values = []
        if entry.seen:
            values.append(self.text("seen %(value)s", value=self._value(entry.seen)))
        if entry.wanted:
            values.append(self.text("wanted %(value)s", value=self._value(entry.wanted)))
        return f"{told} ({', '.join(values)})" if values else told

    def _did(self, entry: TraceEntry) -> str:
        if entry.discount_minor:
            return self.text("took off %(sum)s", sum=self.money(entry.discount_minor))
        if entry.points_centi and entry.stage == "spend":
            return self.text("took %(points)s points", points=self.money(entry.points_centi))
        if entry.points_centi:
            return self.text("gave %(points)s points", points=self.money(entry.points_centi))
        return self.text("it acted")

    def _subject(self, subject: str) -> str:
        if subject.startswith("not "):
            return self.text("must not hold: %(what)s", what=self._subject(subject[4:]))
        if subject.startswith("customer.attributes."):
            return self.text("customer's %(key)s", key=subject.removeprefix("customer.attributes."))
        return self.text(SUBJECTS.get(subject, subject))

    def _value(self, text: str) -> str:
        """A word of the engine, or a span that is open at one end, as people say it."""
        if text in VALUES:
            return self.text(VALUES[text])
        if len(text) > 1 and text.endswith("–"):
            return self.text("from %(value)s", value=text[:-1])
        if len(text) > 1 and text.startswith("–"):
            return self.text("up to %(value)s", value=text[1:])
        return text
