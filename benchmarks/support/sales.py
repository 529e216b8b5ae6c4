"""Sales as tills make them: a receipt is priced, then recorded at the price that was told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from programmes import till_receipt
from support.agents import Running
from support.shop import card_of
from support.tills import Till, open_till, post

CALCULATE: Final = "/v1/receipts/calculate"
LINES: Final = 20
KINDS: Final = 400
"""Different receipts; their ids make more of them."""


def receipt(number: int, *, members: int) -> dict[str, Any]:
    """Six of ten are of a member."""
    card = card_of(number % members) if number % 10 < 6 else None
    return till_receipt(number % KINDS, LINES, card=card)


async def price(till: Till, told: dict[str, Any]) -> bytes:
    """Have it priced; the request that records it."""
    answer = json.loads(await till.call(post(CALCULATE, json.dumps(told).encode())))
    body = {
        "receipt": told,
        "calculation_id": answer["calculation_id"],
        "to_pay": answer["total"]["to_pay"],
    }
    return post(f"/v1/receipts/{told['receipt_id']}/commit", json.dumps(body).encode())


async def price_many(tills: Sequence[Till], run: str, count: int, *, members: int) -> list[bytes]:
    """Requests that record so many receipts, which were priced just now."""
    left = iter(range(count))
    made: list[bytes] = []

    async def one(till: Till) -> None:
        for number in left:
            told = receipt(number, members=members) | {"receipt_id": f"{run}-{number}"}
            made.append(await price(till, told))

    await asyncio.gather(*map(one, tills))
    return made


async def sell(
    shop: Running,
    run: str,
    count: int,
    *,
    tills: int,
    members: int,
    is_over: Callable[[], bool] = lambda: False,
) -> int:
    """Price and record so many receipts, or until it is over; how many were."""
    left = iter(range(count))
    sold = 0

    async def one() -> None:
        nonlocal sold
        till = await open_till(shop.address)
        for number in left:
            told = receipt(number, members=members) | {"receipt_id": f"{run}-{number}"}
            await till.call(await price(till, told))
            sold += 1
            if is_over():
                break
        till.close()

    await asyncio.gather(*(one() for _ in range(tills)))
    return sold
