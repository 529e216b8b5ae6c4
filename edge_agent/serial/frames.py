"""Frames on a serial line: bytes in, frames and single control bytes out. Pure.

A frame is ``STX kind number length crc data ETX LRC``; docs/serial.md shows it byte by byte. Three
things make a noisy line harmless:

- No control byte stands inside a frame, so an STX begins a frame wherever it comes. Only the one
  byte after ETX may be anything: it is the LRC, even where it equals STX.
- The length says where ETX must stand; one anywhere else is damage.
- An LRC alone overlooks two flips in the same column of two bytes. The CRC-16 finds every one, two
  or three flipped bits of a frame, and of longer noise all but one in 65,536; both must fit.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Final

STX: Final = 0x02
ETX: Final = 0x03
ENQ: Final = 0x05
ACK: Final = 0x06
NAK: Final = 0x15
SIGNS: Final = frozenset((ENQ, ACK, NAK))

FRAME_BYTES_MAX: Final = 1024
HEADER_BYTES: Final = 12
"""Kind 1, number 3, length 4, CRC 4; all ASCII, so that a terminal program shows them."""
DATA_BYTES_MAX: Final = FRAME_BYTES_MAX - HEADER_BYTES - 3
NUMBER_MAX: Final = 999
ALONE: Final = "A"
BEGIN: Final = "B"
CONTINUE: Final = "C"
DONE: Final = "D"

_LF: Final = 0x0A
_GS: Final = 0x1D
_DEL: Final = 0x7F
_ANYTHING_OF_OURS: Final = re.compile(rb"[\x02\x05\x06\x15]")
_HEADER: Final = (b"ABCD", *[b"0123456789"] * 7, *[b"0123456789ABCDEF"] * 4)
_IN_DATA: Final = frozenset({_LF, _GS, *range(0x20, 0x100)} - {_DEL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame whose checks all fit; ``kind``: alone, or begin, continue and done of several."""

    kind: str
    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Sign:
    """A control byte by itself: ENQ, ACK or NAK."""

    byte: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes came that are no frame; told once until something good comes."""


Event = Frame | Sign | Damage


def encode_frame(frame: Frame) -> bytes:
    """The bytes of a frame; data longer than ``DATA_BYTES_MAX`` are a fault of the caller."""
    assert len(frame.data) <= DATA_BYTES_MAX, "a message is split before it is framed"
    assert 0 <= frame.number <= NUMBER_MAX, "numbers have three digits"
    assert _IN_DATA.issuperset(frame.data), "control bytes stand outside frames"
    head = f"{frame.kind}{frame.number:03d}{len(frame.data):04d}".encode("ascii")
    body = head + f"{crc_of(head + frame.data):04X}".encode("ascii") + frame.data + bytes([ETX])
    return bytes([STX]) + body + bytes([lrc_of(body)])


def crc_of(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF; ``123456789`` gives 0x29B1."""
    return binascii.crc_hqx(data, 0xFFFF)


def lrc_of(data: bytes | bytearray) -> int:
    """All bytes after STX, ETX included, XORed together, beginning with 0."""
    return reduce(xor, data, 0)


def next_number(number: int) -> int:
    """999 is followed by 001; 000 begins a conversation and never comes again."""
    return number % NUMBER_MAX + 1


def frames_of(number: int, message: bytes) -> list[Frame]:
    """A message of any length as frames, numbered upwards from ``number``."""
    parts = [
        message[at : at + DATA_BYTES_MAX] for at in range(0, len(message), DATA_BYTES_MAX)
    ] or [b""]
    if len(parts) == 1:
        return [Frame(kind=ALONE, number=number, data=parts[0])]
    frames: list[Frame] = []
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        kind = BEGIN if index == 0 else DONE if last else CONTINUE
        frames.append(Frame(kind=kind, number=number, data=part))
        number = next_number(number)
    return frames


class FrameDecoder:
    """Finds frames in a stream of bytes; holds at most one frame."""

    def __init__(self) -> None:
        self._body = bytearray()
        """What came after STX."""
        self._in_frame = False
        self._damaged = False

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._in_frame

    def feed(self, data: bytes) -> Iterator[Event]:
        """What these bytes complete, in the order of the line."""
        at = 0
        while at < len(data):
            if self._in_frame:
                yield from self._take(data[at])
                at += 1
                continue
            found = _ANYTHING_OF_OURS.search(data, at)
            end = len(data) if found is None else found.start()
            if end > at:
                yield from self._damage()
            at = end
            if at < len(data):
                yield from self._outside(data[at])
                at += 1

    def silence(self) -> Iterator[Event]:
        """The line has been silent for longer than a frame may pause."""
        if self._in_frame:
            yield from self._drop()

    def _outside(self, byte: int) -> Iterator[Event]:
        if byte == STX:
            self._in_frame = True
            self._body.clear()
        elif byte in SIGNS:
            self._damaged = False
            yield Sign(byte)
        else:
            yield from self._damage()

    def _take(self, byte: int) -> Iterator[Event]:
        """One byte inside a frame."""
        place = len(self._body)
        if place < HEADER_BYTES:
            fits = byte in _HEADER[place]
        else:
            end = HEADER_BYTES + int(self._body[4:8])
            if place == end + 1:
                yield from self._finish(byte)
                return
            fits = byte == ETX if place == end else byte in _IN_DATA
        if fits:
            self._body.append(byte)
            if place != HEADER_BYTES - 1 or int(self._body[4:8]) <= DATA_BYTES_MAX:
                return
        yield from self._drop()
        if not fits and (byte == STX or byte in SIGNS):
            yield from self._outside(byte)

    def _finish(self, lrc: int) -> Iterator[Event]:
        """The one byte after ETX: whatever it looks like, it is the LRC, if it fits as one."""
        head, data = bytes(self._body[:8]), bytes(self._body[HEADER_BYTES:-1])
        crc = int(self._body[8:HEADER_BYTES], 16)
        if lrc_of(self._body) == lrc and crc_of(head + data) == crc:
            self._in_frame = self._damaged = False
            yield Frame(kind=chr(head[0]), number=int(head[1:4]), data=data)
            return
        yield from self._drop()
        # Perhaps the LRC was lost, and this already begins what comes next.
        if lrc == STX or lrc in SIGNS:
            yield from self._outside(lrc)

    def _drop(self) -> Iterator[Event]:
        self._in_frame = False
        yield from self._damage()

    def _damage(self) -> Iterator[Event]:
        if not self._damaged:
            self._damaged = True
            yield Damage()
