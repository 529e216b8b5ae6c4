"""The cable: what passes, what does not, and that it can be mended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from installer.demo.proxy import Proxy


@pytest.fixture
async def echo_port() -> AsyncIterator[int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    writer.write(data)
    await writer.drain()
    return await asyncio.wait_for(reader.read(1000), 5)


async def test_bytes_pass_both_ways_while_the_cable_is_whole(echo_port: int) -> None:
    """A whole cable changes nothing of what it carries."""
    proxy = Proxy(target_host="127.0.0.1", target_port=echo_port)
    await proxy.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)

    answer = await ask(reader, writer, b"hello")

    assert answer == b"hello"
    assert proxy.forwarded_bytes == 10
    writer.close()
    await proxy.cut()


async def test_cut_resets_open_connections_and_refuses_new_ones(echo_port: int) -> None:
    """After the cut nothing passes, neither on old connections nor on new ones."""
    proxy = Proxy(target_host="127.0.0.1", target_port=echo_port)
    await proxy.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    await ask(reader, writer, b"hello")

    await proxy.cut()

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(reader.readexactly(1), 5)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    assert not proxy.connected
    writer.close()


async def test_mended_cable_has_the_same_port_and_carries_again(echo_port: int) -> None:
    """An agent finds central where it was before the outage."""
    proxy = Proxy(target_host="127.0.0.1", target_port=echo_port)
    await proxy.start()
    port = proxy.port
    await proxy.cut()

    await proxy.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    assert await ask(reader, writer, b"again") == b"again"
    writer.close()
    await proxy.cut()
