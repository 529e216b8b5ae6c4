"""A till's question about a sale on its way through the hub to head office, and what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from shared.errors import AppError, ConflictError, InputError, NotFoundError
from shared.limits import LAN_BODY_BYTES_MAX, LAN_TIMEOUT_S
from shared.wire.sales import SALE_AMBIGUOUS, SALES_OFFLINE, UNKNOWN_SALE, SaleAsk, SaleReply

FindSale = Callable[[SaleAsk], Awaitable[SaleReply]]
_PATIENCE_S: Final = 0.7 * LAN_TIMEOUT_S
"""The till must hear that head office is silent before it takes the hub for dead."""
_TOLD: Final = frozenset({UNKNOWN_SALE, SALE_AMBIGUOUS})


async def find_for(till: int, asked: SaleAsk, find: FindSale | None) -> SaleReply:
    """What the hub answers; it asks in the till's name.

    Raises:
        InputError: with head office's own code, or ``sales_offline``: the till asks by itself.
    """
    try:
        if find is None:
            raise InputError("this hub has no line to head office", code=SALES_OFFLINE)
        async with asyncio.timeout(_PATIENCE_S):
            reply = await find(msgspec.structs.replace(asked, edge_id=till))
    except (AppError, TimeoutError) as error:
        code = error.stable_code if isinstance(error, AppError) else SALES_OFFLINE
        if code not in _TOLD:
            code = SALES_OFFLINE
        raise InputError("head office told nothing of this sale", code=code) from error
    if len(reply.fact) > LAN_BODY_BYTES_MAX // 2:
        raise InputError("this sale is too long for the shop's network", code=SALES_OFFLINE)
    return reply


async def heard(answer: Awaitable[SaleReply]) -> SaleReply | None:
    """What a till makes of the hub's answer; None: head office has to be asked directly.

    Raises:
        NotFoundError: ``unknown_sale``.
        ConflictError: ``sale_ambiguous``.
    """
    try:
        return await answer
    except InputError as error:
        if error.stable_code == UNKNOWN_SALE:
            raise NotFoundError(error.message, code=UNKNOWN_SALE) from error
        if error.stable_code == SALE_AMBIGUOUS:
            raise ConflictError(
                error.message,
                code=SALE_AMBIGUOUS,
                hint="Name the register that is printed on the receipt.",
            ) from error
        return None
    except AppError:
        return None
