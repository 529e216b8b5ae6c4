"""What the till API is asked and answers about customers, as structures."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from edge_agent.http.answers import Member
from edge_agent.http.models import Date, Identifier, In, Points

PhoneIn = Annotated[str, Meta(min_length=1, max_length=40, examples=["+7 916 123-45-67"])]


class CustomerShown(In):
    """What a customer shows: one of card, phone and code. A scanner's code may come as a card."""

    card: Identifier | None = None
    phone: PhoneIn | None = None
    code: Identifier | None = None
    register: Identifier | None = None
    cashier: Identifier | None = None


class ConsentsGiven(In):
    """What a customer agreed to; without ``rules`` there is no member."""

    rules: bool
    sms: bool | None = None
    email: bool | None = None
    push: bool | None = None
    calls: bool | None = None
    profiling: bool | None = None


class NewMember(In):
    """Somebody wants to be a member; the operation may be repeated freely."""

    operation_id: Identifier
    phone: PhoneIn
    consents: ConsentsGiven
    card: Identifier | None = None
    register: Identifier | None = None
    cashier: Identifier | None = None


class MemberHit(Struct, kw_only=True):
    """A member as a cashier may see one: no name; of the phone the last two digits."""

    id: str
    level: str | None
    card_category: str | None
    blocked: bool
    phone_end: str | None
    registered_on: Date | None


class Identified(Struct, kw_only=True):
    """Who it is. Of several one is chosen, and sent as the receipt's ``customer.id``.

    ``proof``: after a code of the app, to be sent as ``customer.proof`` of the receipt. Without it
    a receipt takes no more points of an account than ``points_max``; null: no bound.
    ``by``: who knew it. ``asked_all`` False: head office did not answer, so an unknown card may be
    a member's all the same. ``may_register``: nobody has it, so a member can be made.
    """

    outcome: Literal["found", "choose", "unknown"]
    by: Literal["here", "hub", "central"]
    asked_all: bool
    may_register: bool
    members: list[MemberHit]
    member: Member | None
    proof: str | None
    points_max: Points | None


class MemberMade(Struct, kw_only=True):
    """Who became a member: ``provisional`` ones are confirmed by head office later.

    ``card_taken``: the card is the member's now. It never is a ``known`` one's.
    """

    outcome: Literal["new", "known", "provisional"]
    member: MemberHit
    card_taken: bool
