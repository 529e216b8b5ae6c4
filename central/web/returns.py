"""What came back in all shops, and what did not fit about it."""

from __future__ import annotations

from typing import Any

from central.database.pool import Connection, rows_of
from shared.sqlfile import load_queries
from shared.words import INCIDENTS

_QUERIES = load_queries("central.web", "returns.sql")


async def returns_page(
    connection: Connection, *, incidents: bool, page: int, size: int
) -> list[dict[str, Any]]:
    """A page of returns, newest first, with one more than ``size`` where there is a next page.

    ``incidents``: only those about which something did not fit. Pages count from 1.
    """
    parameters = {"incidents": incidents, "limit": size + 1, "offset": (page - 1) * size}
    rows = await rows_of(connection, _QUERIES["returns"], parameters)
    uids = [row["record_uid"] for row in rows]
    told: dict[bytes, list[dict[str, str]]] = {}
    for one in await rows_of(connection, _QUERIES["incidents"], {"uids": uids}):
        title = INCIDENTS.get(one["code"]) or one["code"]
        told.setdefault(bytes(one["record_uid"]), []).append(
            {"title": title, "detail": one["detail"]}
        )
    return [row | {"incidents": told.get(bytes(row["record_uid"]), [])} for row in rows]
