"""A checkpoint or a snapshot cut at any byte of any answer leaves the old state or the new one."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
import zstandard

from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.uplink.apply import apply_page
from edge_agent.uplink.feed import FeedReader
from edge_agent.uplink.feed_state import feed_state
from edge_agent.uplink.link import LinkState
from edge_agent.uplink.transport import Transport
from shared.errors import AppError
from shared.wire.feed import (
    ChunkRef,
    CustomerEntry,
    FeedChange,
    FeedPage,
    FeedReset,
    Operation,
    SnapshotManifest,
)
from tests.support.examples import NIGHTLY
from tests.support.feed_ends import NoPauseClock, visible_in

CUTS = 10**9 if NIGHTLY else 40
"""How many places of each conversation are cut in one run; by night every byte."""


def member(name: str, version: int) -> FeedChange:
    entry = CustomerEntry(customer_id=name, card_tags=[name.encode(), b"%d" % version])
    return FeedChange(
        topic="customer",
        key=name,
        operation=Operation.PUT,
        version=version,
        payload=msgspec.msgpack.encode(entry),
    )


def gone(name: str, version: int) -> FeedChange:
    return FeedChange(
        topic="customer", key=name, operation=Operation.ERASE, version=version, payload=b""
    )


OLD = FeedPage(cursor="old", changes=[member("a", 1), member("b", 2)], complete=True)
PAGES = {
    "old": FeedPage(cursor="p1", changes=[member("a", 11)], complete=False),
    "p1": FeedPage(cursor="p2", changes=[gone("b", 12), member("c", 13)], complete=False),
    "p2": FeedPage(cursor="new", changes=[member("d", 14)], complete=True),
    "new": FeedPage(cursor="new", changes=[], complete=True),
}
PIECES = [
    zstandard.compress(msgspec.msgpack.encode(changes))
    for changes in ([member("a", 11)], [member("c", 13), member("d", 14)])
]
MANIFEST = SnapshotManifest(
    cursor="new",
    chunks=[
        ChunkRef(sha256=hashlib.sha256(piece).digest(), size_bytes=len(piece), raw_bytes=1)
        for piece in PIECES
    ],
)


def by_pages(target: str) -> tuple[int, bytes]:
    cursor = parse_qs(urlsplit(target).query)["cursor"][0]
    return 200, msgspec.msgpack.encode(PAGES[cursor])


def by_snapshot(target: str) -> tuple[int, bytes]:
    path = urlsplit(target).path
    if path == "/v1/feed/snapshot":
        return 200, msgspec.msgpack.encode(MANIFEST)
    if path.startswith("/v1/feed/chunks/"):
        names = [hashlib.sha256(piece).hexdigest() for piece in PIECES]
        return 200, PIECES[names.index(path.rpartition("/")[2])]
    if "cursor=old" in target:
        return 410, msgspec.msgpack.encode(FeedReset(reason="too_old"))
    return by_pages(target)


@dataclass(kw_only=True)
class Line:
    """A server whose answers end after ``budget_bytes`` in all; None: never."""

    answers: object
    budget_bytes: int | None = None
    sent_bytes: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                status, body = self.answers(head.split(b" ", 2)[1].decode())
                data = (
                    b"HTTP/1.1 %d X\r\nContent-Type: application/msgpack\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (status, len(body), body)
                )
                left = len(data)
                if self.budget_bytes is not None:
                    left = min(left, self.budget_bytes - self.sent_bytes)
                self.sent_bytes += left
                writer.write(data[:left])
                await writer.drain()
                if left < len(data):
                    break
        writer.close()


@asynccontextmanager
async def serving(line: Line) -> AsyncIterator[Line]:
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    line.url = f"http://{host}:{port}"
    async with server:
        yield line


async def follow(path: Path, line: Line, *, rounds: int) -> None:
    """Some rounds of an agent over this file; it stops at the first failure."""
    transport = Transport(line.url, credential="kpe_7_SECRET")
    await transport.open()
    writer, reader = Writer(path), Reader(path)
    clock = NoPauseClock()
    follower = FeedReader(
        central=transport,
        writer=writer,
        reader=reader,
        link=LinkState(clock),
        clock=clock,
        wait_s=0,
        on_bundle=lambda: None,
    )
    try:
        for _ in range(rounds):
            await follower.round()
    except AppError:
        pass
    finally:
        await transport.close()
        reader.close()
        writer.close()


@pytest.mark.parametrize("answers", [by_pages, by_snapshot])
async def test_cut_at_any_byte_shows_old_or_new(tmp_path: Path, answers: object) -> None:
    """And whoever comes back after the cut ends at the new state, whatever was fetched before."""
    base = tmp_path / "base.sqlite"
    writer = Writer(base)
    await writer.run(lambda connection: apply_page(connection, OLD))
    writer.close()
    old = visible_in(base)
    whole = tmp_path / "whole.sqlite"
    shutil.copy(base, whole)
    async with serving(Line(answers=answers)) as line:
        await follow(whole, line, rounds=7)
        total_bytes = line.sent_bytes
    new = visible_in(whole)
    assert set(new["customer"]) == {"a", "c", "d"}
    assert set(new["card"].values()) == {"a", "c", "d"}
    kept = 0
    for cut in range(0, total_bytes, max(1, total_bytes // CUTS)):
        path = tmp_path / f"{cut}.sqlite"
        shutil.copy(base, path)
        async with serving(Line(answers=answers, budget_bytes=cut)) as line:
            await follow(path, line, rounds=7)
            after_cut = visible_in(path)
            reader = Reader(path)
            kept += (await reader.run(feed_state)).reading != ""
            reader.close()
            line.budget_bytes = None
            await follow(path, line, rounds=9)
        assert after_cut in (old, new), f"cut at byte {cut} of {total_bytes}"
        assert new == visible_in(path), f"cut at byte {cut} of {total_bytes}"
        path.unlink()
    print(f"{total_bytes} bytes; {kept} cuts left pages waiting")
