"""Apply a page of central's feed: all of it and its cursor, or nothing. Run as one writer job.

A key's version never goes back, and a deleted key keeps its version: a page seen again, or an old
one that comes late, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import apsw
import msgspec

from edge_agent.catalogue import store as catalogue
from edge_agent.loyalty import store as loyalty
from shared.errors import TrustError
from shared.sqlfile import load_queries
from shared.wire.feed import (
    BalanceEntry,
    BundleEntry,
    CouponEntry,
    CustomerEntry,
    FeedChange,
    FeedPage,
    LeaseEntry,
    Operation,
    ProductEntry,
    StoreEntry,
    Topic,
)

_QUERIES: Final = load_queries("edge_agent.uplink")
_BUNDLE: Final = msgspec.msgpack.Decoder(BundleEntry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What a page came to: changes applied and passed over, and whether another bundle is wanted.

    ``unknown`` changes are of topics that a newer central knows.
    """

    applied: int
    stale: int
    unknown: int
    bundle_wanted: bool


def feed_cursor(connection: apsw.Connection) -> str:
    """The cursor after the last page applied; empty before the first."""
    found = connection.execute(_QUERIES["cursor"]).get
    return found if isinstance(found, str) else ""


def wanted_bundle(connection: apsw.Connection) -> BundleEntry | None:
    """The bundle that central wants in force here; None when it named none."""
    found = connection.execute(_QUERIES["wanted_bundle"]).get
    return _BUNDLE.decode(found) if isinstance(found, bytes) else None


def apply_page(connection: apsw.Connection, page: FeedPage) -> Applied:
    """Apply every change of the page and keep its cursor.

    Raises:
        TrustError: ``bad_feed_change``: a payload is not what its topic says, or names another
            key; nothing of the page may be kept.
    """
    applied = stale = unknown = 0
    bundle_wanted = False
    for change in page.changes:
        handler = _TOPICS.get(change.topic)
        if handler is None:
            unknown += 1
        elif not _claim(connection, change):
            stale += 1
        else:
            applied += 1
            bundle_wanted = bundle_wanted or change.topic == Topic.BUNDLE
            if change.operation is Operation.DELETE:
                handler.forget(connection, change.key)
            else:
                handler.put(connection, change, _entry_of(change, handler))
    connection.execute(_QUERIES["put_cursor"], {"cursor": page.cursor})
    return Applied(applied=applied, stale=stale, unknown=unknown, bundle_wanted=bundle_wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Handler:
    decoder: msgspec.msgpack.Decoder[Any]
    key_of: Callable[[Any], str] | None
    put: Callable[[apsw.Connection, FeedChange, Any], None]
    forget: Callable[[apsw.Connection, str], None]


def _claim(connection: apsw.Connection, change: FeedChange) -> bool:
    parameters = {"topic": change.topic, "key": change.key, "version": change.version}
    return connection.execute(_QUERIES["claim_version"], parameters).get is not None


def _entry_of(change: FeedChange, handler: _Handler) -> Any:
    try:
        entry = handler.decoder.decode(change.payload)
    except msgspec.DecodeError as error:
        raise _bad(change, "its payload cannot be read") from error
    if handler.key_of is not None and handler.key_of(entry) != change.key:
        raise _bad(change, "its payload names another key")
    return entry


def _bad(change: FeedChange, reason: str) -> TrustError:
    return TrustError(
        f"feed change {change.version} of topic {change.topic}: {reason}",
        code="bad_feed_change",
        hint="The page was not applied; update this agent, or look at central's log.",
    )


def _put_wanted_bundle(connection: apsw.Connection, change: FeedChange, entry: BundleEntry) -> None:
    connection.execute(
        _QUERIES["put_wanted_bundle"],
        {"key": change.key, "entry": msgspec.msgpack.encode(entry)},
    )


def _forget_wanted_bundle(connection: apsw.Connection, key: str) -> None:
    connection.execute(_QUERIES["forget_wanted_bundle"], {"key": key})


def _forget_balance(connection: apsw.Connection, key: str) -> None:
    # An account's name has no slash; a customer id may.
    customer_id, _, account = key.rpartition("/")
    loyalty.forget_balance(connection, customer_id, account)


_TOPICS: Final[dict[str, _Handler]] = {
    Topic.STORE: _Handler(
        decoder=msgspec.msgpack.Decoder(StoreEntry),
        key_of=lambda entry: str(entry.store_id),
        put=lambda connection, _, entry: catalogue.put_store(connection, entry),
        forget=catalogue.forget_store,
    ),
    Topic.BUNDLE: _Handler(
        decoder=_BUNDLE,
        key_of=None,
        put=_put_wanted_bundle,
        forget=_forget_wanted_bundle,
    ),
    Topic.PRODUCT: _Handler(
        decoder=msgspec.msgpack.Decoder(ProductEntry),
        key_of=lambda entry: str(entry.sku),
        put=lambda connection, _, entry: catalogue.put_product(connection, entry),
        forget=catalogue.forget_product,
    ),
    Topic.COUPON: _Handler(
        decoder=msgspec.msgpack.Decoder(CouponEntry),
        key_of=lambda entry: str(entry.code),
        put=lambda connection, _, entry: catalogue.put_coupon(connection, entry),
        forget=catalogue.forget_coupon,
    ),
    Topic.CUSTOMER: _Handler(
        decoder=msgspec.msgpack.Decoder(CustomerEntry),
        key_of=lambda entry: str(entry.customer_id),
        put=lambda connection, _, entry: loyalty.put_customer(connection, entry),
        forget=loyalty.forget_customer,
    ),
    Topic.BALANCE: _Handler(
        decoder=msgspec.msgpack.Decoder(BalanceEntry),
        key_of=lambda entry: f"{entry.customer_id}/{entry.account}",
        put=lambda connection, _, entry: loyalty.put_balance(connection, entry),
        forget=_forget_balance,
    ),
    Topic.LEASE: _Handler(
        decoder=msgspec.msgpack.Decoder(LeaseEntry),
        key_of=lambda entry: str(entry.lease_id),
        put=lambda connection, change, entry: loyalty.put_lease(connection, entry, change.version),
        forget=loyalty.forget_lease,
    ),
}
