"""Central is recognised by a shop that does not know what day it is (faults 21, 22, 28, 78)."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from central.uplink.certificates import Certificates, make_certificates
from edge_agent.uplink.dates import Dates, KeptTime
from edge_agent.uplink.transport import Transport
from shared.crypto.signing import Signer
from shared.errors import AppError
from shared.system import SystemChance
from shared.wire.central_time import TIME_SIGNATURE_KIND, TimeReply, signed_time
from shared.wire.feed import FeedPage

DAY_MS = 86_400_000
NOW_MS = 1_796_000_000_000
YEAR_MS = 365 * DAY_MS
SIGNER, STRANGER = Signer(b"k" * 32), Signer(b"s" * 32)


@dataclass(kw_only=True)
class Server:
    """A central that knows the time; it keeps what it was asked, with or without the secret."""

    url: str = ""
    now_ms: int = NOW_MS
    signer: Signer | None = SIGNER
    replayed: TimeReply | None = None
    asked: list[tuple[str, bool]] = field(default_factory=list)

    async def time(self, request: web.Request) -> web.Response:
        nonce = bytes.fromhex(request.query["nonce"])
        reply = TimeReply(server_time_ms=self.now_ms)
        if self.signer is not None:
            signature = self.signer.sign(TIME_SIGNATURE_KIND, signed_time(nonce, self.now_ms))
            reply = msgspec.structs.replace(reply, key_id=SIGNER.key_id, signature=signature)
        reply = self.replayed or reply
        return web.Response(body=msgspec.json.encode(reply), content_type="application/json")

    async def feed(self, _request: web.Request) -> web.Response:
        page = FeedPage(cursor="1", changes=[], complete=True)
        return web.Response(body=msgspec.msgpack.encode(page), content_type="application/msgpack")


@asynccontextmanager
async def serving(made: Certificates, folder: Path) -> AsyncIterator[Server]:
    """The server with its certificate, whose authority is in ``ca.pem``."""
    (folder / "ca.pem").write_bytes(made.ca)
    (folder / "server.pem").write_bytes(made.server + made.server_key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "server.pem")
    server = Server()

    @web.middleware
    async def note(request: web.Request, handler: object) -> web.StreamResponse:
        server.asked.append((request.path, "Authorization" in request.headers))
        assert callable(handler)
        answer: web.StreamResponse = await handler(request)
        return answer

    app = web.Application(middlewares=[note])
    app.add_routes([web.get("/v1/time", server.time), web.get("/v1/feed", server.feed)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    server.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@dataclass(kw_only=True)
class Machine:
    """The clocks of a shop's machine."""

    wall_ms: int = NOW_MS
    trusted_ms: int = NOW_MS

    def hear(self, central_ms: int) -> None:
        self.trusted_ms = max(self.trusted_ms, central_ms)

    def dates(self) -> Dates:
        return Dates(
            KeptTime(
                wall_now_ms=lambda: self.wall_ms,
                trusted_now_ms=lambda: self.trusted_ms,
                hear=self.hear,
                keys={SIGNER.key_id: SIGNER.public_key},
                chance=SystemChance(),
            )
        )


async def ask(server: Server, folder: Path, machine: Machine) -> str | None:
    """The code that a call ends with; None when it was answered."""
    transport = Transport(
        server.url, credential="secret", ca_file=folder / "ca.pem", dates=machine.dates()
    )
    await transport.open()
    try:
        await transport.feed("", 0)
    except AppError as error:
        return error.stable_code
    finally:
        await transport.close()
    return None


TOLD = [("/v1/time", False), ("/v1/feed", True)]


@pytest.mark.parametrize(
    ("machine", "asked"),
    [
        (Machine(), [("/v1/feed", True)]),
        (Machine(wall_ms=300_000), TOLD),
        (Machine(wall_ms=300_000, trusted_ms=300_000), TOLD),
        (Machine(wall_ms=NOW_MS + 20 * YEAR_MS), TOLD),
        (Machine(wall_ms=4_300_000_000_000), TOLD),
        # Four months closed, and the certificate was renewed a week ago.
        (Machine(wall_ms=NOW_MS, trusted_ms=NOW_MS - 120 * DAY_MS), TOLD),
        (Machine(wall_ms=300_000, trusted_ms=NOW_MS - 120 * DAY_MS), TOLD),
    ],
    ids=["right", "1970", "1970 at first", "2046", "2106", "closed", "closed and 1970"],
)
async def test_whatever_the_clock_says_central_is_heard(
    tmp_path: Path, machine: Machine, asked: list[tuple[str, bool]]
) -> None:
    """A clock that may be wrong costs one question, asked without any secret, and no more."""
    renewed = make_certificates(["127.0.0.1"], now_ms=NOW_MS - 7 * DAY_MS)
    async with serving(renewed, tmp_path) as server:
        assert await ask(server, tmp_path, machine) is None
        assert asked == server.asked
        assert machine.trusted_ms == NOW_MS


@pytest.mark.parametrize("wall_ms", [NOW_MS, 300_000, NOW_MS - 2 * YEAR_MS])
async def test_expired_certificate_is_refused_whatever_the_clock_says(
    tmp_path: Path, wall_ms: int
) -> None:
    """Nobody who has an old key becomes central by setting a clock back, or by waiting."""
    expired = make_certificates(["127.0.0.1"], now_ms=NOW_MS - 11 * YEAR_MS)
    async with serving(expired, tmp_path) as server:
        machine = Machine(wall_ms=wall_ms)
        assert await ask(server, tmp_path, machine) == "bad_certificate_dates"
        # The thief knows the time and not the key that signs it.
        server.signer = STRANGER
        machine = Machine(wall_ms=300_000, trusted_ms=NOW_MS - 2 * YEAR_MS)
        assert await ask(server, tmp_path, machine) == "not_central"
        assert {path for path, _ in server.asked} == {"/v1/time"}


async def test_time_is_believed_by_its_signature_alone(tmp_path: Path) -> None:
    """Not without one, not by a stranger's, not an answer to an older question; nothing moves."""
    made = make_certificates(["127.0.0.1"], now_ms=NOW_MS)
    async with serving(made, tmp_path) as server:
        signature = SIGNER.sign(TIME_SIGNATURE_KIND, signed_time(b"n" * 16, NOW_MS))
        old = TimeReply(server_time_ms=NOW_MS, key_id=SIGNER.key_id, signature=signature)
        for signer, replayed in ((None, None), (STRANGER, None), (SIGNER, old)):
            server.signer, server.replayed = signer, replayed
            machine = Machine(wall_ms=300_000, trusted_ms=300_000)
            assert await ask(server, tmp_path, machine) == "not_central"
            assert machine.trusted_ms == 300_000
        assert {path for path, _ in server.asked} == {"/v1/time"}


async def test_authority_and_name_are_looked_at_even_when_dates_are_not(tmp_path: Path) -> None:
    """The question itself is asked of central only."""
    others = tmp_path / "others"
    others.mkdir()
    for names in (["127.0.0.1"], ["elsewhere"]):
        made = make_certificates(names, now_ms=NOW_MS)
        async with serving(made, others) as server:
            if names == ["127.0.0.1"]:
                stranger = make_certificates(names, now_ms=NOW_MS)
                (others / "ca.pem").write_bytes(stranger.ca)
            assert await ask(server, others, Machine(wall_ms=300_000)) == "bad_certificate"
            assert server.asked == []
