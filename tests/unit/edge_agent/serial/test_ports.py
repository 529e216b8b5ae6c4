"""Ports by lasting names, waited for with growing pauses."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from edge_agent.serial.keeper import PAUSE_MAX_S, PAUSE_MIN_S, PortKeeper
from edge_agent.serial.port import WRITE_BYTES_MAX, Port, usb_path
from edge_agent.serial_settings import PortSettings
from shared.errors import UnavailableError
from shared.status import Health


@dataclass
class Plugged:
    device: str
    vid: int | None = None
    pid: int | None = None
    serial_number: str | None = None


PORTS = [
    Plugged("/dev/ttyS0"),
    Plugged("/dev/ttyUSB0", 0x0403, 0x6001, "A50285BI"),
    Plugged("/dev/ttyUSB1", 0x0403, 0x6001, "A50285BJ"),
    Plugged("/dev/ttyACM0", 0x0C2E, 0x0B61),
]


def test_usb_devices_are_found_by_what_they_are() -> None:
    """By kind where there is one of it, by serial number where there are more; in any case."""
    assert usb_path("0c2e:0B61", PORTS) == "/dev/ttyACM0"
    assert usb_path("0403:6001:A50285BJ", PORTS) == "/dev/ttyUSB1"
    assert usb_path("0403:6001:A50285BJ", PORTS[::-1]) == "/dev/ttyUSB1"


@pytest.mark.parametrize("usb", ["0403:6001", "0403:6001:other", "ffff:0001"])
def test_no_device_is_taken_for_another(usb: str) -> None:
    """Two of a kind are not guessed at."""
    with pytest.raises(UnavailableError):
        usb_path(usb, PORTS)


async def test_missing_port_is_waited_for_with_bounded_pauses(tmp_path: Path) -> None:
    """Each pause is twice the one before up to the greatest; the status says what is missing."""
    pauses: list[float] = []

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)

    async def serve(_port: Port) -> None:
        raise AssertionError("nothing can be open")

    settings = PortSettings(name="R1", path=str(tmp_path / "nothing"))
    keeper = PortKeeper(settings, serve, sleep=sleep)
    assert keeper.status().health is Health.NOT_READY
    for _ in range(8):
        await keeper.round()
    assert pauses[0] == PAUSE_MIN_S
    assert all(b == min(2 * a, PAUSE_MAX_S) for a, b in pairwise(pauses))
    assert pauses[-1] == PAUSE_MAX_S
    status = keeper.status()
    assert (status.component, status.health) == ("port_R1", Health.WARN)
    assert str(tmp_path / "nothing") in status.message


async def test_port_that_is_lost_at_once_is_opened_less_and_less_often() -> None:
    """A broken device neither keeps the agent busy nor fills its log."""
    pauses: list[float] = []

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)

    async def serve(_port: Port) -> None:
        raise UnavailableError("gone")

    master, slave = os.openpty()
    keeper = PortKeeper(PortSettings(name="R1", path=os.ttyname(slave)), serve, sleep=sleep)
    for _ in range(16):
        await keeper.round()
    assert len(pauses) == 8
    assert all(b == min(2 * a, PAUSE_MAX_S) for a, b in pairwise(pauses))
    assert keeper.status().health is Health.WARN
    os.close(slave)
    os.close(master)


async def test_what_is_no_port_is_a_missing_one(tmp_path: Path) -> None:
    """A file under the name of a port is a message, not a crash."""
    (tmp_path / "file").write_text("x", "utf-8")
    with pytest.raises(UnavailableError):
        await Port.open(PortSettings(name="R1", path=str(tmp_path / "file")))


async def test_port_that_takes_nothing_is_given_up_and_closed_at_once() -> None:
    """What waits for a device is bounded, and does not hold up the closing."""
    master, slave = os.openpty()
    port = await Port.open(PortSettings(name="R1", path=os.ttyname(slave)))
    os.close(slave)
    port.write(b"x" * WRITE_BYTES_MAX)
    with pytest.raises(UnavailableError):
        port.write(b"x" * WRITE_BYTES_MAX)
    with pytest.raises(UnavailableError):
        await port.read()
    port.close()
    port.close()
    os.close(master)


async def test_port_is_opened_by_one_program() -> None:
    """Two programs on one line would each get half of it."""
    master, slave = os.openpty()
    settings = PortSettings(name="R1", path=os.ttyname(slave))
    port = await Port.open(settings)
    with pytest.raises(UnavailableError):
        await Port.open(settings)
    port.close()
    again = await Port.open(settings)
    again.close()
    os.close(slave)
    os.close(master)


async def test_bytes_come_and_go_in_order() -> None:
    """More than a buffer holds, in both directions, until the other end is gone."""
    master, slave = os.openpty()
    port = await Port.open(PortSettings(name="R1", path=os.ttyname(slave)))
    os.close(slave)
    sent = bytes(range(256)) * 200
    heard = b""
    port.write(sent)
    while len(heard) < len(sent):
        heard += await asyncio.to_thread(os.read, master, 4096)
    assert heard == sent
    await port.flush()
    os.write(master, b"hello")
    assert await port.read() == b"hello"
    os.close(master)
    with pytest.raises(UnavailableError):
        await port.read()
    port.close()
