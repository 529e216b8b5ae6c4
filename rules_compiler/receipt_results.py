"""Results of the stages receipt, spend and round: from the document to what the engine does."""

from __future__ import annotations

from typing import Final

from rules_compiler.filters import filter_of
from rules_compiler.ladders import read_total_steps
from rules_compiler.names import Names
from rules_compiler.reading import money, one_of, percent, points, truth
from shared.engine.program import DiscountReceipt, Result, RoundTotal, SpendPoints
from shared.wire.reading import Place

_WHOLE_PPM: Final = 10**6


def discount_receipt(place: Place, names: Names) -> Result | None:
    """A percentage or a sum off the receipt."""
    ways = ("percent", "amount", "price", "tiers", "per", "above")
    options = {"do", "filter", "value", "cap"}
    if not place.object(frozenset({*ways, *options})) or not one_of(place, *ways):
        return None
    value, tiers = place.get("value"), place.get("tiers")
    in_money = value is not None and value.choice("percent", "amount") == "amount"
    if in_money and value is not None and tiers is None:
        value.fail("value", "no 'value' but with 'tiers', whose steps it explains")
    each_minor, amount_minor = _per(place.get("per"))
    above_minor, above_ppm = _above(place.get("above"))
    return DiscountReceipt(
        filter=filter_of(place, names),
        percent_ppm=percent(place.get("percent")),
        amount_minor=money(place.get("amount")),
        price_minor=money(place.get("price")),
        tiers=None if tiers is None else read_total_steps(tiers, in_money=in_money),
        tiers_in_money=in_money,
        per_each_minor=each_minor,
        per_amount_minor=amount_minor,
        above_from_minor=above_minor,
        above_percent_ppm=above_ppm,
        cap_minor=money(place.get("cap")),
    )


def _per(place: Place | None) -> tuple[int | None, int]:
    """A sum off for each full sum."""
    if place is None or not place.object(frozenset({"each", "amount"}), ("each", "amount")):
        return None, 0
    return money(place.get("each"), low=1), money(place.get("amount")) or 0


def _above(place: Place | None) -> tuple[int | None, int]:
    """A rate on what lies above a sum."""
    if place is None or not place.object(frozenset({"from", "percent"}), ("from", "percent")):
        return None, 0
    return money(place.get("from")), percent(place.get("percent")) or 0


def spend_points(place: Place, names: Names) -> Result | None:
    """Points as a means of payment."""
    keys = {"do", "account", "filter", "max_percent", "keep_each", "keep_total", "step"}
    if not place.object(frozenset(keys), required=("account",)):
        return None
    rate = percent(place.get("max_percent"))
    return SpendPoints(
        account=names.account(place),
        filter=filter_of(place, names),
        max_percent_ppm=_WHOLE_PPM if rate is None else rate,
        keep_each_minor=money(place.get("keep_each")) or 0,
        keep_total_minor=money(place.get("keep_total")) or 0,
        step_centi=points(place.get("step"), low=1),
    )


def round_total(place: Place, _names: Names) -> Result | None:
    """The sum to pay down to a multiple."""
    if not place.object(frozenset({"do", "to", "each_line"}), required=("to",)):
        return None
    return RoundTotal(
        to_minor=money(place.get("to"), low=1) or 1, each_line=truth(place, "each_line")
    )
