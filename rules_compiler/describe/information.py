"""Results that inform: coupons, messages, gifts to hand out, services. In words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rules_compiler.describe.nouns import counted
from rules_compiler.describe.rewards import at_most_pieces, per_sum, with_options
from rules_compiler.describe.voice import Voice


def issue_coupon(voice: Voice, result: Mapping[str, Any]) -> str:
    """Coupons for the next visit."""
    per = result.get("per")
    count = result.get("count") if per is None else per.get("count")
    told = voice.text(
        "give %(coupons)s of series %(name)s",
        coupons=counted(voice, "coupon", 1 if count is None else count, "accusative"),
        name=voice.quoted(result.get("series", "")),
    )
    if per is not None:
        told = f"{told} {per_sum(voice, per)}"
    options: list[str] = []
    if (most := result.get("max")) is not None:
        coupons = counted(voice, "coupon", most, "genitive")
        options.append(voice.text("at most %(high)s", high=coupons))
    if (days := result.get("valid_days")) is not None:
        valid = counted(voice, "day", days, "accusative")
        options.append(voice.text("valid for %(days)s", days=valid))
    if text := result.get("text"):
        options.append(voice.text("with the text %(text)s", text=voice.quoted(text)))
    return with_options(told, options)


def message(voice: Voice, result: Mapping[str, Any]) -> str:
    """A text for somebody at some moment."""
    to = {
        "cashier": voice.text("show the cashier"),
        "customer": voice.text("tell the customer"),
        "sco": voice.text("show on the self-checkout"),
        "selfscan": voice.text("show in self-scanning"),
        "slip": voice.text("print on the slip"),
        "display": voice.text("show on the customer display"),
    }
    at = {
        "start": voice.text("at the start of the receipt"),
        "add": voice.text("when goods are added"),
        "subtotal": voice.text("at the subtotal"),
        "payment": voice.text("at payment"),
        "end": voice.text("at the end of the receipt"),
    }
    told = voice.text(
        "%(to)s %(at)s",
        to=to.get(str(result.get("to")), voice.text("show")),
        at=at.get(str(result.get("at")), ""),
    ).strip()
    if text := result.get("text"):
        told = f"{told}: {voice.quoted(text)}"
    options: list[str] = []
    if qr := result.get("qr"):
        options.append(voice.text("QR code %(value)s", value=voice.quoted(qr)))
    if image := result.get("image"):
        options.append(voice.text("image %(value)s", value=voice.quoted(image)))
    if result.get("confirm"):
        options.append(voice.text("to be confirmed"))
    return with_options(told, options)


def gift_info(voice: Voice, result: Mapping[str, Any]) -> str:
    """What may be handed out."""
    what, per = result.get("what", ""), result.get("per")
    count = result.get("qty") if per is None else per.get("gifts")
    articles = voice.quoted(what) if isinstance(what, str) else voice.either_quoted(what)
    told = voice.text(
        "hand out %(articles)s, %(pieces)s",
        articles=articles,
        pieces=counted(voice, "piece", 1 if count is None else count, "accusative"),
    )
    if per is not None:
        told = f"{told} {per_sum(voice, per)}"
    options: list[str] = []
    if (most := result.get("max")) is not None:
        options.append(at_most_pieces(voice, most))
    return with_options(told, options)


def service(voice: Voice, result: Mapping[str, Any]) -> str:
    """An extra service to offer."""
    told = voice.text("offer service %(name)s", name=voice.quoted(result.get("code", "")))
    if text := result.get("text"):
        told = f"{told}: {voice.quoted(text)}"
    multiple = result.get("donate_to")
    if multiple is None:
        return told
    return voice.text(
        "%(told)s, by topping the sum up to a multiple of %(amount)s",
        told=told,
        amount=voice.money(multiple),
    )
