"""What a till and its hub say to each other on the shop's own network.

Every call is a question of the till's; hub and till each sign what they say with their device key,
and know each other's from central's feed (``PeerEntry``). An answer names the hash of its question.
Whatever is repeated or comes late changes nothing: every question names what it is about.
Structures are arrays whose fields are only ever appended.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from shared.wire.enrol import EdgeKind
from shared.wire.feed import UseEntry

QUESTION_SIGNATURE_KIND: Final = "lan.question"
ANSWER_SIGNATURE_KIND: Final = "lan.answer"
NONCE_BYTES: Final = 16
OK: Final = "ok"
"""The code of an answer that has a body; any other is a refusal."""


class PeerEntry(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Topic ``peer``, key: edge id. An agent of this store; only an ``active`` one is believed."""

    edge_id: int
    kind: EdgeKind
    device_public_key: bytes
    state: str


class LanCall(enum.StrEnum):
    """What a till may ask; the structures of question and answer stand behind each."""

    RIGHTS = "rights"
    """RightsAsk, RightsAnswer"""
    MORE = "more"
    """MoreAsk, MoreAnswer"""
    USES = "uses"
    """UsesAsk, UsesAnswer"""
    HOLD = "hold"
    """HoldAsk, SpendAnswer"""
    CAPTURE = "capture"
    """SpendAsk, SpendAnswer"""
    VOID = "void"
    """SpendAsk, SpendAnswer"""
    SUB_LEASE = "sub_lease"
    """SubLeaseAsk, SubLeaseAnswer"""
    SUB_RETURN = "sub_return"
    """SubReturnAsk, SubReturnAnswer"""
    SALE = "sale"
    """shared.wire.sales: SaleAsk, SaleReply"""
    FIND = "find"
    """shared.wire.members: FindRequest, FindReply"""
    RELAY = "relay"
    """RelayAsk, RelayAnswer"""
    BEAT = "beat"
    """BeatAsk, BeatAnswer"""


class Sealed(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What crosses the network: ``data`` is an encoded Question or Answer, signed by ``sender``."""

    sender: int
    data: bytes
    signature: bytes


class Question(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """``body`` is the call's structure; ``nonce`` makes every question one of its own."""

    recipient: int
    call: str
    nonce: bytes
    body: bytes


class Answer(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """``question_sha256`` is over the Question's exact bytes; ``detail`` is for people."""

    recipient: int
    question_sha256: bytes
    code: str
    detail: str
    body: bytes


class RightsAsk(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What could be set aside of this owner's assets (empty: nobody's), and of budgets.

    ``promotions``: of whose budgets. ``coupons``: assets of the owner's coupons that are wanted.
    """

    owner: str
    promotions: list[str] = []
    coupons: list[str] = []


class RightsAnswer(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Amounts by asset; a promise is only a hold. ``budgets``: likewise by promotion."""

    spendable: dict[str, int]
    budgets: dict[str, dict[str, int]] = {}


class UsesAsk(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the shop's edges have counted of a customer's use of promotions.

    ``entries``: what the till itself has, for the hub and the other tills to know.
    """

    customer_id: str
    entries: list[UseEntry]


class UsesAnswer(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Counts of the hub and of all its tills; each only grows."""

    entries: list[UseEntry]


class MoreAsk(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A receipt at the till wanted so much of a budget, and little or nothing is left."""

    promotion: str
    asset: str
    amount: int


class MoreAnswer(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Heard: the hub asks central in a moment."""


class HoldAsk(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Set all of ``amount`` aside for a receipt, or refuse. ``uid``: 16 random bytes."""

    uid: bytes
    receipt_id: str
    owner: str
    asset: str
    amount: int


class SpendAsk(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The hold ``uid`` became a sale (capture), or will not (void)."""

    uid: bytes
    receipt_id: str


class SpendPart(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One lease's share; ``spend_uid`` names the spend that it becomes."""

    lease_id: str | None
    amount: int
    spend_uid: bytes


class SpendAnswer(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """How it stands: ``held``, ``captured``, ``voided`` or ``refused``, and why not as asked."""

    state: str
    reason: str
    parts: list[SpendPart]


class SubLeaseAsk(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A part of a lease for the time when the hub is dead. The id is the till's, 32 hex digits."""

    sub_lease_id: str
    owner: str
    asset: str
    amount: int


class SubLeaseAnswer(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """``amount`` 0: none, for ``reason``."""

    lease_id: str
    amount: int
    spend_until_ms: int
    reason: str


class SubReturnAsk(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The till will never spend on its part again; this is all that was spent on it."""

    sub_lease_id: str
    spend_count: int
    spent_amount: int
    is_certain: bool = True
    """False: this till was put back since it got the part, and may have forgotten spends on it."""


class SubReturnAnswer(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """``known`` False: this hub has lent no such part."""

    known: bool


class RelayAsk(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Carry a batch of the till's own stream to central; ``batch``: the body of the PUT, verbatim.

    Empty ``batch``: only tell what central has said of the stream.
    """

    lane: int
    epoch: int
    batch: bytes


class RelayAnswer(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Whether the hub keeps the batch until central has it, and what central said last.

    ``answer``: the exact bytes of central's Ack or Refusal, as ``kind`` says; empty when there is
    none yet. ``online``: whether the hub reached central at its last try.
    """

    stored: bool
    reason: str
    kind: str
    answer: bytes
    online: bool


class BeatAsk(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The till lives. ``now_ms``: its trusted clock."""

    now_ms: int


class BeatAnswer(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Parts of leases that the hub wants back, and its trusted clock."""

    wanted_back: list[str]
    now_ms: int
    online: bool
