"""A serial port as asyncio sees it: found by its lasting name, opened, read, written, lost.

The one thing a caller must know: a port ends. Whatever is asked of one whose cable was pulled
raises ``UnavailableError``; the caller closes it and opens the same name again.
"""

from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, Protocol

import serial
from serial.tools import list_ports

from edge_agent.serial_settings import PortSettings
from shared.errors import UnavailableError

READ_BYTES_MAX: Final = 4096
WRITE_BYTES_MAX: Final = 256 * 1024
"""Waiting for a device that does not take them; the longest reply fits."""


class UsbPort(Protocol):
    """What the system tells of a port (``serial.tools.list_ports``)."""

    @property
    def device(self) -> str:
        """Its path."""
        ...

    @property
    def vid(self) -> int | None:
        """USB vendor; None: not on USB."""
        ...

    @property
    def pid(self) -> int | None:
        """USB product."""
        ...

    @property
    def serial_number(self) -> str | None:
        """What tells two devices of one kind apart, where they have such."""
        ...


def usb_path(usb: str, ports: Iterable[UsbPort]) -> str:
    """The path of the device VID:PID or VID:PID:SERIAL among those that are plugged in.

    Raises:
        UnavailableError: there is none, or several that only a serial number tells apart.
    """
    vid, pid, *number = usb.split(":", 2)
    found = [
        port.device
        for port in ports
        if (port.vid, port.pid) == (int(vid, 16), int(pid, 16))
        and (not number or port.serial_number == number[0])
    ]
    if not found:
        raise UnavailableError(f"no USB device {usb} is plugged in")
    if len(found) > 1:
        raise UnavailableError(
            f"several USB devices are {usb}", hint="Name the serial number too, or a path."
        )
    return found[0]


class Port:
    """One opening of a port; use it in the event loop that opened it."""

    def __init__(self, device: serial.Serial) -> None:
        self._device = device
        self._descriptor: int = device.fileno()
        self._loop = asyncio.get_running_loop()
        self._out = bytearray()
        self._came: asyncio.Future[bytes] | None = None
        self._flushed = asyncio.Event()
        self._flushed.set()
        self._error: str | None = None

    @classmethod
    async def open(cls, settings: PortSettings) -> Port:
        """Find the port and open it for this program alone.

        Raises:
            UnavailableError: it is not plugged in, another program has it, or it may not be used.
        """
        opening = asyncio.ensure_future(asyncio.to_thread(_open, settings))
        try:
            device = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread goes on by itself: what it opens must not stay open.
            opening.add_done_callback(_close_unwanted)
            raise
        return cls(device)

    async def read(self) -> bytes:
        """The bytes that have come, at least one, at most ``READ_BYTES_MAX``; one reader at a time.

        Raises:
            UnavailableError: the port is gone.
        """
        self._check()
        assert self._came is None, "one reader at a time"
        self._came = self._loop.create_future()
        self._loop.add_reader(self._descriptor, self._readable)
        try:
            return await self._came
        finally:
            self._came = None
            self._loop.remove_reader(self._descriptor)

    def write(self, data: bytes) -> None:
        """Have the bytes sent, in order; does not wait.

        Raises:
            UnavailableError: the port is gone, or takes nothing any more.
        """
        self._check()
        if len(self._out) + len(data) > WRITE_BYTES_MAX:
            self._lose("the device takes no bytes")
            self._check()
        was_empty = not self._out
        self._out += data
        if was_empty:
            self._flushed.clear()
            self._writable()
            if self._out:
                self._loop.add_writer(self._descriptor, self._writable)

    async def flush(self) -> None:
        """Wait until the system has taken everything.

        Raises:
            UnavailableError: the port is gone.
        """
        await self._flushed.wait()
        self._check()

    def close(self) -> None:
        """Give the port back; may be called twice."""
        self._loop.remove_reader(self._descriptor)
        self._loop.remove_writer(self._descriptor)
        self._error = self._error or "the port is closed"
        # What nobody takes would hold up the closing, and with it everybody, for half a minute.
        with suppress(OSError, termios.error):
            self._device.reset_output_buffer()
        with suppress(OSError):
            self._device.close()

    def _check(self) -> None:
        if self._error is not None:
            raise UnavailableError(self._error)

    def _readable(self) -> None:
        assert self._came is not None, "only a waiting reader is registered"
        if self._came.done():
            return
        try:
            data = os.read(self._descriptor, READ_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(f"the port is gone: {error.strerror}")
            return
        if data:
            self._came.set_result(data)
        else:
            self._lose("the port is gone")

    def _writable(self) -> None:
        try:
            sent = os.write(self._descriptor, self._out)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(f"the port is gone: {error.strerror}")
            return
        del self._out[:sent]
        if not self._out:
            self._loop.remove_writer(self._descriptor)
            self._flushed.set()

    def _lose(self, reason: str) -> None:
        self._error = reason
        self._out.clear()
        self._flushed.set()
        self._loop.remove_writer(self._descriptor)
        if self._came is not None and not self._came.done():
            self._came.set_exception(UnavailableError(reason))


def _open(
    settings: PortSettings, ports: Callable[[], Iterable[UsbPort]] = list_ports.comports
) -> serial.Serial:
    path = settings.path
    if path is None:
        assert settings.usb is not None, "the configuration was checked"
        path = usb_path(settings.usb, ports())
    try:
        return serial.Serial(
            path, settings.baud, rtscts=settings.rtscts, exclusive=True, timeout=0, write_timeout=0
        )
    except (OSError, ValueError, termios.error) as error:
        raise UnavailableError(
            f"{path} cannot be opened", hint="Is it plugged in, and may this user use it?"
        ) from error


def _close_unwanted(opening: asyncio.Future[serial.Serial]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
