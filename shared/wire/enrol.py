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
    """Who the edge is, its credential (a bearer secret), its streams, the trusted keys."""

    edge_id: int
    store_id: str
    credential: str
    lanes: list[LaneStart]
    trusted_keys: list[TrustedKey]
    server_time_ms: int


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


class HelloRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/hello (JSON), at connect and then regularly."""

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


class HelloReply(msgspec.Struct, frozen=True, kw_only=True):
    """Central's side of the same: its heads say from where to resend."""

    heads: list[LaneHead]
    server_time_ms: int
    hello_interval_s: int
