"""Fuzz what a till, a scanner or a card reader sends. Run by hand.

    .venv/bin/pip install atheris
    .venv/bin/python tests/fuzz/fuzz_serial.py seeds build/fuzz-serial
    .venv/bin/python tests/fuzz/fuzz_serial.py -max_total_time=600 -max_len=4096 build/fuzz-serial

The first byte chooses: the frame decoder, the whole link, or the codes of a scanner. What is found
belongs into tests/unit.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["edge_agent.serial"]):
    from edge_agent.serial.barcodes.scan import SCAN_CHARS_MAX, read_scan
    from edge_agent.serial.devices import CODE_BYTES_MAX, CodeSplitter
    from edge_agent.serial.frames import Frame, FrameDecoder, encode_frame
    from edge_agent.serial.frames import frames_of as frames
    from edge_agent.serial.link import REQUEST_BYTES_MAX, Execute, Link, Timing
    from edge_agent.serial.replies import REPLY_BYTES_MAX
    from edge_agent.serial_settings import CodeSettings
    from shared.errors import AppError

CODES = CodeSettings(
    card_prefixes=("29",), weight_masks=("22CCCCCWWWWWK", "20CCCCCVPPPPK"), group_separator="]"
)
PROBE = Frame(kind="A", number=1, data=b"STAT")


def take_frames(data: bytes) -> None:
    """What comes out is what somebody could have sent, and the next frame always comes through."""
    decoder = FrameDecoder()
    for event in decoder.feed(data):
        if isinstance(event, Frame):
            assert encode_frame(event) in data
    list(decoder.silence())
    assert list(decoder.feed(encode_frame(PROBE))) == [PROBE]


def take_line(data: bytes) -> None:
    """Any bytes at any speed: one message at a time, bounded, and the line ends up at rest."""
    link, now_ms = Link(Timing()), 0
    for at in range(0, len(data), 16):
        now_ms += data[at]
        for action in (*link.advance(now_ms), *link.receive(data[at : at + 16], now_ms)):
            if isinstance(action, Execute):
                assert len(action.message) <= REQUEST_BYTES_MAX
                link.answer(action.message[:REPLY_BYTES_MAX], now_ms)
    while link.due_ms is not None:
        now_ms = max(now_ms, link.due_ms)
        link.advance(now_ms)


def take_codes(data: bytes) -> None:
    """A code of bounded length, or a refusal of ours."""
    for code in CodeSplitter().feed(data + b"\r"):
        assert len(code) <= CODE_BYTES_MAX
        with suppress(AppError):
            assert len(read_scan(code, CODES, year=2026).code) <= SCAN_CHARS_MAX


def take_any(data: bytes) -> None:
    """By the first byte."""
    if not data:
        return
    (take_frames, take_line, take_codes)[data[0] % 3](data[1:])


def write_seeds(folder: Path) -> None:
    """Frames of every kind and codes of every kind to begin from."""
    folder.mkdir(parents=True, exist_ok=True)
    long = b"".join(map(encode_frame, frames(7, b"ITEM|1|tea|2|100.00" * 120)))
    for name, text in {
        "hello": b"HELLO",
        "item": b"ITEM|1|tea|2|100.00",
        "code": b"CODE|]d20104600001000014215abc\x1d91EE06",
    }.items():
        frame = encode_frame(Frame(kind="A", number=1, data=text))
        (folder / f"frame-{name}").write_bytes(b"\x00" + frame)
        (folder / f"line-{name}").write_bytes(b"\x01\x05" + frame + b"\x06" + frame + b"\x15")
    (folder / "line-long").write_bytes(b"\x01" + long)
    for index, code in enumerate(
        (
            b"]E04600001000014\r",
            b"]d20104600001000014215abc\x1d91EE06\x1d92" + b"q" * 44 + b"\r",
            b"2200123007544\r2012345628759\r",
            b";29000001=000?\r%B4276^A/B^2612?\r",
            "ъв20104600001000014\r".encode(),
        )
    ):
        (folder / f"code-{index}").write_bytes(b"\x02" + code)


if __name__ == "__main__":
    if sys.argv[1:2] == ["seeds"]:
        write_seeds(Path(sys.argv[2]))
        sys.exit()
    atheris.Setup(sys.argv, take_any)
    atheris.Fuzz()
