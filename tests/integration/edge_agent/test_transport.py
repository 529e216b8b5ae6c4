"""Calls to central: which authority is believed, what a strange answer becomes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from central.uplink.certificates import make_certificates
from edge_agent.uplink import transport as transport_module
from edge_agent.uplink.link import LinkState
from edge_agent.uplink.transport import Transport
from shared.errors import AppError, InputError, TooLargeError, UnavailableError
from shared.system import SystemClock
from tests.support.central_double import CREDENTIAL, running_central


async def code_of_call(transport: Transport) -> str | None:
    """The code that one call to central ends with; None when it was answered."""
    await transport.open()
    try:
        await transport.feed("", 0)
    except AppError as error:
        return error.stable_code
    finally:
        await transport.close()
    return None


async def test_only_the_pinned_authority_is_believed(tmp_path: Path) -> None:
    """Central's own authority is; another one of the same name, and the machine's, are not."""
    now_ms = SystemClock().now_ms()
    ours, others = (make_certificates(["127.0.0.1"], now_ms=now_ms) for _ in range(2))
    for name, data in (
        ("ca.pem", ours.ca),
        ("other.pem", others.ca),
        ("server.pem", ours.server + ours.server_key),
    ):
        (tmp_path / name).write_bytes(data)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")

    async with running_central(tls) as central:

        def to_central(ca_file: Path | None) -> Transport:
            return Transport(central.url, credential=CREDENTIAL, ca_file=ca_file)

        assert await code_of_call(to_central(tmp_path / "ca.pem")) is None
        assert await code_of_call(to_central(tmp_path / "other.pem")) == "bad_certificate"
        assert await code_of_call(to_central(None)) == "bad_certificate"
        with pytest.raises(InputError):
            await to_central(tmp_path / "none.pem").open()


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        (200, "<html>Sign in to the Wi-Fi</html>", "not_central"),
        (302, "", "not_central"),
        (403, "<html>Pay first</html>", "not_central"),
        (404, "not here", "not_central"),
        (502, "bad gateway", "unavailable"),
        (511, "<html>Sign in</html>", "unavailable"),
    ],
)
async def test_strange_answer_is_one_of_our_errors(status: int, text: str, code: str) -> None:
    """Fault 36: what is not central's is no contact, and is never followed elsewhere."""

    async def answer(_: web.Request) -> web.Response:
        elsewhere = {"Location": "http://127.0.0.1:1/"}
        return web.Response(status=status, text=text, headers=elsewhere)

    app = web.Application()
    app.router.add_get("/v1/{anything:.*}", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("/"))
        assert await code_of_call(Transport(url)) == code
        link = LinkState(SystemClock())
        transport = Transport(url)
        await transport.open()
        for ask in (lambda: transport.feed("", 0), lambda: transport.bundle(1)):
            with pytest.raises(UnavailableError):
                async with link.call():
                    await ask()
            assert not link.online
            assert link.last_contact_at_ms is None
        await transport.close()


async def test_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are counted while they come, whatever length was stated."""
    monkeypatch.setattr(transport_module, "BUNDLE_BYTES_MAX", 100_000)

    async def pour(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 10_000)
            await asyncio.sleep(0)

    app = web.Application()
    app.router.add_get("/v1/bundles/1", pour)
    async with TestServer(app) as server:
        transport = Transport(str(server.make_url("/")))
        await transport.open()
        with pytest.raises(TooLargeError):
            await transport.bundle(1)
        await transport.close()


async def test_nobody_listening_is_unavailable() -> None:
    """A closed port says so at once, in our words."""
    async with running_central() as central:
        url = central.url
    transport = Transport(url)
    await transport.open()
    with pytest.raises(UnavailableError):
        await transport.bundle(1)
    await transport.close()


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None)]
)
async def test_busy_central_says_when_to_come_back(header: str, seconds: float | None) -> None:
    """Seconds are heard; a date is not, for whose clock would it be by."""

    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": header})

    app = web.Application()
    app.router.add_get("/v1/bundles/1", busy)
    async with TestServer(app) as server:
        transport = Transport(str(server.make_url("/")))
        await transport.open()
        with pytest.raises(UnavailableError) as refused:
            await transport.bundle(1)
        await transport.close()
    assert refused.value.retry_after_s == seconds


async def test_silent_peer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 33: a connection that stays open and says nothing ends in the time-out."""
    monkeypatch.setattr(transport_module, "READ_TIMEOUT_S", 0.3)
    left = asyncio.Event()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    transport = Transport(f"http://{host}:{port}")
    await transport.open()
    with pytest.raises(UnavailableError):
        await transport.feed("", 0)
    await transport.close()
    await left.wait()
    server.close()
    await server.wait_closed()


def test_peer_that_vanished_is_noticed_within_twenty_seconds() -> None:
    """By the system, also while an answer is awaited for long."""
    address = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))
    with transport_module._watched_socket(address) as made:
        tcp = socket.IPPROTO_TCP
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        silence_s = made.getsockopt(tcp, socket.TCP_KEEPIDLE)
        silence_s += made.getsockopt(tcp, socket.TCP_KEEPINTVL) * made.getsockopt(
            tcp, socket.TCP_KEEPCNT
        )
        assert silence_s <= 20
        assert made.getsockopt(tcp, socket.TCP_USER_TIMEOUT) <= 20_000
