"""Scanners' bytes are cut into codes; what never ends is dropped."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.serial.devices import CODE_BYTES_MAX, CodeSplitter
from tests.support.examples import examples

codes = st.text(alphabet="0123456789AZaz;=?%^]\x1d", min_size=1, max_size=60)
ends = st.sampled_from(["\r", "\n", "\r\n", "\t", "\x03\x02"])


@examples(200)
@given(st.lists(st.tuples(codes, ends), max_size=6), st.lists(st.integers(min_value=0), max_size=9))
def test_codes_come_out_whole(sent: list[tuple[str, str]], cuts: list[int]) -> None:
    """However the bytes are cut, and whichever end the scanner is set to."""
    line = "".join(code + end for code, end in sent).encode()
    edges = [0, *sorted(cut % (len(line) + 1) for cut in cuts), len(line)]
    splitter = CodeSplitter()
    came = [code for start, end in pairwise(edges) for code in splitter.feed(line[start:end])]
    assert came == [code for code, _ in sent]


def test_flood_without_an_end_is_dropped_as_a_whole() -> None:
    """A megabyte keeps nothing, and the code after it is read."""
    splitter = CodeSplitter()
    for _ in range(256):
        assert list(splitter.feed(b"x" * 4096)) == []
        assert len(splitter._rest) <= CODE_BYTES_MAX
        assert splitter.dropped_count == 1
    assert list(splitter.feed(b"tail\r100\r")) == ["100"]
    assert list(splitter.feed(b"y" * (CODE_BYTES_MAX + 1) + b"\r100\r")) == ["100"]
    assert splitter.dropped_count == 2


@pytest.mark.parametrize("separator", [b"\xf8", b"\xff", b"]"])
def test_byte_for_gs_is_taken_before_it_is_text(separator: bytes) -> None:
    """Whatever it would be in any alphabet."""
    code = b"0104600439931256215ABCDEF" + separator + b"93dGVz\r"
    assert list(CodeSplitter(separator).feed(code)) == ["0104600439931256215ABCDEF\x1d93dGVz"]
