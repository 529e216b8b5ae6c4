"""A till on a pseudo-terminal: the agent opens one end by a lasting name, the test holds the other.

Reading and writing block, as in a till: call the reference client in a thread.
"""

from __future__ import annotations

import asyncio
import os
import select
import time
import tty
from pathlib import Path

from edge_agent.serial.reference_client import ReferenceTill
from tests.support.noise import Noise


class PtyPort:
    """The till's end; ``link`` is what the agent is told to open."""

    def __init__(self, link: Path, *, timeout_s: float = 2.0) -> None:
        self.link = link
        self.timeout_s = timeout_s
        self.there: Noise = bytes
        self.back: Noise = bytes
        self.slowly = False
        """Byte by byte, each a write of its own."""
        self.master = -1
        self.plug()

    def plug(self) -> None:
        """A new device under the same name, as udev makes them."""
        self.master, slave = os.openpty()
        tty.setraw(slave)
        fresh = self.link.with_suffix(".new")
        fresh.symlink_to(os.ttyname(slave))
        fresh.replace(self.link)
        os.close(slave)

    def unplug(self) -> None:
        """The cable is pulled: the device and its name are gone."""
        os.close(self.master)
        self.master = -1
        self.link.unlink(missing_ok=True)

    def write(self, data: bytes) -> int:
        """Say it, with what the line makes of it."""
        said = self.there(data)
        pieces = [said[i : i + 1] for i in range(len(said))] if self.slowly else [said]
        for piece in pieces:
            os.write(self.master, piece)
            if self.slowly:
                time.sleep(0)
        return len(data)

    def read(self, size: int) -> bytes:
        """At most so many bytes, fewer when the time-out is over."""
        until = time.monotonic() + self.timeout_s
        taken = b""
        while len(taken) < size and (wait := until - time.monotonic()) > 0:
            if select.select([self.master], [], [], wait)[0]:
                try:
                    taken += self.back(os.read(self.master, size - len(taken)))
                except OSError:
                    # Nobody has the other end open at this moment.
                    time.sleep(0.01)
        return taken

    def reset_input_buffer(self) -> None:
        """Forget what came and was not read."""
        while select.select([self.master], [], [], 0)[0]:
            try:
                os.read(self.master, 4096)
            except OSError:
                return


class PtyTill:
    """A till in a thread of its own."""

    def __init__(self, port: PtyPort, charset: str = "cp866") -> None:
        self.port = port
        self.client = ReferenceTill(port, charset)

    async def ask(self, *fields: str, number: int | None = None) -> list[list[str]]:
        """The reply to a command."""
        return await asyncio.to_thread(self.client.ask, *fields, number=number)

    async def done(self, *fields: str) -> list[str]:
        """The first line of a reply that went well, without OK and the command's name."""
        first = (await self.ask(*fields))[0]
        assert first[:2] == ["OK", fields[0]], first
        return first[2:]

    async def refused(self, *fields: str) -> str:
        """The code of a refusal."""
        first = (await self.ask(*fields))[0]
        assert first[0] == "ER", first
        return first[1]
