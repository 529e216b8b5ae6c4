"""Somebody who carries files between the agents of a town and its head office."""

from __future__ import annotations

import io
from typing import Any

from aiohttp import FormData

from central.database.pool import Pool, rows_of
from central.uplink.files import Answered, Files
from central.uplink.ingest import Ingest
from edge_agent.config import TILL_TOKEN_FILE
from edge_agent.page.entry import COOKIE, visit_cookie
from shared.system import SystemChance, SystemClock
from tests.support.both_ends import SIGNER, Town

JSON = {"Accept": "application/json"}


class Courier:
    """Carries between this town's agents and its head office."""

    def __init__(self, town: Town, pool: Pool) -> None:
        self._town = town
        self._pool = pool
        clock = SystemClock()
        self.files = Files(pool, clock, SystemChance(), SIGNER, Ingest(pool, clock))

    async def export(self, store: str) -> bytes:
        """A question of the agent's."""
        async with self._town.tills[store].post(
            "/page/files/export", headers=JSON, cookies=self._visit(store)
        ) as response:
            assert response.status == 200, await response.text()
            return await response.read()

    async def ask(self, question: bytes) -> bytes:
        """Head office's answer to it."""
        return (await self.answered(question))[1]

    async def answered(self, question: bytes) -> tuple[Answered, bytes]:
        """What head office makes of it, and its answer."""
        answer = io.BytesIO()
        return await self.files.answer(io.BytesIO(question), answer), answer.getvalue()

    async def take(self, store: str, answer: bytes) -> tuple[int, dict[str, Any]]:
        """The agent takes it in, as a form sends it; status and what it says."""
        form = FormData()
        form.add_field("file", answer, filename="answer.sync")
        async with self._town.tills[store].post(
            "/page/files/import", data=form, headers=JSON, cookies=self._visit(store)
        ) as response:
            return response.status, await response.json()

    async def forward(self, store: str, question: bytes) -> tuple[int, bytes]:
        """An agent with a line brings another one's question; status, and answer or refusal."""
        async with self._town.tills[store].post(
            "/page/files/forward", data=question, headers=JSON, cookies=self._visit(store)
        ) as response:
            return response.status, await response.read()

    async def round(self, store: str) -> dict[str, Any]:
        """There and back."""
        status, told = await self.take(store, await self.ask(await self.export(store)))
        assert status == 200, told
        return told

    async def receipts(self) -> list[str]:
        """What head office has of sales, by the tills' ids, in order."""
        async with self._pool.connection() as connection:
            rows = await rows_of(connection, "select receipt_id from receipt order by receipt_id")
        return [row["receipt_id"] for row in rows]

    def _visit(self, store: str) -> dict[str, str]:
        token = (self._town.folders[store] / TILL_TOKEN_FILE).read_text().strip()
        return {COOKIE: visit_cookie(token, SystemClock().now_ms())}
