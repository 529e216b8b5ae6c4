"""A TCP proxy that can be cut: the demo's uplink cable.

Cutting stops forwarding in both directions, drops every connection with a reset, and closes the
port, so that new connections are refused as by a dead router. Mending opens the same port again.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Final

CHUNK_BYTES: Final = 64 * 2**10


class Proxy:
    """One cable from 127.0.0.1:``port`` to ``target_host``:``target_port``."""

    def __init__(self, *, target_host: str, target_port: int) -> None:
        self._target = (target_host, target_port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.forwarded_bytes = 0

    @property
    def connected(self) -> bool:
        """Whether the cable carries anything."""
        return self._server is not None

    async def start(self) -> None:
        """Open the port; the first time any free one, later always the same."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Stop forwarding and reset what is open; returns when nothing can pass any more."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in list(self._writers):
            _reset(writer)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        far_writer = None
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            self._writers.add(far_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer))
                group.create_task(self._pump(far_reader, writer))
        except* (OSError, asyncio.CancelledError):
            pass  # a broken cable is what this class is for
        finally:
            self._tasks.discard(task)
            for end in (writer, far_writer):
                if end is not None:
                    self._writers.discard(end)
                    end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if self._server is None:
                return
            self.forwarded_bytes += len(data)
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, not FIN: a cut cable says no good-bye."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport = writer.transport
    assert isinstance(transport, asyncio.Transport)
    transport.abort()
