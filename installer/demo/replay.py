"""Tills that sell the week's baskets over the agents' local HTTP, as a POS would.

A till prices a receipt, then commits it; when the agent dies under it, it repeats the same commit
until there is an answer, as a cashier's program must. Every answered commit is kept for the proof.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import aiohttp

from installer.demo.dataset import Sale
from installer.demo.processes import DemoError

RETRY_PAUSE_S: Final = 0.1
RETRIES_MAX: Final = 600
"""A minute of a dead agent; then the demo has failed."""
REQUEST_TIMEOUT_S: Final = 15.0
FREEZES_MAX: Final = 3
_GONE: Final = "points_not_promised"
INSIST_MAX: Final = 8
INSIST_PAUSE_S: Final = 0.5
"""A cashier who is told that points are on their way waits no longer than four seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sold:
    """One commit that was answered: what the till was told."""

    receipt_id: str
    record_uid: str
    store: str
    customer_id: str
    answer: dict[str, Any]
    incidents: int
    online: bool


@dataclass(slots=True, kw_only=True)
class Till:
    """How tills reach the agent of one store; ``address`` changes when it restarts."""

    store: str
    address: str
    token: str


@dataclass(slots=True, kw_only=True)
class Tally:
    """What has been sold so far; ``latency_ms`` by (phase, call) of the single measured till."""

    sold: list[Sold] = field(default_factory=list)
    discount: Decimal = Decimal(0)
    earned: Decimal = Decimal(0)
    spent: Decimal = Decimal(0)
    retries: int = 0
    latency_ms: defaultdict[tuple[str, str], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, sold: Sold) -> None:
        """Count one answered commit."""
        self.sold.append(sold)
        total = sold.answer["total"]
        self.discount += Decimal(total["discount"])
        self.earned += _earned(sold.answer)
        self.spent += _spent(sold.answer)


class Replay:
    """Sells lists of baskets at the tills of the stores."""

    def __init__(
        self, *, http: aiohttp.ClientSession, tills: dict[str, Till], tally: Tally
    ) -> None:
        self._http = http
        self._tills = tills
        self._tally = tally

    async def quiet(
        self,
        sales: list[Sale],
        *,
        phase: str,
        is_online: Callable[[str], bool],
        scan_pause_s: float | None = None,
    ) -> None:
        """One till alone, one receipt after another: the measured series.

        ``scan_pause_s``: the till also prices after each article, without asking for points before
        the end, as tills do whose card is read first; with such a pause for the next article.
        """
        for sale in sales:
            if scan_pause_s is not None:
                await self._scan(sale, phase=phase, pause_s=scan_pause_s)
            await self._sell(sale, register="R1", phase=phase, is_online=is_online)

    async def storm(
        self, sales: list[Sale], *, tills_per_store: int, is_online: Callable[[str], bool]
    ) -> None:
        """All stores at once, several tills each; a till's queue keeps the order of the week.

        A household always queues at the same till: a wallet is at one till at a time.
        """
        queues: dict[tuple[str, int], deque[Sale]] = defaultdict(deque)
        for sale in sales:
            number = zlib.crc32(sale.customer_id.encode()) % tills_per_store + 1
            queues[sale.store, number].append(sale)

        async def till(queue: deque[Sale], register: str) -> None:
            while queue:
                await self._sell(
                    queue.popleft(), register=register, phase=None, is_online=is_online
                )

        async with asyncio.TaskGroup() as group:
            for (_store, number), queue in queues.items():
                group.create_task(till(queue, f"R{number}"))

    async def insist(
        self, sale: Sale, *, points: int, is_online: Callable[[str], bool]
    ) -> tuple[Decimal, Decimal]:
        """Sell to one who wants to pay with so many points; how many were taken, and earned.

        While the shop has an uplink, the till asks a few times: head office may have to ask the
        points back from another store.
        """
        till = self._tills[sale.store]
        receipt = receipt_json(sale, register="R9")
        for _ in range(INSIST_MAX):
            priced, _ms = await self._post(till, "/v1/receipts/calculate", receipt)
            if _spent(priced) >= points or not is_online(sale.store):
                break
            await asyncio.sleep(INSIST_PAUSE_S)
        priced = await self._set_aside(till, sale, receipt, priced)
        await self._commit(till, sale, receipt, priced, is_online=is_online)
        return _spent(priced), _earned(priced)

    async def status(self, store: str) -> dict[str, Any]:
        """An agent's own status; empty while it does not answer."""
        till = self._tills[store]
        try:
            async with self._http.get(
                f"{till.address}/v1/status", headers=_headers(till)
            ) as response:
                status: dict[str, Any] = await response.json()
                return status if response.status == 200 else {}
        except (aiohttp.ClientError, TimeoutError):
            return {}

    async def recorded(self, store: str, receipt_id: str) -> dict[str, Any]:
        """What an agent has recorded of one receipt; empty when it knows nothing of it."""
        till = self._tills[store]
        async with self._http.get(
            f"{till.address}/v1/receipts/{receipt_id}", headers=_headers(till)
        ) as response:
            body: dict[str, Any] = await response.json()
            return body if response.status == 200 else {}

    async def _sell(
        self,
        sale: Sale,
        *,
        register: str,
        phase: str | None,
        is_online: Callable[[str], bool],
    ) -> None:
        till = self._tills[sale.store]
        receipt = receipt_json(sale, register=register)
        priced, calculate_ms = await self._post(till, "/v1/receipts/calculate", receipt)
        priced = await self._set_aside(till, sale, receipt, priced)
        commit_ms = await self._commit(till, sale, receipt, priced, is_online=is_online)
        if phase is not None:
            self._tally.latency_ms[phase, "calculate"].append(calculate_ms)
            self._tally.latency_ms[phase, "commit"].append(commit_ms)

    async def _scan(self, sale: Sale, *, phase: str, pause_s: float) -> None:
        receipt = receipt_json(sale, register="R1")
        receipt.pop("spend", None)
        for count in range(1, len(sale.lines) + 1):
            seen = {**receipt, "lines": receipt["lines"][:count]}
            _, ms = await self._post(self._tills[sale.store], "/v1/receipts/calculate", seen)
            self._tally.latency_ms[phase, "scan"].append(ms)
            await asyncio.sleep(pause_s)

    async def _set_aside(
        self, till: Till, sale: Sale, receipt: dict[str, Any], priced: dict[str, Any]
    ) -> dict[str, Any]:
        """Before the customer pays with points, have them set aside; the price that holds then.

        Another store may have asked for them since the receipt was priced: then it is priced anew.
        """
        for _ in range(FREEZES_MAX):
            if not _spent(priced):
                return priced
            path = f"/v1/receipts/{sale.receipt_id}/freeze"
            reply, _ = await self._post(till, path, _body_of(receipt, priced), accept=_GONE)
            if reply.get("code") != _GONE:
                return priced
            priced, _ = await self._post(till, "/v1/receipts/calculate", receipt)
        return priced

    async def _commit(
        self,
        till: Till,
        sale: Sale,
        receipt: dict[str, Any],
        priced: dict[str, Any],
        *,
        is_online: Callable[[str], bool],
    ) -> float:
        """Record the sale and count it; how long it took, ms."""
        path = f"/v1/receipts/{sale.receipt_id}/commit"
        reply, commit_ms = await self._post(till, path, _body_of(receipt, priced))
        self._tally.add(
            Sold(
                receipt_id=sale.receipt_id,
                record_uid=reply["record_uid"],
                store=sale.store,
                customer_id=sale.customer_id,
                answer=reply["answer"],
                incidents=len(reply.get("incidents", [])),
                online=is_online(sale.store),
            )
        )
        return commit_ms

    async def _post(
        self, till: Till, path: str, body: dict[str, Any], *, accept: str | None = None
    ) -> tuple[dict[str, Any], float]:
        """The reply and how long it took, ms; a dead agent is asked again.

        ``accept``: the code of a refusal that is an answer as well.

        Raises:
            DemoError: the agent refused, or did not come back.
        """
        for _ in range(RETRIES_MAX):
            started_ns = time.monotonic_ns()
            try:
                async with self._http.post(
                    till.address + path, json=body, headers=_headers(till)
                ) as response:
                    reply: dict[str, Any] = await response.json(content_type=None)
                    status = response.status
            except (aiohttp.ClientError, TimeoutError, OSError):
                status = 503
            if status == 200 or (
                status != 503 and accept is not None and reply.get("code") == accept
            ):
                return reply, (time.monotonic_ns() - started_ns) / 1e6
            if status != 503:
                raise DemoError(
                    f"{till.store} refused {path}: {reply.get('code')} "
                    f"{reply.get('detail') or reply.get('title')} {reply.get('pointer') or ''}"
                )
            self._tally.retries += 1
            await asyncio.sleep(RETRY_PAUSE_S)
        raise DemoError(f"The agent of {till.store} did not come back.")


def _body_of(receipt: dict[str, Any], priced: dict[str, Any]) -> dict[str, Any]:
    """What a freeze and a commit say: the receipt, and what the till was told of it."""
    return {
        "receipt": receipt,
        "calculation_id": priced.get("calculation_id"),
        "to_pay": priced["total"]["to_pay"],
    }


def receipt_json(sale: Sale, *, register: str) -> dict[str, Any]:
    """The body a till sends: only what a till knows."""
    receipt: dict[str, Any] = {
        "receipt_id": sale.receipt_id,
        "store": sale.store,
        "register": register,
        "time": sale.time,
        "customer": {"card": sale.card},
        "coupons": [{"code": code} for code in sale.coupons],
        "lines": [
            {
                "line": number,
                "sku": line.sku,
                "qty": decimal_text(line.qty_milli, 3),
                "price": decimal_text(line.price_minor, 2, whole_bare=False),
                **({"weighed": True} if line.weighed else {}),
            }
            for number, line in enumerate(sale.lines, 1)
        ],
    }
    if sale.spends:
        receipt["spend"] = {"account": "main", "points": "max"}
    return receipt


def decimal_text(units: int, decimals: int, *, whole_bare: bool = True) -> str:
    """A non-negative count of the smallest units as a decimal string; whole ones bare if asked."""
    whole, rest = divmod(units, 10**decimals)
    return f"{whole}" if whole_bare and not rest else f"{whole}.{rest:0{decimals}d}"


def _earned(answer: dict[str, Any]) -> Decimal:
    return sum((Decimal(each["points"]) for each in answer["accrued"]), Decimal(0))


def _spent(answer: dict[str, Any]) -> Decimal:
    return sum((Decimal(each["points"]) for each in answer["spent"]), Decimal(0))


def _headers(till: Till) -> dict[str, str]:
    return {"Authorization": f"Bearer {till.token}"}
