"""A listener is not held up by peers that dribble, say nothing or do not read (fault 34)."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from central.uplink.certificates import make_certificates
from shared import listening
from shared.listening import PatientSite, patiently
from shared.system import SystemClock

SILENCE_S = 0.6
PATIENCE_S = 10.0
LARGE = b"x" * (32 * 2**20)
HEAD = b"POST /body HTTP/1.1\r\nHost: shop\r\nContent-Length: 50000\r\n\r\n"
ASK = b"GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n"


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spans of the product are for people; these are for tests."""
    monkeypatch.setattr(listening, "SILENCE_S", SILENCE_S)
    monkeypatch.setattr(listening, "_LOOK_S", 0.1)


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """Central's side of TLS."""
    made = make_certificates(["127.0.0.1"], now_ms=SystemClock().now_ms())
    (tmp_path / "server.pem").write_bytes(made.server + made.server_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    return context


@asynccontextmanager
async def listener(
    *, connections_max: int = 100, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A small application at a port."""

    async def slow(_request: web.Request) -> web.Response:
        await asyncio.sleep(3 * SILENCE_S)
        return web.Response(text="at last")

    async def body(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    async def large(_request: web.Request) -> web.Response:
        return web.Response(body=LARGE)

    app = web.Application()
    app.add_routes([web.get("/slow", slow), web.post("/body", body), web.get("/large", large)])
    runner = patiently(app, stop_grace_s=1.0)
    await runner.setup()
    await PatientSite(runner, "127.0.0.1", 0, tls=tls, connections_max=connections_max).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def until_cut(writer: asyncio.StreamWriter, dribble: bytes) -> int:
    """Send byte by byte until the other side has had enough; how many bytes it took."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            for sent, byte in enumerate(dribble):
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.1)
                if writer.transport.is_closing():
                    return sent
    except ConnectionError:
        return sent
    finally:
        writer.close()
    pytest.fail("nobody minded")


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("whole", [b"", HEAD], ids=["head", "body"])
async def test_who_dribbles_is_left(whole: bytes, encrypted: bool, tls: ssl.SSLContext) -> None:
    """A byte now and then is not enough to stay, in the head as in the body."""
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    async with listener(tls=tls if encrypted else None) as port:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client if encrypted else None
        )
        writer.write(whole)
        assert await until_cut(writer, b"GET /" + b"a" * 200) < 100


async def test_who_says_nothing_is_left() -> None:
    """A connection is opened for a request; TLS that is never begun ends as well."""
    async with listener() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(PATIENCE_S):
            assert await _read_to_the_end(reader) == 0
        writer.close()


async def test_handshake_that_never_begins_is_left(tls: ssl.SSLContext) -> None:
    """The same before anything was encrypted."""
    async with listener(tls=tls) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(PATIENCE_S):
            assert await _read_to_the_end(reader) == 0
        writer.close()


async def test_who_does_not_read_is_left() -> None:
    """What was answered is not kept for somebody who never takes it."""
    async with listener() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /large HTTP/1.1\r\nHost: shop\r\n\r\n")
        await asyncio.sleep(4 * SILENCE_S)
        async with asyncio.timeout(PATIENCE_S):
            assert await _read_to_the_end(reader) < len(LARGE)
        writer.close()


async def test_patient_and_slow_honest_peers_are_served() -> None:
    """Long polls, bodies over a thin line, slow but steady readers and kept connections live."""
    async with listener() as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:

        async def thin_line() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b"y" * 400
                await asyncio.sleep(0.1)

        for _ in range(2):
            async with http.get("/slow") as answer:
                assert await answer.text() == "at last"
            await asyncio.sleep(2 * SILENCE_S)
        async with http.post("/body", data=thin_line()) as answer:
            assert await answer.text() == "8000"
        async with http.get("/large") as answer:
            received = 0
            async for chunk in answer.content.iter_chunked(2**20):
                received += len(chunk)
                await asyncio.sleep(0.005)
            assert received == len(LARGE)


@pytest.mark.parametrize("encrypted", [False, True])
async def test_thin_line_is_no_refusal_to_read(encrypted: bool, tls: ssl.SSLContext) -> None:
    """A reader far slower than the system's buffers is served while it takes a little each time."""
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    with socket.socket() as thin:
        thin.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        thin.setblocking(False)
        async with listener(tls=tls if encrypted else None) as port:
            await asyncio.get_running_loop().sock_connect(thin, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(
                sock=thin,
                limit=4096,
                ssl=client if encrypted else None,
                server_hostname="127.0.0.1" if encrypted else None,
            )
            writer.write(b"GET /large HTTP/1.1\r\nHost: shop\r\n\r\n")
            async with asyncio.timeout(PATIENCE_S):
                for _ in range(int(6 * SILENCE_S / 0.05)):
                    assert await reader.read(2_000)
                    await asyncio.sleep(0.05)
            assert not writer.transport.is_closing()
            writer.transport.abort()


async def test_crowd_makes_room_for_who_asks() -> None:
    """However many strangers hang on, a request is answered, and one that is worked on goes on."""
    async with listener(connections_max=20) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ASK)
        await writer.drain()
        await asyncio.sleep(0.05)
        strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            async with http.post("/body", data=b"abc") as answer:
                assert await answer.text() == "3"
            ends = await asyncio.gather(*(_is_ended(each) for each, _ in strangers))
            assert sum(ends) >= 40
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        for _, each in [*strangers, (reader, writer)]:
            each.close()


async def test_crowd_that_comes_at_once_is_bounded_too() -> None:
    """Who comes before the first has gone does not stay because of that."""
    async with listener(connections_max=20) as port:
        crowd = await asyncio.gather(
            *(asyncio.open_connection("127.0.0.1", port) for _ in range(90))
        )
        ends = await asyncio.gather(*(_is_ended(each) for each, _ in crowd))
        assert sum(ends) == 70
        for _, each in crowd:
            each.close()


async def _read_to_the_end(reader: asyncio.StreamReader) -> int:
    received = 0
    try:
        while data := await reader.read(2**20):
            received += len(data)
    except ConnectionError:
        pass
    return received


async def _is_ended(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.2):
            return await reader.read(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False
