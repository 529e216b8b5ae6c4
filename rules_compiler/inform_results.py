"""Results of the inform stage: from the document to what the engine does."""

from __future__ import annotations

from typing import Final

from rules_compiler.names import Names
from rules_compiler.per_sums import read_per_sum
from rules_compiler.reading import (
    TEXT_MAX,
    at_most_one_of,
    money,
    name,
    pieces,
    prose,
    truth,
    whole,
)
from shared.engine.program import GiftInfo, IssueCoupon, Message, Result, Service
from shared.wire.reading import Place

_TO: Final = ("cashier", "customer", "sco", "selfscan", "slip", "display")
_AT: Final = ("start", "add", "subtotal", "payment", "end")
_ARTICLES_MAX: Final = 1_000
_DAYS_MAX: Final = 100_000


def issue_coupon(place: Place, names: Names) -> Result | None:
    """Coupons for the next visit."""
    allowed = frozenset({"do", "series", "count", "per", "max", "valid_days", "text"})
    if not place.object(allowed, required=("series",)):
        return None
    at_most_one_of(place, "count", "per")
    many, per = pieces(place.get("count")), place.get("per")
    return IssueCoupon(
        series=name(place, "series"),
        count=1 if many is None else many,
        per=None if per is None else read_per_sum(per, names, "count"),
        count_max=pieces(place.get("max")),
        valid_days=whole(place.get("valid_days"), high=_DAYS_MAX),
        text=prose(place, "text"),
    )


def message(place: Place, _names: Names) -> Result | None:
    """A text for somebody at some moment."""
    allowed = frozenset({"do", "to", "at", "text", "qr", "image", "confirm"})
    if not place.object(allowed, required=("to", "at")):
        return None
    if all(place.get(key) is None for key in ("text", "qr", "image")):
        place.fail("missing_key", "the key 'text'")
    to, at = place.get("to"), place.get("at")
    return Message(
        to=(None if to is None else to.choice(*_TO)) or "",
        at=(None if at is None else at.choice(*_AT)) or "",
        text=prose(place, "text"),
        qr=prose(place, "qr"),
        image=prose(place, "image"),
        confirm=truth(place, "confirm"),
    )


def gift_info(place: Place, names: Names) -> Result | None:
    """What may be handed out."""
    allowed = frozenset({"do", "what", "qty", "per", "max"})
    if not place.object(allowed, required=("what",)):
        return None
    at_most_one_of(place, "qty", "per")
    many, per, what = pieces(place.get("qty")), place.get("per"), place.get("what")
    return GiftInfo(
        what=[] if what is None else _articles(what),
        is_choice=what is not None and isinstance(what.value, list),
        quantity=1 if many is None else many,
        per=None if per is None else read_per_sum(per, names, "gifts"),
        count_max=pieces(place.get("max")),
    )


def _articles(place: Place) -> list[str]:
    """One article, or those to choose from in the order in which they are offered."""
    if not isinstance(place.value, list):
        text = place.text(most=TEXT_MAX)
        return [] if text is None else [text]
    if not place.value:
        place.fail("empty", "at least one article")
    items = place.items("a list of articles", most=_ARTICLES_MAX)
    return [text for each in items if (text := each.text(most=TEXT_MAX)) is not None]


def service(place: Place, _names: Names) -> Result | None:
    """An extra service to offer."""
    if not place.object(frozenset({"do", "code", "text", "donate_to"}), required=("code",)):
        return None
    return Service(
        code=name(place, "code"),
        text=prose(place, "text"),
        donate_to_minor=money(place.get("donate_to"), low=1),
    )
