"""Who a customer is, asked of central or the hub, and new members told to central.

A phone never crosses a wire in clear: whoever asks sends its slow hash
(``shared.crypto.phones``), and a new member's phone is sealed to central.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from shared.wire.feed import CustomerEntry

MEMBERS_PATH: Final = "/v1/members"
_NEWCOMER: Final = re.compile(r"new-([0-9]{1,18})-[0-9a-f]{20}")
_NAME_BYTES: Final = 10
HITS_MAX: Final = 10
"""Members of one phone that are told; a family has a few."""
CONSENTS: Final = ("rules", "sms", "email", "push", "calls", "profiling")
"""What a customer may agree to; ``rules``, those of the programme, is never left out."""


class CodeKey(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A period's key of ``shared.crypto.member_codes``."""

    period: int
    key: bytes


class MemberKeys(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What an agent needs to know members by more than their cards.

    ``phone_key`` stays in the agent's memory; everything else may lie on its disk. A till of a hub
    keeps none of it: it asks the hub.
    """

    phone_salt: bytes
    phone_key: bytes
    seal_key: bytes
    code_keys: list[CodeKey]


class FindRequest(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Who has this phone, or this card; one of the two."""

    phone_hash: bytes | None = None
    card_tag: bytes | None = None


class MemberFound(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A member with what may be shown to a cashier; ``registered_on``: ISO date."""

    entry: CustomerEntry
    phone_end: str | None = None
    registered_on: str | None = None


class FindReply(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Up to ``HITS_MAX`` members; several share a phone."""

    members: list[MemberFound]


class MemberRegistered(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A shop made a member, under a name of its own (``newcomer_id``) until central decides.

    ``sealed_phone``: ``shared.crypto.sealing`` to central's key over the phone. ``consents``: of
    ``CONSENTS``. ``cashier``: who asked for them, empty where the till does not say. As a record it
    travels on the lane of receipts, before the member's first.
    """

    customer_id: str
    store_id: str
    register: str
    registered_at_ms: int
    sealed_phone: bytes
    card_tag: bytes | None
    consents: list[str]
    cashier: str = ""


class RegisterRequest(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The same fact told at once; ``uid`` is that of the record, should it become one."""

    uid: bytes
    fact: MemberRegistered


class RegisterReply(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Who it became. ``is_new`` False: the phone is a member's who was there before.

    ``card_taken``: the card is that member's; a card is given to no member who was there before.
    """

    found: MemberFound
    is_new: bool
    card_taken: bool


def newcomer_id(edge_id: int, uid: bytes) -> str:
    """The name that an agent gives to a new member; ``uid``: of the record that tells of it."""
    return f"new-{edge_id}-{uid[:_NAME_BYTES].hex()}"


def is_newcomer(customer_id: str) -> bool:
    """Whether a shop gave this name: what it earns is kept for whoever it becomes."""
    return _NEWCOMER.fullmatch(customer_id) is not None


def newcomer_edge(customer_id: str) -> int:
    """The agent that gave this name; only for a name that ``is_newcomer``."""
    found = _NEWCOMER.fullmatch(customer_id)
    assert found is not None, "it is checked before"
    return int(found[1])
