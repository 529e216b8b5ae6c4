"""How an edge becomes known to central, and what it says of itself at each contact."""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from shared.wire.stream import Lane

ENROL_SIGNATURE_KIND: Final = "enrol"
"""The device key signs the token's UTF-8 bytes as this kind."""


class EdgeKind(enum.StrEnum):
    """A hub serves a store; a till serves one register. The same program."""

    HUB = "hub"
    TILL = "till"


class EnrolRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/enrol (JSON). ``signature`` proves possession of the device key."""

    token: str
    kind: EdgeKind
    device_public_key: bytes
    signature: bytes
    agent_version: str


class LaneStart(msgspec.Struct, frozen=True, kw_only=True):
    """The epoch central issued for a lane and the nonce its chain starts from."""

    lane: Lane
    epoch: int
    nonce: bytes


class TrustedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that may sign bundles."""

    key_id: str
    public_key: bytes


class EnrolReply(msgspec.Struct, frozen=True, kw_only=True):
    """Who the edge is, its credential (a bearer secret), its streams, the trusted keys.

    ``file_key``: for whom files carried by hand are closed (``shared.sync_file``).
    """

    edge_id: int
    store_id: str
    credential: str
    lanes: list[LaneStart]
    trusted_keys: list[TrustedKey]
    server_time_ms: int
    file_key: bytes = b""


class LaneHead(msgspec.Struct, frozen=True, kw_only=True):
    """How far a stream has come, on the side that speaks."""

    lane: Lane
    epoch: int
    seq: int
    hash: bytes


class ComponentReport(msgspec.Struct, frozen=True, kw_only=True):
    """``shared.status.Status`` as it crosses the wire."""

    component: str
    health: str
    message: str = ""


class HelloOrder(enum.StrEnum):
    """What central asks of an edge at hello. All that is not CONTINUE stops spending on leases."""

    CONTINUE = "continue"
    """All is well: send from central's heads on."""
    RECOVER = "recover"
    """These streams cannot go on as they are. With ``starts``: begin them (the epoch they name),
    hold every lease of an older epoch for dead, and send what central lacks of the older epochs as
    adopted. Without: stop spending and say hello again with ``recovering``, a ``recovery_id``, the
    witness and a proof at each of central's heads."""
    REENROL = "reenrol"
    """Another copy of this edge has the streams. Enrol with a new token as a new edge, then send
    every record as adopted from this one; nothing is thrown away."""
    WIPE = "wipe"
    """Revoked: forget keys, customers and leases; keep the records."""


class HelloRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/hello (JSON), at connect and then regularly.

    ``epoch``: of this edge's streams, all lanes alike; 0 from agents of the first release, whose
    heads alone tell it. ``recovering``: the database is not what the witness says it should be, or
    central ordered ``recover``. ``recovery_id``: 16 random bytes, made and kept when recovery
    began, the same at every hello of it: a lost reply with ``starts`` is repeated to nobody else.
    ``witness``: the heads that the second medium remembers. ``proofs``: for each lane, this edge's
    own hash at the number where central said it stands (the last reply or acknowledgement).
    """

    agent_version: str
    started_at_ms: int
    now_ms: int
    heads: list[LaneHead]
    queue_depth: int
    oldest_queued_at_ms: int | None
    bundle_version: int | None
    bundle_error: str | None
    feed_cursor: str
    components: list[ComponentReport]
    epoch: int = 0
    recovering: bool = False
    recovery_id: bytes = b""
    witness: list[LaneHead] = []
    proofs: list[LaneHead] = []


class HelloReply(msgspec.Struct, frozen=True, kw_only=True):
    """Central's side of the same: its heads, in the newest epoch, say from where to resend.

    ``starts``: a new epoch for every lane, only with order ``recover``. ``detail``: why, for the
    operator. ``frame_layout``: the newest layout of frames (``shared.frames``) that central
    reads; the first release told none and read the first. ``file_key``: for whom files carried by
    hand are closed (``shared.sync_file``).
    """

    heads: list[LaneHead]
    server_time_ms: int
    hello_interval_s: int
    order: HelloOrder = HelloOrder.CONTINUE
    starts: list[LaneStart] = []
    detail: str = ""
    frame_layout: int = 1
    file_key: bytes = b""
