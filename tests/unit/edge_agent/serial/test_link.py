"""The conversation: every message is executed once and answered, whatever is lost on the way."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from edge_agent.serial.frames import ACK, DATA_BYTES_MAX, ENQ, NAK, Frame, encode_frame, frames_of
from edge_agent.serial.link import REQUEST_BYTES_MAX, Action, Execute, Link, Send, Timing
from edge_agent.serial.reference_client import NoAnswerError, ReferenceTill
from tests.support.examples import NIGHTLY
from tests.support.noise import Noise, a_seed, flip_bits, mangle
from tests.support.serial_line import VirtualPort, sometimes

STAT = encode_frame(Frame(kind="A", number=7, data=b"STAT"))


def sent(actions: Sequence[Action]) -> bytes:
    return b"".join(action.data for action in actions if isinstance(action, Send))


def asked(actions: Sequence[Action]) -> list[Execute]:
    return [action for action in actions if isinstance(action, Execute)]


class Counter:
    """Answers with what was asked, and remembers every execution."""

    def __init__(self, reply: Callable[[bytes], bytes] = bytes) -> None:
        self.done: list[bytes] = []
        self.reply = reply

    def __call__(self, number: int, message: bytes) -> bytes:
        self.done.append(message)
        return self.reply(message)


def a_line(
    counter: Counter, *, there: Noise = bytes, back: Noise = bytes, busy_ms: int = 0
) -> tuple[ReferenceTill, VirtualPort]:
    port = VirtualPort(Link(Timing()), counter, there=there, back=back, busy_ms=busy_ms)
    return ReferenceTill(port), port


def drop_nth(n: int, of: bytes) -> Noise:
    """The n-th piece that is just these bytes gets lost."""
    seen = 0

    def noise(data: bytes) -> bytes:
        nonlocal seen
        seen += data == of
        return b"" if data == of and seen == n else data

    return noise


def test_message_is_acknowledged_executed_and_answered() -> None:
    """ACK at once, the reply under the number of the message."""
    link = Link(Timing())
    actions = link.receive(STAT, 0)
    assert sent(actions) == bytes([ACK])
    assert asked(actions) == [Execute(number=7, message=b"STAT")]
    assert sent(link.answer(b"OK", 5)) == encode_frame(Frame(kind="A", number=7, data=b"OK"))
    assert link.receive(bytes([ACK]), 6) == []
    assert link.due_ms is None


def test_repeated_message_gets_the_stored_reply() -> None:
    """Same number and same contents: the till has not got the reply."""
    link = Link(Timing())
    link.receive(STAT, 0)
    first = sent(link.answer(b"OK|1", 5))
    link.receive(bytes([ACK]), 6)
    again = link.receive(STAT, 900)
    assert asked(again) == []
    assert sent(again) == bytes([ACK]) + first
    assert link.repeat_count == 1


def test_same_number_with_other_contents_is_another_message() -> None:
    """A till that counts from the beginning again is not given an old reply."""
    link = Link(Timing())
    link.receive(STAT, 0)
    link.answer(b"OK", 1)
    other = link.receive(encode_frame(Frame(kind="A", number=7, data=b"SCAN")), 2)
    assert asked(other) == [Execute(number=7, message=b"SCAN")]


def test_number_zero_is_always_new() -> None:
    """The beginning of a conversation is never answered from memory."""
    link = Link(Timing())
    hello = encode_frame(Frame(kind="A", number=0, data=b"HELLO"))
    link.receive(hello, 0)
    link.answer(b"OK", 1)
    assert asked(link.receive(hello, 2)) == [Execute(number=0, message=b"HELLO")]


def test_enq_tells_whether_the_agent_is_free() -> None:
    """ACK: ask. NAK: still at work. Any number in one breath is answered once."""
    link = Link(Timing())
    assert sent(link.receive(bytes([ENQ] * 50), 0)) == bytes([ACK])
    link.receive(STAT, 1)
    assert sent(link.receive(bytes([ENQ]), 2)) == bytes([NAK])
    assert sent(link.receive(encode_frame(Frame(kind="A", number=8, data=b"X")), 3)) == bytes([NAK])
    link.answer(b"OK", 4)
    assert sent(link.receive(bytes([ENQ]), 5)) == bytes([ACK])


def test_repeat_while_executing_is_acknowledged_and_not_executed() -> None:
    """A till in a hurry changes nothing."""
    link = Link(Timing())
    link.receive(STAT, 0)
    assert link.receive(STAT, 1) == [Send(data=bytes([ACK]))]
    assert sent(link.answer(b"OK", 2)) == encode_frame(Frame(kind="A", number=7, data=b"OK"))


def test_damage_is_refused_when_the_line_is_silent() -> None:
    """NAK comes after the byte time-out, once, when whoever spoke has finished."""
    link = Link(Timing(byte_timeout_ms=100))
    assert link.receive(STAT[:-1] + bytes([STAT[-1] ^ 1]), 0) == []
    assert link.due_ms == 100
    assert link.advance(99) == []
    assert sent(link.advance(100)) == bytes([NAK])
    assert link.due_ms is None
    assert asked(link.receive(STAT, 101)) == [Execute(number=7, message=b"STAT")]


def test_frame_that_stops_is_refused_after_the_byte_time_out() -> None:
    """A cable pulled in the middle leaves nothing that the next frame stumbles over."""
    link = Link(Timing(byte_timeout_ms=100))
    link.receive(STAT[:10], 0)
    link.receive(STAT[10:12], 90)
    assert link.advance(189) == []
    assert sent(link.advance(190)) == bytes([NAK])
    assert len(asked(link.receive(STAT, 200))) == 1


def test_unacknowledged_reply_is_repeated_and_given_up() -> None:
    """As often as configured, each time after transmission and answer time-out; then silence."""
    timing = Timing(baud=9600, answer_timeout_ms=500, repeats=3)
    link = Link(timing)
    link.receive(STAT, 0)
    link.answer(b"x" * 945, 0)
    times = []
    while link.due_ms is not None:
        times.append(link.due_ms)
        link.advance(link.due_ms)
    assert times == [1_500, 3_000, 4_500, 6_000]


def test_long_messages_travel_in_parts_both_ways() -> None:
    """Whatever does not fit a frame is split and put together again."""
    counter = Counter(reply=lambda message: message * 3)
    till, _ = a_line(counter)
    text = "я" * (2 * DATA_BYTES_MAX + 1)
    assert till.ask(text) == [[text * 3]]
    assert till.ask("next") == [["nextnextnext"]]
    assert len(counter.done) == 2


def test_message_beyond_the_greatest_is_never_put_together() -> None:
    """A till that continues for ever is refused, and may begin again."""
    link = Link(Timing())
    answers = [
        sent(link.receive(encode_frame(frame), 0))
        for frame in frames_of(1, b"x" * (REQUEST_BYTES_MAX + DATA_BYTES_MAX))
    ]
    assert set(answers[:16]) == {bytes([ACK])}
    assert answers[16:] == [bytes([NAK])] * len(answers[16:])
    assert len(asked(link.receive(STAT, 1))) == 1


def test_parts_out_of_order_are_refused() -> None:
    """A missing part leaves no hole in a message."""
    link = Link(Timing())
    parts = [encode_frame(frame) for frame in frames_of(1, b"x" * 3 * DATA_BYTES_MAX)]
    assert sent(link.receive(parts[1], 0)) == bytes([NAK])
    assert sent(link.receive(parts[0], 0)) == bytes([ACK])
    assert sent(link.receive(parts[2], 0)) == bytes([NAK])
    assert sent(link.receive(parts[0], 0)) == bytes([ACK])
    assert sent(link.receive(parts[1], 0)) == bytes([ACK])
    assert len(asked(link.receive(parts[2], 0))) == 1


def test_repeated_part_is_acknowledged_and_taken_once() -> None:
    """A lost acknowledgement in the middle of a long message leaves it as it was."""
    link = Link(Timing())
    message = bytes(range(0x20, 0x7F)) * 30
    executed: list[Execute] = []
    for frame in frames_of(1, message):
        for _ in range(3):
            actions = link.receive(encode_frame(frame), 0)
            assert sent(actions)[:1] == bytes([ACK])
            executed += asked(actions)
    assert executed == [Execute(number=1, message=message)]


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("direction", ["there", "back"])
def test_lost_acknowledgement_changes_nothing(n: int, direction: str) -> None:
    """Either side's: every command is executed once, and every reply is that of its command."""
    counter = Counter()
    noise = drop_nth(n, bytes([ACK]))
    till, _ = a_line(counter, **{direction: noise})
    for word in ("one", "two", "three"):
        assert till.ask(word) == [[word]]
    assert counter.done == [b"one", b"two", b"three"]


def test_slow_work_is_waited_for() -> None:
    """A reply that takes longer than the till's patience is not made twice."""
    counter = Counter()
    till, _ = a_line(counter, busy_ms=2_500)
    assert till.ask("slow") == [["slow"]]
    assert counter.done == [b"slow"]


def test_slow_work_on_a_long_message_is_waited_for() -> None:
    """All its frames come again meanwhile, and are known; another message is not taken."""
    counter = Counter(reply=lambda message: message[:5])
    till, _ = a_line(counter, busy_ms=2_500)
    text = "я" * (2 * DATA_BYTES_MAX + 1)
    assert till.ask(text) == [[text[:5]]]
    assert len(counter.done) == 1

    link = Link(Timing())
    frames = [
        Frame(kind=kind, number=number, data=b"x" * number)
        for number, kind in enumerate("BCD", start=1)
    ]
    for frame in frames:
        actions = link.receive(encode_frame(frame), 0)
    assert asked(actions)
    other = Frame(kind="C", number=2, data=b"other")
    assert sent(link.receive(encode_frame(frames[0]), 1)) == bytes([ACK])
    assert sent(link.receive(encode_frame(other), 2)) == bytes([NAK])
    for frame in frames[1:]:
        assert link.receive(encode_frame(frame), 3) == [Send(data=bytes([ACK]))]


def test_port_lost_and_found_keeps_the_last_reply() -> None:
    """A cable pulled after the command and before the reply: the repeat gets that reply."""
    link = Link(Timing())
    link.receive(STAT, 0)
    link.answer(b"OK|1", 1)
    link.receive(b"\x02A0", 2)
    link.lost()
    assert link.due_ms is None
    again = link.receive(STAT, 3)
    assert asked(again) == []
    assert sent(again)[1:] == encode_frame(Frame(kind="A", number=7, data=b"OK|1"))


@pytest.mark.parametrize("kind", ["flips", "anything"])
def test_noisy_line_executes_each_command_once_or_says_no_answer(kind: str) -> None:
    """Noise in both directions: no command is changed, doubled or answered with another's reply."""
    rng = random.Random(a_seed())
    rounds = max(60, NIGHTLY // 20)
    given_up = 0
    for _ in range(rounds):
        counter = Counter(reply=lambda message: message + b"|" + message[::-1] * 9)

        def noise(data: bytes) -> bytes:
            return flip_bits(data, rng, rng.randint(1, 3)) if kind == "flips" else mangle(data, rng)

        share = rng.choice([0.05, 0.2, 0.4])
        till, port = a_line(
            counter, there=sometimes(noise, rng, share), back=sometimes(noise, rng, share)
        )
        known: list[bytes] = []
        for index in range(20):
            word = f"ITEM|{index}|{'x' * rng.randrange(60)}"
            known.append(word.encode())
            try:
                assert till.ask(word) == [[*word.split("|"), *(word[::-1] * 9).split("|")]]
            except NoAnswerError:
                given_up += 1
                port.rest(10_000)
        assert counter.done == [word for word in known if word in counter.done]
    # Most get through, or the law above would be an empty one.
    assert given_up <= rounds
