"""The change feed from central to an edge: last state per key, ordered, resumable.

A *checkpoint* is a state of central's between two of its transactions. Pages lead from one to the
next; the receiver shows a checkpoint whole or not at all.
"""

from __future__ import annotations

import enum

import msgspec


class Topic(enum.StrEnum):
    """What a change is about; the payload structure stands behind each."""

    STORE = "store"
    """key: store id; StoreEntry"""
    BUNDLE = "bundle"
    """key: ``rules``; BundleEntry"""
    PRODUCT = "product"
    """key: SKU; ProductEntry"""
    COUPON = "coupon"
    """key: code, upper case; CouponEntry"""
    CUSTOMER = "customer"
    """key: customer id; CustomerEntry"""
    BALANCE = "balance"
    """key: customer id + ``/`` + account; BalanceEntry"""
    LEASE = "lease"
    """key: lease id; LeaseEntry"""
    PEER = "peer"
    """key: edge id; ``shared.wire.lan.PeerEntry``"""
    USE = "use"
    """key: ``key_of_use``; UseEntry"""


class Operation(enum.StrEnum):
    """Put the payload, or forget the key."""

    PUT = "put"
    DELETE = "delete"
    ERASE = "erase"
    """Forget the key and leave no trace of it in files: it is about a person who left."""


class FeedChange(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The state of one key; ``version`` grows per key, and a passed version is ignored."""

    topic: str
    key: str
    operation: Operation
    version: int
    payload: bytes


class TopicSum(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a topic must add up to at a checkpoint: ``shared.crypto.set_hash`` over its entries.

    ``total``: 16 bytes. A topic without entries is not named.
    """

    topic: str
    total: bytes
    count: int


class FeedPage(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A run of changes, after which the receiver asks with ``cursor``.

    ``complete``: this page ends a checkpoint, which the receiver now applies together with all
    pages since the last one, and ``sums`` are those of the state it then has.
    """

    cursor: str
    changes: list[FeedChange]
    complete: bool
    sums: list[TopicSum] = []


class FeedReset(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """HTTP 410: what follows the cursor is no longer known. Begin again from a snapshot.

    ``reason`` is for people: ``other_generation``, ``too_old``, ``first_load``.
    """

    reason: str


class ChunkRef(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One piece of a snapshot, named by the SHA-256 of its bytes.

    The bytes are zstd over a msgpack list of ``FeedChange``, ``raw_bytes`` long before compression.
    """

    sha256: bytes
    size_bytes: int
    raw_bytes: int


class SnapshotManifest(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """All that a store has to know, in pieces; ``cursor`` is where the feed goes on after it.

    The pieces together are no checkpoint yet: the pages after ``cursor`` make one of them.
    """

    cursor: str
    chunks: list[ChunkRef]


class FeedBuckets(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A topic's sums by bucket of the key, and the page that leads to the state they are of.

    ``totals``: 256 times 16 bytes, or nothing when ``page`` does not end a checkpoint.
    """

    page: FeedPage
    topic: str
    totals: list[bytes]


class FeedRepair(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """All entries of some buckets of a topic, and the page that leads to the state they are of.

    ``buckets``: those told in full here, of the ones asked for; a key in them that is not in
    ``changes`` does not exist. Empty when ``page`` does not end a checkpoint.
    """

    page: FeedPage
    topic: str
    buckets: list[int]
    changes: list[FeedChange]


class StoreEntry(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A store as its agents need to know it. ``timezone``: IANA name; ``currency``: ISO 4217.

    ``strict_limits``: a customer's limit of a promotion holds whatever line is cut: without a right
    to it that is here, it is not given. Otherwise it is counted, and given where nobody is heard.
    ``unproven_points_max_centi``: the most points of an account that a receipt may take whose
    customer showed no code of the app; None: no bound.
    """

    store_id: str
    name: str
    timezone: str
    currency: str
    strict_limits: bool = False
    unproven_points_max_centi: int | None = None


class BundleEntry(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The bundle that should be active: fetch GET /v1/bundles/{version}, check, activate."""

    version: int
    sha256: bytes
    size_bytes: int
    published_at_ms: int


class ProductEntry(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the product reference knows of one SKU; the till's own values win."""

    sku: str
    name: str
    category: str | None = None
    brand: str | None = None
    attributes: dict[str, str] = {}
    flags: list[str] = []
    weighed: bool = False
    min_price_minor: int | None = None
    max_discount_ppm: int | None = None


class CouponEntry(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A coupon code. Dates are shop days (ISO), both inclusive; None is open.

    ``customer_id``: the code is this customer's own and works once; None: it is public.
    """

    code: str
    series: str
    valid_from_date: str | None = None
    valid_to_date: str | None = None
    customer_id: str | None = None


class CustomerEntry(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A member as a store may know them: no name, no phone, no birthday.

    ``card_tags``: ``shared.crypto.tags.card_tag`` of each card, and ``shared.crypto.phones``'
    ``phone_tag`` of the phone where no other member has it. ``merged_into``: this name is only an
    alias of that member's.
    """

    customer_id: str
    card_tags: list[bytes]
    segments: list[str] = []
    level: str | None = None
    card_category: str | None = None
    blocked: bool = False
    merged_into: str | None = None


class BalanceEntry(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Points for display and printing only, in hundredths; spending needs a lease."""

    customer_id: str
    account: str
    available_centi: int
    as_of_ms: int


class LeaseState(enum.StrEnum):
    """Only an open lease may be spent."""

    OPEN = "open"
    RECALLED = "recalled"
    """Central wants it back: the holder closes it as soon as nothing of it is held."""
    FROZEN = "frozen"
    """Its holder was restored, cloned or lost: nothing moves until that is cleared up."""
    CLOSED = "closed"
    WRITTEN_OFF = "written_off"
    """The owner was given the rest without the holder's word; later spends are the store's."""


class LeaseEntry(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The right to spend an owner's asset at one edge without asking.

    ``granted`` is the sum of all grants ever made on this lease (it only grows), in the asset's
    unit; what may still be spent is that less all spends recorded on the lease. ``epoch`` is that
    of the holder's streams: a lease of an older epoch is dead. Only the edge ``edge_id`` spends it.
    """

    lease_id: str
    owner: str
    asset: str
    granted: int
    spend_until_ms: int
    state: LeaseState
    edge_id: int = 0
    epoch: int = 1


class UseEntry(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What one customer used of a promotion in a period at one edge, by that edge's receipts.

    ``measure`` and ``period``: as ``shared.uses`` names them. The count only grows, so that counts
    of several edges add up whatever order they are told in.
    """

    customer_id: str
    promotion: str
    measure: str
    period: str
    edge_id: int
    amount: int


def key_of_use(entry: UseEntry) -> str:
    """The key of a use; no two uses share one, whatever stands in their names."""
    return (
        f"{entry.edge_id}/{entry.measure}/{entry.period}/"
        f"{len(entry.promotion)}:{entry.promotion}/{entry.customer_id}"
    )
