"""The agent's end of the conversation on a line: what is answered, repeated, given up. Pure.

A till asks, the agent answers; nobody speaks uninvited. The till's message is acknowledged frame by
frame, executed, and its reply is sent frame by frame until the till has acknowledged each. The last
reply is kept: when the same message comes again, with the same number and the same contents, the
till has not got it, and it is sent again; the message is not executed twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_agent.serial.frames import (
    ACK,
    ALONE,
    BEGIN,
    CONTINUE,
    ENQ,
    NAK,
    Damage,
    Frame,
    FrameDecoder,
    Sign,
    encode_frame,
    frames_of,
    next_number,
)

REQUEST_BYTES_MAX: Final = 16 * 1024
"""A till's longest message: what a cashier scans fits many times."""
_BITS_A_BYTE: Final = 10
"""Start bit, eight bits, stop bit."""
_MS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Spans in milliseconds; ``repeats``: how often a frame is sent again before it is given up."""

    baud: int = 115_200
    byte_timeout_ms: int = 200
    answer_timeout_ms: int = 1000
    repeats: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Bytes for the line."""

    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Execute:
    """A whole message of the till, once; ``Link.answer`` takes the reply."""

    number: int
    message: bytes


Action = Send | Execute


@dataclass(slots=True, kw_only=True)
class _Request:
    """The last message of the till; ``reply`` None while it is being executed."""

    number: int
    parts: list[Frame]
    message: bytes
    reply: bytes | None = None


@dataclass(slots=True, kw_only=True)
class _Sending:
    """A reply on its way."""

    frames: list[Frame]
    index: int = 0
    repeats: int = 0
    due_ms: int = 0


class Link:
    """One line; it outlives the port, so that a till goes on after a cable was pulled.

    The owner calls ``receive`` with what comes, ``advance`` when ``due_ms`` is reached, ``answer``
    when a message was executed, and does the actions that each returns, in their order.
    """

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._decoder = FrameDecoder()
        self._parts: list[Frame] = []
        self._request: _Request | None = None
        self._sending: _Sending | None = None
        self._silent_at_ms: int | None = None
        self._damaged = False
        self.damage_count = 0
        """Times that noise was heard."""
        self.repeat_count = 0
        """Messages that came again."""

    @property
    def busy(self) -> bool:
        """Whether a message is being executed."""
        return self._request is not None and self._request.reply is None

    @property
    def due_ms(self) -> int | None:
        """When ``advance`` has something to do, if nothing comes before."""
        sending = None if self._sending is None else self._sending.due_ms
        return min(
            (each for each in (self._silent_at_ms, sending) if each is not None), default=None
        )

    def lost(self) -> None:
        """The port is gone: what was half said is forgotten, the last reply is not."""
        self._decoder = FrameDecoder()
        self._parts = []
        self._sending = None
        self._silent_at_ms = None
        self._damaged = False

    def receive(self, data: bytes, now_ms: int) -> list[Action]:
        """Bytes came from the till."""
        actions: list[Action] = []
        asked = False
        for event in self._decoder.feed(data):
            match event:
                case Damage():
                    self._note_damage()
                case Sign(byte=byte) if byte == ENQ:
                    # A line that is stuck on ENQ is answered once a breath.
                    if not asked:
                        actions.append(_sign(NAK if self.busy else ACK))
                    asked = True
                    self._damaged = False
                case Sign(byte=byte):
                    actions += self._acknowledged(now_ms, good=byte == ACK)
                case Frame():
                    self._damaged = False
                    actions += self._frame(event, now_ms)
        waits = self._decoder.in_frame or self._damaged
        self._silent_at_ms = now_ms + self._timing.byte_timeout_ms if waits else None
        return actions

    def advance(self, now_ms: int) -> list[Action]:
        """Time went by."""
        actions: list[Action] = []
        if self._silent_at_ms is not None and now_ms >= self._silent_at_ms:
            self._silent_at_ms = None
            for _ in self._decoder.silence():
                self._note_damage()
            # Only now: whoever was speaking into the noise has finished and listens.
            if self._damaged:
                self._damaged = False
                actions.append(_sign(NAK))
        if self._sending is not None and now_ms >= self._sending.due_ms:
            actions += self._repeat(now_ms)
        return actions

    def answer(self, reply: bytes, now_ms: int) -> list[Action]:
        """The message being executed was executed."""
        assert self._request is not None, "what was executed was asked"
        assert self._request.reply is None, "a message has one reply"
        self._request.reply = reply
        return self._begin_reply(now_ms)

    def _note_damage(self) -> None:
        self.damage_count += 1
        self._damaged = True

    def _frame(self, frame: Frame, now_ms: int) -> list[Action]:
        request = self._request
        last = None if request is None or not request.number else request.parts[-1]
        if not self._parts and frame == last:
            return [_sign(ACK), *self._again(now_ms)]
        if self._parts and frame == self._parts[-1]:
            return [_sign(ACK)]
        # What is in work may be sent again as a whole: it is put together once more, and known.
        if self.busy and (request is None or frame not in request.parts):
            return [_sign(NAK)]
        if frame.kind in (ALONE, BEGIN):
            self._parts = []
        elif not self._parts or frame.number != next_number(self._parts[-1].number):
            return [_sign(NAK)]
        # A till that asks anew has what it wanted of the last reply.
        self._sending = None
        if sum(len(part.data) for part in (*self._parts, frame)) > REQUEST_BYTES_MAX:
            self._parts = []
            return [_sign(NAK)]
        self._parts.append(frame)
        if frame.kind in (BEGIN, CONTINUE):
            return [_sign(ACK)]
        return [_sign(ACK), *self._message(now_ms)]

    def _message(self, now_ms: int) -> list[Action]:
        parts, self._parts = self._parts, []
        number, message = parts[0].number, b"".join(part.data for part in parts)
        request = self._request
        if (
            number != 0
            and request is not None
            and (request.number, request.parts[-1], request.message) == (number, parts[-1], message)
        ):
            return self._again(now_ms)
        self._request = _Request(number=number, parts=parts, message=message)
        return [Execute(number=number, message=message)]

    def _again(self, now_ms: int) -> list[Action]:
        """The last message came again: its reply, unless it is still being made."""
        self.repeat_count += 1
        return [] if self.busy else self._begin_reply(now_ms)

    def _begin_reply(self, now_ms: int) -> list[Action]:
        request = self._request
        assert request is not None, "a reply is to a message"
        assert request.reply is not None, "the message was executed"
        self._sending = _Sending(frames=frames_of(request.parts[-1].number, request.reply))
        return self._send(self._sending, now_ms)

    def _acknowledged(self, now_ms: int, *, good: bool) -> list[Action]:
        sending = self._sending
        if sending is None:
            return []
        if not good:
            return self._repeat(now_ms)
        sending.index += 1
        sending.repeats = 0
        if sending.index == len(sending.frames):
            self._sending = None
            return []
        return self._send(sending, now_ms)

    def _repeat(self, now_ms: int) -> list[Action]:
        sending = self._sending
        assert sending is not None, "only what is being sent is repeated"
        if sending.repeats == self._timing.repeats:
            # Nobody listens; who still wants the reply asks again.
            self._sending = None
            return []
        sending.repeats += 1
        return self._send(sending, now_ms)

    def _send(self, sending: _Sending, now_ms: int) -> list[Action]:
        data = encode_frame(sending.frames[sending.index])
        on_the_wire_ms = len(data) * _BITS_A_BYTE * _MS // self._timing.baud
        sending.due_ms = now_ms + on_the_wire_ms + self._timing.answer_timeout_ms
        return [Send(data=data)]


def _sign(byte: int) -> Action:
    return Send(data=bytes([byte]))
