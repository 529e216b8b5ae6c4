"""What has come back of a sale in all shops together, and what is set aside for a return.

A return is decided while its sale is locked, so that of two shops that take back the same piece at
once one gets it. A return that was made without the line is a fact all the same: what then exceeds
the sale becomes an incident of the return that came last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from central.database.arrays import as_arrays
from central.database.pool import Connection, rows_of, run
from central.receipts.copying import unpacked
from central.receipts.store import sale_of
from shared.quantity import format_quantity
from shared.sqlfile import load_queries
from shared.wire.facts import Incident, ReceiptCommitted, ReceiptReturned

CLAIM_S: Final = 24 * 3600
"""How long goods stay set aside. The return itself comes within seconds; a till that died over it,
or whose line broke that very moment, has a day."""
_QUERIES: Final = load_queries("central.receipts", "returning.sql")
_RETURN: Final = msgspec.msgpack.Decoder(ReceiptReturned)


@dataclass(slots=True, kw_only=True)
class CameBack:
    """Quantities in thousandths by line, and the records of the returns that are in them."""

    milli: dict[int, int] = field(default_factory=dict)
    counted: list[bytes] = field(default_factory=list)

    def add(self, lines: Iterable[tuple[int, int]]) -> None:
        """So much more of these lines."""
        for line, quantity_milli in lines:
            self.milli[line] = self.milli.get(line, 0) + quantity_milli


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Goods to be set aside for a return of an agent's."""

    edge_id: int
    return_id: str
    return_uid: bytes
    wanted_milli: Mapping[int, int]


async def lock_sale(connection: Connection, sale_uid: bytes) -> None:
    """Hold a sale until the end of the transaction."""
    await run(connection, _QUERIES["lock"], {"sale_uid": sale_uid})


async def find_sales(
    connection: Connection, store_id: str, receipt_id: str, register: str
) -> list[tuple[bytes, ReceiptCommitted]]:
    """Sales of a shop under this receipt id with their records' uids, two at the most."""
    rows = await rows_of(
        connection,
        _QUERIES["sales"],
        {"store_id": store_id, "receipt_id": receipt_id, "register": register},
    )
    found = []
    for row in rows:
        if row["body"] is not None:
            fact = msgspec.msgpack.decode(unpacked(row["body"]), type=ReceiptCommitted)
        else:  # a sale of the first release
            receipt, answer = sale_of(row)
            fact = ReceiptCommitted(
                receipt_id=row["receipt_id"],
                store_id=row["store_id"],
                register=row["register"],
                business_date=row["business_date"],
                committed_at_ms=row["committed_at_ms"],
                bundle_version=row["bundle_version"],
                receipt=receipt,
                answer=answer,
                lease_spends=[],
                incidents=[],
            )
        found.append((row["record_uid"], fact))
    return found


async def sold_milli(connection: Connection, sale_uids: Sequence[bytes]) -> dict[bytes, CameBack]:
    """How much was sold of each line of those of these sales that are here."""
    rows = await rows_of(connection, _QUERIES["sold"], as_arrays({"sale_uids": list(sale_uids)}))
    return {
        row["record_uid"]: CameBack(
            milli=dict(zip(row["line_numbers"], row["line_qty_milli"], strict=True))
        )
        for row in rows
    }


async def came_back(
    connection: Connection,
    sale_uid: bytes,
    receipt_id: str,
    *,
    edge_id: int = 0,
    return_id: str = "",
) -> CameBack:
    """What has come back of a sale or is set aside for others than this return. Lock it before."""
    found = CameBack()
    rows = await _rows(connection, [sale_uid], [receipt_id], edge_id=edge_id, return_id=return_id)
    for _, record_uid, lines in rows:
        found.add(lines)
        found.counted.append(record_uid)
    return found


async def set_aside(connection: Connection, sale_uid: bytes, claim: Claim) -> None:
    """Keep goods for a return, in the place of what was kept for it before."""
    lines = [(line, milli) for line, milli in claim.wanted_milli.items() if milli > 0]
    await run(
        connection,
        _QUERIES["claim"],
        {
            "edge_id": claim.edge_id,
            "return_id": claim.return_id,
            "return_uid": claim.return_uid,
            "sale_uid": sale_uid,
            "line_numbers": [line for line, _ in lines],
            "line_qty_milli": [milli for _, milli in lines],
        },
    )


async def settle(
    connection: Connection, returns: Sequence[tuple[bytes, ReceiptReturned]]
) -> dict[bytes, list[Incident]]:
    """Returns were stored just now, in this order: what of each exceeds its sale.

    What was set aside for them is theirs, and no longer set aside. A sale that is not here cannot
    be exceeded.
    """
    sale_of_return = {uid: fact.sale_uid for uid, fact in returns if fact.sale_uid is not None}
    nameless = [
        (uid, fact.sale_store_id or fact.store_id, fact.sale_receipt_id)
        for uid, fact in returns
        if fact.sale_uid is None and fact.sale_receipt_id
    ]
    if nameless:
        uids, store_ids, receipt_ids = map(list, zip(*nameless, strict=True))
        named = await rows_of(
            connection,
            _QUERIES["name_sales"],
            as_arrays({"uids": uids, "store_ids": store_ids, "receipt_ids": receipt_ids}),
        )
        sale_of_return |= {row["record_uid"]: row["sale_uid"] for row in named}
    sale_uids = sorted(set(sale_of_return.values()))
    if sale_uids:
        await run(connection, _QUERIES["lock_all"], as_arrays({"sale_uids": sale_uids}))
    await run(
        connection,
        _QUERIES["forget_claims"],
        as_arrays({"return_uids": [uid for uid, _ in returns], "claim_s": CLAIM_S}),
    )
    if not sale_uids:
        return {}
    sold = await sold_milli(connection, sale_uids)
    new = {uid for uid, _ in returns}
    receipt_ids = sorted({fact.sale_receipt_id for _, fact in returns})
    back = {sale_uid: CameBack() for sale_uid in sale_uids}
    # What is only set aside has not come back: that return may never be made.
    for sale_uid, record_uid, lines in await _rows(
        connection, sale_uids, receipt_ids, claims=False
    ):
        if record_uid not in new:
            back[sale_uid].add(lines)
    found = {}
    for uid, fact in returns:
        sale_uid = sale_of_return.get(uid, b"")
        if sale_uid in sold:
            exceeded = _exceeded(fact, back[sale_uid], sold[sale_uid])
            if exceeded:
                found[uid] = exceeded
    return found


def _exceeded(fact: ReceiptReturned, back: CameBack, sold: CameBack) -> list[Incident]:
    back.add((line.line, line.quantity_milli) for line in fact.refund.lines)
    return [
        Incident(
            code="returned_too_much",
            detail=f"{format_quantity(back.milli[line.line])} of line {line.line} came back in all "
            f"shops together, of which {format_quantity(sold.milli.get(line.line, 0))} was sold",
        )
        for line in fact.refund.lines
        if back.milli[line.line] > sold.milli.get(line.line, 0)
    ]


async def _rows(
    connection: Connection,
    sale_uids: Sequence[bytes],
    receipt_ids: Sequence[str],
    *,
    edge_id: int = 0,
    return_id: str = "",
    claims: bool = True,
) -> list[tuple[bytes, bytes, list[tuple[int, int]]]]:
    rows = await rows_of(
        connection,
        _QUERIES["came_back"],
        as_arrays(
            {
                "sale_uids": list(sale_uids),
                "receipt_ids": list(receipt_ids),
                "edge_id": edge_id,
                "return_id": return_id,
                "claim_s": CLAIM_S if claims else 0,
            }
        ),
    )
    return [
        (
            bytes(row["sale_uid"]),
            bytes(row["record_uid"]),
            (
                list(zip(row["line_numbers"], row["line_qty_milli"], strict=True))
                if row["body"] is None
                else [
                    (line.line, line.quantity_milli)
                    for line in _RETURN.decode(unpacked(row["body"])).refund.lines
                ]
            ),
        )
        for row in rows
    ]
