"""Frames: what is sent comes out again, and noise costs no more than the frame it hit."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.serial.frames import (
    ACK,
    DATA_BYTES_MAX,
    ENQ,
    ETX,
    FRAME_BYTES_MAX,
    NAK,
    STX,
    Damage,
    Event,
    Frame,
    FrameDecoder,
    Sign,
    crc_of,
    encode_frame,
    frames_of,
    lrc_of,
    next_number,
)
from tests.support.examples import NIGHTLY, examples
from tests.support.noise import a_seed, flip_bits, mangle

DATA_BYTES = [byte for byte in range(0x20, 0x100) if byte != 0x7F] + [0x0A, 0x1D]
data = st.lists(st.sampled_from(DATA_BYTES), max_size=DATA_BYTES_MAX).map(bytes)
frames = st.builds(
    Frame, kind=st.sampled_from("ABCD"), number=st.integers(min_value=0, max_value=999), data=data
)


def decoded(line: bytes, cuts: list[int] | None = None) -> list[Event]:
    """All that a decoder makes of the line, fed in pieces."""
    decoder = FrameDecoder()
    edges = [0, *sorted(cut % (len(line) + 1) for cut in cuts or []), len(line)]
    return [event for start, end in pairwise(edges) for event in decoder.feed(line[start:end])]


def some_frames(rng: random.Random, count: int) -> list[Frame]:
    sizes = (0, 1, 8, 30, 200)
    return [
        Frame(
            kind=rng.choice("ABCD"),
            number=number,
            data=bytes(rng.choices(DATA_BYTES, k=rng.choice(sizes))),
        )
        for number in range(1, count + 1)
    ]


def test_published_check_values() -> None:
    """The sums are those of the published examples, not merely our own."""
    assert crc_of(b"123456789") == 0x29B1
    assert lrc_of(b"A001|CALC\x03") == 0x02
    assert lrc_of(bytes.fromhex("05101E000000")) == 0x0B


@examples(100)
@given(st.lists(frames, max_size=5), st.lists(st.integers(min_value=0), max_size=8))
def test_frames_come_out_as_they_went_in(sent: list[Frame], cuts: list[int]) -> None:
    """Whatever the contents and wherever the bytes are cut."""
    line = b"".join(map(encode_frame, sent))
    assert decoded(line, cuts) == sent
    assert all(len(encode_frame(frame)) <= FRAME_BYTES_MAX for frame in sent)


@examples(100)
@given(st.binary(max_size=3 * DATA_BYTES_MAX).map(lambda b: bytes(x | 0x80 for x in b)))
def test_messages_are_split_and_numbered(message: bytes) -> None:
    """The parts make the message again; only a whole one is alone."""
    parts = frames_of(998, message)
    assert b"".join(part.data for part in parts) == message
    assert "".join(part.kind for part in parts) in ("A", "BD", "BCD", "BCCD")
    assert [part.number for part in parts] == [998, 999, 1, 2][: len(parts)]
    assert next_number(0) == 1


@pytest.mark.parametrize("lrc", [STX, ETX, ENQ, ACK, NAK])
def test_lrc_may_equal_any_control_byte(lrc: int) -> None:
    """Exactly one byte after ETX is the LRC, whatever it looks like."""
    found = next(
        frame
        for number in range(1000)
        for byte in range(0x20, 0x7F)
        if encode_frame(frame := Frame(kind="A", number=number, data=bytes([byte])))[-1] == lrc
    )
    line = encode_frame(found) + bytes([ENQ]) + encode_frame(found)
    assert decoded(line) == [found, Sign(ENQ), found]


@pytest.mark.parametrize("flips", [1, 2, 3])
def test_up_to_three_flipped_bits_are_always_seen(flips: int) -> None:
    """No frame is taken for another one: the CRC sees what the LRC alone would not."""
    rng = random.Random(a_seed())
    for _ in range(max(1_000, NIGHTLY)):
        [frame] = some_frames(rng, 1)
        events = decoded(flip_bits(encode_frame(frame), rng, flips))
        assert [event for event in events if isinstance(event, Frame)] == []


def test_noise_costs_the_frame_it_hit_and_at_most_the_next() -> None:
    """Frames before and after come through in order, and nothing comes that was not sent."""
    rng = random.Random(a_seed())
    lost_next = 0
    rounds = max(2_000, NIGHTLY)
    for _ in range(rounds):
        sent = some_frames(rng, 5)
        hit = rng.randrange(4)
        line = b"".join(
            mangle(encode_frame(frame), rng) if index == hit else encode_frame(frame)
            for index, frame in enumerate(sent)
        )
        came = [event for event in decoded(line) if isinstance(event, Frame)]
        assert [frame for frame in came if frame != sent[hit]] in (
            sent[:hit] + sent[hit + 1 :],
            sent[:hit] + sent[hit + 2 :],
        )
        lost_next += sent[hit + 1] not in came
    # Only where the LRC itself is missing can the byte that begins the next frame stand for it.
    assert lost_next <= rounds // 50


def test_lost_lrc_costs_no_second_frame() -> None:
    """The STX that stands in its place begins a frame, unless it fits as the LRC."""
    rng = random.Random(a_seed())
    for _ in range(1_000):
        hit, after = some_frames(rng, 2)
        line = encode_frame(hit)
        came = decoded(line[:-1] + encode_frame(after))
        frames_in = [event for event in came if isinstance(event, Frame)]
        assert frames_in == [hit if line[-1] == STX else after]


def test_flipped_bits_never_cost_a_second_frame() -> None:
    """Noise that changes no lengths: the frame right after the one it hit always comes."""
    rng = random.Random(a_seed())
    for _ in range(max(1_000, NIGHTLY)):
        sent = some_frames(rng, 3)
        line = [encode_frame(frame) for frame in sent]
        line[1] = flip_bits(line[1], rng, rng.randint(1, 3))
        came = [event for event in decoded(b"".join(line)) if isinstance(event, Frame)]
        assert came == [sent[0], sent[2]]


@examples(200)
@given(st.binary(max_size=300))
def test_any_bytes_are_bounded_and_harmless(noise: bytes) -> None:
    """Noise raises nothing and is told once; the decoder is ready for a frame afterwards."""
    decoder = FrameDecoder()
    events = [*decoder.feed(noise), *decoder.silence()]
    assert not decoder.in_frame
    assert all(a != Damage() or b != Damage() for a, b in pairwise(events))
    frame = Frame(kind="A", number=1, data=b"STAT")
    assert list(decoder.feed(encode_frame(frame))) == [frame]


def test_silence_ends_a_half_frame() -> None:
    """What stops in the middle is damage when the line has been silent, and not before."""
    decoder = FrameDecoder()
    assert list(decoder.feed(encode_frame(Frame(kind="A", number=1, data=b"STAT"))[:9])) == []
    assert decoder.in_frame
    assert list(decoder.silence()) == [Damage()]
    assert list(decoder.silence()) == []


def test_length_beyond_the_greatest_is_refused_at_once() -> None:
    """Nobody can make the decoder wait for more than a frame."""
    assert decoded(b"\x02A0011010") == []
    decoder = FrameDecoder()
    assert list(decoder.feed(b"\x02A00110100000")) == [Damage()]
    assert not decoder.in_frame
