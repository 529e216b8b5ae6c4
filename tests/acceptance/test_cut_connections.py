"""A connection may break after any byte, either way; every record is taken once all the same."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import msgspec
import pytest

from edge_agent.uplink.transport import Transport
from shared.crypto.chain import chain_genesis
from shared.errors import UnavailableError
from shared.frames import make_batch
from shared.wire.stream import Ack, Batch, Lane, Refusal
from tests.support.agent import enrol
from tests.support.head_office import HeadOffice
from tests.support.programmes import TEA_AND_POINTS
from tests.support.sales import sale_records

SEED = 5
STEP = 1 if "KOPILKA_EXAMPLES" in os.environ else 5
"""Bytes between two cuts; where the first one is, is random."""
PATIENCE_S = 60


class Scissors:
    """A TCP proxy that cuts after so many bytes of one direction; -1 never."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self.requests_left = self.answers_left = -1
        self.cuts = 0

    async def open(self) -> str:
        """Start; the address to call."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Stop."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        ways = [
            asyncio.ensure_future(self._carry(reader, far_writer, "requests_left")),
            asyncio.ensure_future(self._carry(far_reader, writer, "answers_left")),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for end in (writer, far_writer):
            end.transport.abort()

    async def _carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, allowance: str
    ) -> None:
        with suppress(ConnectionError):
            while data := await source.read(2**16):
                left = getattr(self, allowance)
                if left >= 0:
                    data = data[:left]
                    setattr(self, allowance, left - len(data))
                target.write(data)
                await target.drain()
                if left >= 0 and getattr(self, allowance) == 0:
                    self.cuts += 1
                    return


def batches(nonce: bytes, edge_id: int) -> Iterator[Batch]:
    """One batch a sale, chained."""
    head = chain_genesis(edge_id, Lane.RECEIPTS, 1, nonce)
    for seq, record in enumerate(sale_records(SEED), start=1):
        batch = make_batch([record], first_seq=seq, previous_hash=head)
        head = batch.last_hash
        yield batch


@pytest.mark.processes
async def test_a_batch_cut_after_any_byte_is_taken_once(tmp_path: Path) -> None:
    """Request and reply are cut all along; the retry gives the same acknowledgement."""
    office = HeadOffice(tmp_path / "central")
    programme = tmp_path / "programme.json"
    programme.write_text(json.dumps(TEA_AND_POINTS | {"version": 1}))
    try:
        for words in (
            ("init", "--embedded", "--web", "127.0.0.1:0", "--uplink", "127.0.0.1:0",
             "--insecure-uplink"),
            ("store-add", "S1", "First"),
            ("publish", str(programme)),
        ):  # fmt: skip
            done = office.command(*words)
            assert done.code == 0, done.err
        token = office.command("enrol-token", "--store", "S1").out.strip()
        office.start()
        async with aiohttp.ClientSession(office.uplink) as http:
            reply = (await enrol(http, token)).reply
        nonce = next(start.nonce for start in reply.lanes if start.lane is Lane.RECEIPTS)
        count = await _cut_everywhere(office, reply.edge_id, reply.credential, nonce)
        books = msgspec.json.decode(office.command("verify", "--json").out)
        assert books["ok"], books
        assert (books["receipts"], books["quarantined"]) == (count, 0)
    finally:
        office.forget()


async def _cut_everywhere(office: HeadOffice, edge_id: int, credential: str, nonce: bytes) -> int:
    host, _, port = office.uplink.removeprefix("http://").partition(":")
    seed = int(os.environ.get("KOPILKA_SEED") or secrets.randbits(32))
    print(f"KOPILKA_SEED={seed}")
    scissors = Scissors(host, int(port))
    direct = Transport(office.uplink, credential=credential)
    await direct.open()
    sales = batches(nonce, edge_id)
    sent = 0
    chance = random.Random(seed)
    for way in ("requests_left", "answers_left"):
        length = chance.randrange(STEP)
        while True:
            length += STEP
            batch = next(sales)
            sent += 1
            url = await scissors.open()
            cut = Transport(url, credential=credential)
            await cut.open()
            setattr(scissors, way, length)
            told = None
            with suppress(UnavailableError):
                told = await cut.put_batch(edge_id, Lane.RECEIPTS, 1, batch)
            setattr(scissors, way, -1)
            await cut.close()
            await scissors.close()
            again = await _put_again(direct, edge_id, batch)
            assert isinstance(again, Ack)
            assert (again.seq, again.hash) == (batch.last_seq, batch.last_hash)
            if told is not None:
                assert isinstance(told, Ack)
                assert (told.seq, told.hash) == (again.seq, again.hash)
                break
    await direct.close()
    print(f"{sent} batches, {scissors.cuts} cuts")
    assert scissors.cuts >= sent - 2 > 500 // STEP
    return sent


async def _put_again(direct: Transport, edge_id: int, batch: Batch) -> Ack | Refusal:
    """What a retry gets, once central has noticed that the first attempt is over."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await direct.put_batch(edge_id, Lane.RECEIPTS, 1, batch)
            except UnavailableError as error:
                if error.stable_code != "busy":
                    raise
                await asyncio.sleep(0.01)
