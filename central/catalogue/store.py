"""Keep products and tell the shops."""

from __future__ import annotations

import msgspec
from psycopg.types.json import Jsonb

from central.database.pool import Connection, rows_of, run_many
from central.feed import store as feed
from shared.sqlfile import load_queries
from shared.wire.feed import ProductEntry, Topic

_QUERIES = load_queries("central.catalogue")


async def put_products(connection: Connection, products: list[ProductEntry]) -> None:
    """Store products and announce them to every shop."""
    await run_many(
        connection,
        _QUERIES["put"],
        [
            msgspec.structs.asdict(product)
            | {"attributes": Jsonb(product.attributes), "flags": Jsonb(product.flags)}
            for product in products
        ],
    )
    await feed.put(
        connection, feed.EVERY_STORE, Topic.PRODUCT, {product.sku: product for product in products}
    )


async def names_of(connection: Connection, skus: list[str]) -> dict[str, str]:
    """Names by SKU, of those that are known."""
    rows = await rows_of(connection, _QUERIES["names"], {"skus": skus})
    return {row["sku"]: row["name"] for row in rows}
