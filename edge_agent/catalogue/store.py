"""Store, products and coupons in SQLite; keys and entries are those of ``shared.wire.feed``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import apsw
import msgspec

from edge_agent.database.showing import tables_suffice
from shared.sqlfile import load_queries
from shared.wire.feed import CouponEntry, ProductEntry, StoreEntry, Topic

_QUERIES: Final = load_queries("edge_agent.catalogue")
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_STORE: Final = msgspec.msgpack.Decoder(StoreEntry)
_PRODUCT: Final = msgspec.msgpack.Decoder(ProductEntry)
_COUPON: Final = msgspec.msgpack.Decoder(CouponEntry)


def put_entries(
    connection: apsw.Connection, topic: Topic, rows: Sequence[tuple[str, bytes]]
) -> None:
    """Keep many entries of one topic (store, product, coupon) as the bytes they came in, by key."""
    connection.executemany(_QUERIES[f"put_{topic.value}"], rows)


def forget_entries(connection: apsw.Connection, topic: Topic, keys: Iterable[str]) -> None:
    """Keep nothing of many keys of one topic."""
    connection.executemany(_QUERIES[f"forget_{topic.value}"], [(key,) for key in keys])


def entries_of(connection: apsw.Connection, topic: Topic, keys: Iterable[str]) -> dict[str, bytes]:
    """The bytes kept of these keys of one topic."""
    names = {"keys": _texts(list(keys))}
    rows: list[Any] = connection.execute(_QUERIES[f"{topic.value}_entries"], names).fetchall()
    return dict(rows)


def put_store(connection: apsw.Connection, entry: StoreEntry) -> None:
    """Keep what central says of a store."""
    _put(connection, "put_store", entry.store_id, entry)


def forget_store(connection: apsw.Connection, store_id: str) -> None:
    """Keep nothing of a store."""
    connection.execute(_QUERIES["forget_store"], {"key": store_id})


def store_of(connection: apsw.Connection, store_id: str) -> StoreEntry | None:
    """The store of this id; None before central told of it."""
    found = connection.execute(_QUERIES["store"], {"key": store_id}).get
    return _STORE.decode(found) if isinstance(found, bytes) else None


def put_product(connection: apsw.Connection, entry: ProductEntry) -> None:
    """Keep a product."""
    _put(connection, "put_product", entry.sku, entry)


def forget_product(connection: apsw.Connection, sku: str) -> None:
    """Keep nothing of a product."""
    connection.execute(_QUERIES["forget_product"], {"key": sku})


def products_of(connection: apsw.Connection, skus: Iterable[str]) -> dict[str, ProductEntry]:
    """The known ones of these products, by SKU."""
    entries = [_PRODUCT.decode(blob) for blob in _blobs(connection, "products", skus)]
    return {entry.sku: entry for entry in entries}


def put_coupon(connection: apsw.Connection, entry: CouponEntry) -> None:
    """Keep a coupon code; codes are upper case."""
    _put(connection, "put_coupon", entry.code, entry)


def forget_coupon(connection: apsw.Connection, code: str) -> None:
    """Keep nothing of a code."""
    connection.execute(_QUERIES["forget_coupon"], {"key": code})


def coupons_of(connection: apsw.Connection, codes: Iterable[str]) -> dict[str, CouponEntry]:
    """The known ones of these codes, in whatever case they are asked for; by upper-case code."""
    upper = (code.upper() for code in codes)
    entries = [_COUPON.decode(blob) for blob in _blobs(connection, "coupons", upper)]
    return {entry.code: entry for entry in entries}


def _put(connection: apsw.Connection, query: str, key: str, entry: msgspec.Struct) -> None:
    connection.execute(_QUERIES[query], {"key": key, "entry": _ENCODE(entry)})


def _blobs(connection: apsw.Connection, query: str, keys: Iterable[str]) -> list[bytes]:
    wanted = sorted(set(keys))
    if not wanted:
        return []
    if tables_suffice(connection):
        query += "_settled"
    rows: list[Any] = connection.execute(_QUERIES[query], {"keys": _texts(wanted)}).fetchall()
    return [blob for (blob,) in rows]


def _texts(keys: list[str]) -> str:
    return msgspec.json.encode(keys).decode()
