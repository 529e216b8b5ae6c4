"""A till's end of the line in a hundred lines: a pattern for vendors, and what the tests talk with.

with serial.Serial("/dev/ttyS0", 115200, timeout=1) as port:
    till = ReferenceTill(port)
    till.ask("HELLO", number=0)
    print(till.ask("STAT"))
"""

import binascii
from functools import reduce
from operator import xor
from typing import Protocol

STX, ETX, ACK, NAK = 2, 3, 6, 21
DAMAGE, SILENCE = -1, -2
DATA_BYTES_MAX, HEADER_BYTES, TRIES = 1009, 12, 5


class NoAnswerError(Exception):
    """The agent did not answer: ask again later; whatever was asked may have been done."""


class Port(Protocol):
    """What is used of pyserial's ``Serial``, which was opened with a time-out for reading."""

    def read(self, size: int) -> bytes: ...  # noqa: D102 - as in pyserial
    def write(self, data: bytes) -> object: ...  # noqa: D102 - as in pyserial
    def reset_input_buffer(self) -> None: ...  # noqa: D102 - as in pyserial


def encode(kind: bytes, number: int, data: bytes) -> bytes:
    """STX, kind, number, length, CRC, data, ETX, LRC."""
    head = b"%s%03d%04d" % (kind, number, len(data))
    body = head + b"%04X" % binascii.crc_hqx(head + data, 0xFFFF) + data + bytes([ETX])
    return bytes([STX]) + body + bytes([reduce(xor, body)])


class ReferenceTill:
    """Asks one thing after the other; every command has the number after the last one's."""

    def __init__(self, port: Port, charset: str = "cp866") -> None:
        self.port, self.charset, self.number = port, charset, 0

    def ask(self, *fields: str, number: int | None = None) -> list[list[str]]:
        """The reply as lines of fields; raises NoAnswerError. A given ``number`` is a repeat."""
        data = "|".join(fields).encode(self.charset)
        parts = [data[i : i + DATA_BYTES_MAX] for i in range(0, len(data), DATA_BYTES_MAX)]
        kinds = b"A" if len(parts) == 1 else b"B" + b"C" * (len(parts) - 2) + b"D"
        self.number = self.number % 999 + 1 if number is None else number
        frames = []
        for index, part in enumerate(parts):
            self.number = self.number % 999 + 1 if index else self.number
            frames.append(encode(kinds[index : index + 1], self.number, part))
        for _ in range(TRIES):
            self.port.reset_input_buffer()
            if all(self._put(frame) for frame in frames):
                reply = self._take_reply(self.number)
                if reply is not None:
                    return [line.split("|") for line in reply.decode(self.charset).split("\n")]
        raise NoAnswerError

    def _put(self, frame: bytes) -> bool:
        """Send one frame until it is acknowledged; False: nobody listens."""
        for _ in range(TRIES):
            self.port.write(frame)
            if self._next() == ACK:
                return True
        return False

    def _take_reply(self, number: int) -> bytes | None:
        """The whole reply; None: it did not come, so the request must be sent again."""
        reply, kinds = b"", b"AB"
        while (came := self._next()) != SILENCE:
            if isinstance(came, tuple):
                kind, its_number, data = came
                self.port.write(bytes([ACK]))  # what came twice, too: the first ACK was lost
                if kind in kinds and its_number == number:
                    reply, kinds, number = reply + data, b"CD", number % 999 + 1
                    if kind in b"AD":
                        return reply
            elif came == DAMAGE:
                self.port.write(bytes([NAK]))
        return None

    def _next(self) -> int | tuple[bytes, int, bytes]:
        """ACK, NAK, a frame, DAMAGE or SILENCE."""
        byte = self.port.read(1)
        while byte and byte[0] not in (STX, ACK, NAK):
            byte = self.port.read(1)
        if not byte or byte[0] != STX:
            return byte[0] if byte else SILENCE
        head = self.port.read(HEADER_BYTES)
        if not head[1:8].isdigit() or len(head) < HEADER_BYTES or int(head[4:8]) > DATA_BYTES_MAX:
            return DAMAGE
        rest = self.port.read(int(head[4:8]) + 2)
        frame = bytes([STX]) + head + rest
        if encode(head[:1], int(head[1:4]), rest[:-2]) != frame:
            return DAMAGE
        return head[:1], int(head[1:4]), rest[:-2]
