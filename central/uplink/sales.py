"""Sales whose goods come back in another shop or at another till: told, and goods set aside."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from central.database.pool import Connection, Pool
from central.database.retry import in_transaction
from central.fleet.store import may_carry
from central.receipts.returning import (
    Claim,
    came_back,
    find_sales,
    lock_sale,
    set_aside,
    sold_milli,
)
from shared.clock import Clock
from shared.errors import BusyError, ConflictError, ForbiddenError, InputError, NotFoundError
from shared.limits import IDENTIFIER_CHARS_MAX, QUANTITY_MILLI_MAX, RECEIPT_LINES_MAX
from shared.unreadable import UNREADABLE
from shared.wire.facts import ReceiptCommitted
from shared.wire.refund_json import LineReturned
from shared.wire.sales import SALE_AMBIGUOUS, UNKNOWN_SALE, SaleAsk, SaleReply

CALLS_PER_MINUTE_MAX: Final = 120
"""Of one agent: a shop with ten tills whose customers all bring something back. Nobody reads the
receipts of a chain by trying their numbers."""
UID_BYTES: Final = 16
_LINE_MAX: Final = 2**62
_MINUTE_NS: Final = 60 * 10**9


class Sales:
    """Answers agents about sales."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._asked: dict[int, deque[int]] = {}

    async def ask(self, edge_id: int, body: bytes) -> SaleReply:
        """Tell a sale and what has come back of it; set aside what a return wants of the rest.

        Raises:
            InputError: the body is no such question.
            NotFoundError: ``unknown_sale``.
            ConflictError: ``sale_ambiguous``.
            ForbiddenError: it is asked for an agent that is not the caller's till.
            BusyError: the agent asked too often.
            UnavailableError: others hold the same rows for too long.
        """
        asked = _asked(body)
        self._count(edge_id)

        async def work(connection: Connection) -> SaleReply:
            if asked.edge_id != edge_id and not await may_carry(connection, edge_id, asked.edge_id):
                raise ForbiddenError("a hub asks for its own tills alone", code="other_till")
            sale_uid, sale = await _sale(connection, asked)
            await lock_sale(connection, sale_uid)
            back = await came_back(
                connection,
                sale_uid,
                asked.receipt_id,
                edge_id=asked.edge_id,
                return_id=asked.return_id,
            )
            if asked.return_id:
                left = await _left(connection, sale_uid, asked, back.milli)
                await set_aside(
                    connection,
                    sale_uid,
                    Claim(
                        edge_id=asked.edge_id,
                        return_id=asked.return_id,
                        return_uid=asked.return_uid,
                        wanted_milli=left,
                    ),
                )
            return SaleReply(
                sale_uid=sale_uid,
                fact=b"" if sale is None else msgspec.msgpack.encode(sale),
                returned=[
                    LineReturned(line=line, quantity_milli=milli)
                    for line, milli in back.milli.items()
                ],
                counted=back.counted,
            )

        return await in_transaction(self._pool, work)

    def _count(self, edge_id: int) -> None:
        now_ns = self._clock.mono_ns()
        asked = self._asked.setdefault(edge_id, deque(maxlen=CALLS_PER_MINUTE_MAX))
        if len(asked) == CALLS_PER_MINUTE_MAX and now_ns - asked[0] < _MINUTE_NS:
            raise BusyError(retry_after_s=1 + (_MINUTE_NS - (now_ns - asked[0])) // 10**9)
        asked.append(now_ns)


async def _sale(connection: Connection, asked: SaleAsk) -> tuple[bytes, ReceiptCommitted | None]:
    if asked.sale_uid:
        return asked.sale_uid, None
    found = await find_sales(connection, asked.store_id, asked.receipt_id, asked.register)
    if not found:
        raise NotFoundError("head office knows no such sale of that shop", code=UNKNOWN_SALE)
    if len(found) > 1:
        raise ConflictError(
            "several tills of that shop have used this receipt id",
            code=SALE_AMBIGUOUS,
            hint="Name the register that is printed on the receipt.",
        )
    return found[0]


async def _left(
    connection: Connection, sale_uid: bytes, asked: SaleAsk, back_milli: dict[int, int]
) -> dict[int, int]:
    """What can be set aside of what is wanted; all of it where the sale itself is not here yet."""
    sold = (await sold_milli(connection, [sale_uid])).get(sale_uid)
    wanted = {line.line: line.quantity_milli for line in asked.wanted}
    if sold is None:
        return wanted
    return {
        line: min(milli, sold.milli.get(line, 0) - back_milli.get(line, 0))
        for line, milli in wanted.items()
    }


def _asked(body: bytes) -> SaleAsk:
    try:
        asked = msgspec.msgpack.decode(body, type=SaleAsk)
    except UNREADABLE as error:
        raise InputError("the body is no question about a sale", code="bad_sale") from error
    names = (asked.store_id, asked.receipt_id, asked.register, asked.return_id)
    if any(len(name) > IDENTIFIER_CHARS_MAX or "\x00" in name for name in names):
        raise InputError("a name is too long or holds a NUL", code="bad_sale")
    if not asked.store_id or not asked.receipt_id:
        raise InputError("a sale has a shop and a receipt id", code="bad_sale")
    uids = (asked.sale_uid, asked.return_uid)
    if any(len(uid) not in {0, UID_BYTES} for uid in uids):
        raise InputError("a uid is 16 bytes", code="bad_sale")
    if asked.return_id and not asked.return_uid:
        raise InputError("a return has a record", code="bad_sale")
    if len(asked.wanted) > RECEIPT_LINES_MAX or not all(
        0 < each.line < _LINE_MAX and 0 < each.quantity_milli <= QUANTITY_MILLI_MAX
        for each in asked.wanted
    ):
        raise InputError("a line or a quantity cannot be", code="bad_sale")
    return asked
