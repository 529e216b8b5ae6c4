"""Scanners, card readers and customer displays beside a till."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Final

from edge_agent.serial.display import SET_UP, Picture, render
from edge_agent.serial.line import BREATH_S
from edge_agent.serial.port import READ_BYTES_MAX, Port
from shared.errors import AppError
from shared.logs import get_logger

CODE_BYTES_MAX: Final = 600
"""Three tracks of a card, or the longest marking code several times."""
SCROLL_S: Final = 0.35
_END: Final = re.compile(rb"[\r\n\t\x02\x03]+")
"""What scanners send after a code, and card readers around one."""
_GS: Final = b"\x1d"
_LOG = get_logger(__name__)


class CodeSplitter:
    """Cuts a scanner's bytes into codes. Pure; a code without an end is dropped as a whole."""

    def __init__(self, separator: bytes | None = None) -> None:
        """``separator``: the byte that a scanner sends in place of GS (0x1D), if it is another."""
        self._separator = separator
        self._rest = b""
        self._dropping = False
        self.dropped_count = 0
        """Codes longer than any code is."""

    def feed(self, data: bytes) -> Iterator[str]:
        """The codes that these bytes complete."""
        *codes, rest = _END.split(self._rest + data)
        for code in codes:
            if self._dropping:
                self._dropping = False
            elif len(code) > CODE_BYTES_MAX:
                self.dropped_count += 1
            elif code:
                yield self._text(code)
        if self._dropping:
            rest = b""
        elif len(rest) > CODE_BYTES_MAX:
            self._dropping = True
            self.dropped_count += 1
            rest = b""
        self._rest = rest

    def _text(self, code: bytes) -> str:
        if self._separator is not None:
            # Before it is text: such a byte need not be a part of any character.
            code = code.replace(self._separator, _GS)
        return code.decode("utf-8", "replace")


class Scanner:
    """Reads codes and hands them on; ``take`` raises ``AppError`` for those it refuses."""

    def __init__(
        self, name: str, take: Callable[[str], None], separator: bytes | None = None
    ) -> None:
        self._name = name
        self._take = take
        self._separator = separator

    async def serve(self, port: Port) -> None:
        """Read until the port is lost.

        Raises:
            UnavailableError: it is lost.
        """
        splitter = CodeSplitter(self._separator)
        known_dropped = 0
        while True:
            data = await port.read()
            for code in splitter.feed(data):
                try:
                    self._take(code)
                except AppError as error:
                    # The code itself is no business of a log.
                    _LOG.info("serial.code_refused", port=self._name, code=error.stable_code)
            if splitter.dropped_count > known_dropped:
                known_dropped = splitter.dropped_count
                _LOG.info("serial.code_dropped", port=self._name, count=known_dropped)
            if len(data) == READ_BYTES_MAX:
                await asyncio.sleep(BREATH_S)


class Display:
    """Shows the newest picture; one that is too wide scrolls."""

    def __init__(self) -> None:
        self._picture = Picture()
        self._changed = asyncio.Event()

    def show(self, picture: Picture) -> None:
        """Replace what is shown; does not wait."""
        self._picture = picture
        self._changed.set()

    async def serve(self, port: Port) -> None:
        """Write until the port is lost; a display says nothing, so a write tells whether it is.

        Raises:
            UnavailableError: it is lost.
        """
        listening = asyncio.create_task(self._listen(port))
        showing = asyncio.create_task(self._write(port))
        try:
            await asyncio.wait({listening, showing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (listening, showing):
                task.cancel()
            results = await asyncio.gather(listening, showing, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _listen(self, port: Port) -> None:
        """What a display sends is of no use; that its line ends is."""
        while True:
            await port.read()
            await asyncio.sleep(BREATH_S)

    async def _write(self, port: Port) -> None:
        port.write(SET_UP)
        while True:
            picture, step = self._picture, 0
            self._changed.clear()
            while not self._changed.is_set():
                port.write(render(picture, step))
                await port.flush()
                step += 1
                pause_s = None if picture.step_count == 1 else SCROLL_S
                try:
                    await asyncio.wait_for(self._changed.wait(), pause_s)
                except TimeoutError:
                    continue
