"""A shop on a busy day: tills that scan, freeze and commit, as fast as told, and what it took."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from edge_agent.kit.day import Day, Plan
from edge_agent.kit.till import Till
from shared.clock import Clock
from shared.errors import UnavailableError
from shared.ids import Chance

PROGRESS_S: Final = 1


class Shop:
    """The tills; ``stop`` lets each finish its receipt and then go home."""

    def __init__(self, till: Till, plan: Plan, *, clock: Clock, chance: Chance) -> None:
        self._till = till
        self._plan = plan
        self._clock = clock
        self._chance = chance
        self._started_ns = clock.mono_ns()
        self._stopped = asyncio.Event()
        self.day = Day()

    def stop(self) -> None:
        """No receipt is begun any more."""
        self._stopped.set()

    async def open(self, tell: Callable[[Day], None]) -> Day:
        """Play the day; ``tell`` is called each second with what happened so far."""
        self._started_ns = self._clock.mono_ns()
        async with asyncio.TaskGroup() as group:
            news = group.create_task(self._tell(tell))
            tills = [group.create_task(self._sell(n)) for n in range(1, self._plan.tills + 1)]
            await asyncio.wait(tills)
            news.cancel()
        self.day.took_ns = self._clock.mono_ns() - self._started_ns
        return self.day

    async def _tell(self, tell: Callable[[Day], None]) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            self.day.took_ns = self._clock.mono_ns() - self._started_ns
            tell(self.day)

    async def _sell(self, register: int) -> None:
        for number in range(1, self._plan.receipts + 1):
            await self._turn()
            if self._stopped.is_set():
                return
            self.day.begun += 1
            self._till.calls.clear()  # Nobody reads the calls of a load.
            try:
                if await self._receipt(register, number):
                    self.day.sold += 1
            except UnavailableError as error:
                self.day.failed(error.message)

    async def _turn(self) -> None:
        """Wait until the next receipt is due: receipt n comes n / rate seconds after the start."""
        if self._plan.rate == 0:
            return
        due_ns = self.day.begun * 1_000_000_000 // self._plan.rate
        wait_ns = due_ns - (self._clock.mono_ns() - self._started_ns)
        if wait_ns > 0:
            try:
                async with asyncio.timeout(wait_ns / 1e9):
                    await self._stopped.wait()
            except TimeoutError:
                return

    async def _receipt(self, register: int, number: int) -> bool:
        receipt: dict[str, Any] = {
            "receipt_id": f"sim-{self._plan.run}-{register}-{number}",
            "store": self._plan.store,
            "register": f"SIM{register}",
            "time": self._plan.time,
            "lines": [],
        }
        if self._plan.cards and number % 3 == 0:
            receipt["customer"] = {"card": self._picked(self._plan.cards)}
        priced: Any = None
        for line in range(1, self._number(1, self._plan.lines) + 1):
            receipt["lines"].append(self._line(line))
            priced = await self._call("scan", "/v1/receipts/calculate", receipt)
            if priced is None:
                return False
        body = {
            "receipt": receipt,
            "calculation_id": _told(priced, "calculation_id"),
            "to_pay": _told(_told(priced, "total"), "to_pay"),
        }
        path = f"/v1/receipts/{receipt['receipt_id']}"
        if await self._call("freeze", f"{path}/freeze", body) is None:
            return False
        made = await self._call("commit", f"{path}/commit", body)
        incidents = _told(made, "incidents")
        for incident in incidents if isinstance(incidents, list) else ():
            self.day.failed(f"incident {_told(incident, 'code')}")
        return made is not None

    def _line(self, line: int) -> dict[str, Any]:
        return {
            "line": line,
            "sku": self._picked(self._plan.skus),
            "qty": str(self._number(1, 3)),
            "price": f"{self._number(20, 500)}.90",
        }

    async def _call(self, name: str, path: str, body: Any) -> dict[str, Any] | None:
        """The reply; None when it was refused, which is counted."""
        before_ns = self._clock.mono_ns()
        reply = await self._till.call("POST", path, body)
        self.day.calls[name].add((self._clock.mono_ns() - before_ns) // 1000)
        if reply.status == 200 and isinstance(reply.body, dict):
            return reply.body
        self.day.failed(f"{name} {reply.status} {_told(reply.body, 'code') or ''}".strip())
        return None

    def _number(self, low: int, high: int) -> int:
        return min(int(self._chance.uniform(low, high + 1)), high)

    def _picked(self, among: Sequence[str]) -> str:
        return among[self._number(0, len(among) - 1)]


def _told(value: Any, key: str) -> Any:
    """What a stranger's reply says there; None where it has another shape."""
    return value.get(key) if isinstance(value, dict) else None
