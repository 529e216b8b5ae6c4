"""Where each topic of the feed has its place in the shop's database, many entries at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw
import msgspec

from edge_agent.catalogue import store as catalogue
from edge_agent.lan.peers import forget_peers, peer_entries, put_peers
from edge_agent.limits import store as limits
from edge_agent.loyalty import store as loyalty
from shared.errors import TrustError
from shared.sqlfile import load_queries
from shared.unreadable import UNREADABLE
from shared.wire.feed import (
    BalanceEntry,
    BundleEntry,
    CouponEntry,
    CustomerEntry,
    FeedChange,
    LeaseEntry,
    ProductEntry,
    StoreEntry,
    Topic,
    UseEntry,
    key_of_use,
)
from shared.wire.lan import PeerEntry

_QUERIES: Final = load_queries("edge_agent.uplink")
_BUNDLE: Final = msgspec.msgpack.Decoder(BundleEntry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Puts:
    """Entries of one topic to be kept, each of another key, beside the changes they came in."""

    changes: Sequence[FeedChange]
    entries: Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How a topic is read, kept and forgotten.

    ``stored``: the payload that a key's rows would have come in, None when there are none; it is
    what the rows are checked by. Topics that live on after they came are not checked.
    """

    decoder: msgspec.msgpack.Decoder[Any]
    key_of: Callable[[Any], str] | None
    put: Callable[[apsw.Connection, Puts], None]
    forget: Callable[[apsw.Connection, Sequence[str]], None]
    stored: Callable[[apsw.Connection, Sequence[str]], dict[str, bytes]] | None


def entry_of(change: FeedChange, place: Place) -> Any:
    """The entry of a change.

    Raises:
        TrustError: ``bad_feed_change``: the payload is not what its topic says, or names another
            key.
    """
    try:
        entry = place.decoder.decode(change.payload)
    except UNREADABLE as error:
        raise _bad(change, "its payload cannot be read") from error
    if place.key_of is not None and place.key_of(entry) != change.key:
        raise _bad(change, "its payload names another key")
    return entry


def wanted_bundle(connection: apsw.Connection) -> BundleEntry | None:
    """The bundle that central wants in force here; None when it named none."""
    found = connection.execute(_QUERIES["wanted_bundle"]).get
    return _BUNDLE.decode(found) if isinstance(found, bytes) else None


def _bad(change: FeedChange, reason: str) -> TrustError:
    return TrustError(
        f"feed change {change.version} of topic {change.topic}: {reason}",
        code="bad_feed_change",
        hint="The page was not applied; update this agent, or look at central's log.",
    )


def _put_wanted_bundle(connection: apsw.Connection, puts: Puts) -> None:
    rows = [(change.key, change.payload) for change in puts.changes]
    connection.executemany(_QUERIES["put_wanted_bundle"], rows)


def _forget_wanted_bundle(connection: apsw.Connection, keys: Sequence[str]) -> None:
    connection.executemany(_QUERIES["forget_wanted_bundle"], [(key,) for key in keys])


def _wanted_bundle_entries(connection: apsw.Connection, keys: Sequence[str]) -> dict[str, bytes]:
    rows: list[Any] = connection.execute(_QUERIES["wanted_bundles"]).fetchall()
    return {key: entry for key, entry in rows if key in keys}


def _put_leases(connection: apsw.Connection, puts: Puts) -> None:
    for change, entry in zip(puts.changes, puts.entries, strict=True):
        loyalty.put_lease(connection, entry, change.version)


def _forget_leases(connection: apsw.Connection, keys: Sequence[str]) -> None:
    for key in keys:
        loyalty.forget_lease(connection, key)


def _catalogue_place(topic: Topic, kind: type[Any], key_of: Callable[[Any], str]) -> Place:
    return Place(
        decoder=msgspec.msgpack.Decoder(kind),
        key_of=key_of,
        put=lambda connection, puts: catalogue.put_entries(
            connection, topic, [(change.key, change.payload) for change in puts.changes]
        ),
        forget=lambda connection, keys: catalogue.forget_entries(connection, topic, keys),
        stored=lambda connection, keys: catalogue.entries_of(connection, topic, keys),
    )


PLACES: Final[dict[str, Place]] = {
    Topic.STORE: _catalogue_place(Topic.STORE, StoreEntry, lambda entry: str(entry.store_id)),
    Topic.PRODUCT: _catalogue_place(Topic.PRODUCT, ProductEntry, lambda entry: str(entry.sku)),
    Topic.COUPON: _catalogue_place(Topic.COUPON, CouponEntry, lambda entry: str(entry.code)),
    Topic.BUNDLE: Place(
        decoder=_BUNDLE,
        key_of=None,
        put=_put_wanted_bundle,
        forget=_forget_wanted_bundle,
        stored=_wanted_bundle_entries,
    ),
    Topic.CUSTOMER: Place(
        decoder=msgspec.msgpack.Decoder(CustomerEntry),
        key_of=lambda entry: str(entry.customer_id),
        put=lambda connection, puts: loyalty.put_customers(
            connection,
            list(zip(puts.entries, (change.payload for change in puts.changes), strict=True)),
        ),
        forget=loyalty.forget_customers,
        stored=loyalty.customer_entries,
    ),
    Topic.BALANCE: Place(
        decoder=msgspec.msgpack.Decoder(BalanceEntry),
        key_of=lambda entry: f"{entry.customer_id}/{entry.account}",
        put=lambda connection, puts: loyalty.put_balances(connection, puts.entries),
        forget=loyalty.forget_balances,
        stored=loyalty.balance_entries,
    ),
    Topic.LEASE: Place(
        decoder=msgspec.msgpack.Decoder(LeaseEntry),
        key_of=lambda entry: str(entry.lease_id),
        put=_put_leases,
        forget=_forget_leases,
        # A lease grows and ends here: its row is no copy of what came.
        stored=None,
    ),
    Topic.PEER: Place(
        decoder=msgspec.msgpack.Decoder(PeerEntry),
        key_of=lambda entry: str(entry.edge_id),
        put=lambda connection, puts: put_peers(
            connection, [(change.key, change.payload) for change in puts.changes]
        ),
        forget=forget_peers,
        stored=peer_entries,
    ),
    Topic.USE: Place(
        decoder=msgspec.msgpack.Decoder(UseEntry),
        key_of=key_of_use,
        put=lambda connection, puts: limits.put_told(connection, puts.entries),
        forget=limits.forget_told,
        stored=limits.told_entries,
    ),
}
