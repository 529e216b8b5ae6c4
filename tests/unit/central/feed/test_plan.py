"""The feed's decisions, without a database."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.feed.plan import (
    FIRST_LOAD_CHANGES_MAX,
    SNAPSHOT_AGE_MS_MAX,
    SNAPSHOT_BEHIND_MAX,
    TOMBSTONE_AGE_MS_MIN,
    ChunkCutter,
    Cursor,
    LogRow,
    Read,
    Reset,
    Standing,
    answer_to,
    change_bytes,
    cut_page,
    fold_log,
    read_cursor,
    removable,
    seal_cursor,
    snapshot_serves,
)
from shared.errors import InputError
from shared.limits import FEED_CHUNK_RAW_BYTES_MAX, FEED_ENTRY_BYTES_MAX
from shared.wire.feed import FeedChange, Operation
from tests.support.examples import examples

DAY_MS = 86_400_000


def change(key: str, size: int = 10, version: int = 1) -> FeedChange:
    return FeedChange(
        topic="product", key=key, operation=Operation.PUT, version=version, payload=bytes(size)
    )


def row(key: str, change_id: int, operation: Operation, payload: bytes, xid: int = 1) -> LogRow:
    return LogRow(
        xid=xid,
        change_id=change_id,
        scope="*",
        topic="t",
        key=key,
        operation=operation,
        payload=payload,
    )


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
@examples(100)
def test_cursor_comes_back_and_only_to_its_maker(
    generation: int, position: int, secret: bytes
) -> None:
    """The maker reads what it sealed; another secret, or one bit more, is nobody's cursor."""
    cursor = Cursor(generation=generation, position=position)
    text = seal_cursor(cursor, secret)
    data = bytearray(base64.urlsafe_b64decode(text))
    data[position % len(data)] ^= 1 << generation % 8

    assert read_cursor(text, secret) == cursor
    assert read_cursor(text, secret[::-1] + b"x") is None
    assert read_cursor(f"{generation}-{position % 10**18}", secret) is None
    assert read_cursor(base64.urlsafe_b64encode(bytes(data)).decode(), secret) is None


@pytest.mark.parametrize("text", ["", "1-x", "x" * 43, "é" * 44, "A" * 1_000, "=" * 44])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    """Other texts are no cursors, however long."""
    with pytest.raises(InputError):
        read_cursor(text, b"s" * 32)


@pytest.mark.parametrize(
    ("cursor", "answer"),
    [
        (Cursor(generation=5, position=60), Read(after=60)),
        (Cursor(generation=5, position=100), Read(after=100)),
        (Cursor(generation=5, position=50), Read(after=50)),
        (Cursor(generation=5, position=49), Reset(reason="too_old")),
        (Cursor(generation=4, position=60), Reset(reason="other_generation")),
        (Cursor(generation=5, position=101), Reset(reason="other_generation", lost=True)),
        (None, Reset(reason="other_generation")),
    ],
)
def test_cursor_decides_the_answer(cursor: Cursor | None, answer: Read | Reset) -> None:
    """Read on from the horizon up to the head; anything else begins anew."""
    standing = Standing(generation=5, head=100, horizon=50, entries=10)

    assert answer_to(cursor, standing, empty=False) == answer
    told = answer_to(cursor, standing, empty=False, pages_only=True)
    assert told == (answer if isinstance(answer, Read) else Read(after=0))


def test_who_knows_nothing_is_owed_no_tombstones() -> None:
    """A small first load comes page by page from the very beginning, a large one as a snapshot."""
    small = Standing(generation=5, head=100, horizon=50, entries=FIRST_LOAD_CHANGES_MAX)
    large = Standing(generation=5, head=100, horizon=50, entries=FIRST_LOAD_CHANGES_MAX + 1)

    assert answer_to(None, small, empty=True) == Read(after=0)
    assert answer_to(None, large, empty=True) == Reset(reason="first_load")


@given(
    st.lists(st.integers(0, 5_000), max_size=30),
    st.integers(1, 20_000),
    st.integers(1, 10),
    st.booleans(),
)
@examples(200)
def test_pages_are_bounded_and_lose_nothing(
    sizes: list[int], bytes_max: int, changes_max: int, more: bool
) -> None:
    """Page by page everything comes in order; a page of several changes is within both bounds."""
    rows = [change(str(number), size) for number, size in enumerate(sizes)]
    rest, pages = list(rows), []
    while rest:
        page, complete = cut_page(rest, more=more, bytes_max=bytes_max, changes_max=changes_max)
        assert page
        assert len(page) <= changes_max
        assert len(page) == 1 or sum(map(change_bytes, page)) <= bytes_max
        assert complete == (len(page) == len(rest) and not more)
        pages += page
        rest = rest[len(page) :]

    assert pages == rows


@given(st.randoms(use_true_random=False))
@examples(200)
def test_folding_in_any_portions_tells_the_last_state(chance: random.Random) -> None:
    """However the log is cut into publications, the last write of each key is what is known."""
    rows = [
        row(
            key=chance.choice("abc"),
            change_id=number,
            operation=chance.choice([Operation.PUT, Operation.PUT, Operation.DELETE]),
            payload=b"",
        )
        for number in range(1, 20)
    ]
    rows = [
        row(
            one.key,
            one.change_id,
            one.operation,
            b"" if one.operation is not Operation.PUT else chance.choice([b"x", b"y"]),
        )
        for one in rows
    ]
    expected = {one.key: one for one in rows}
    chance.shuffle(rows)
    known: dict[tuple[str, str, str], LogRow] = {}
    told: list[LogRow] = []
    while rows:
        count = chance.randint(1, len(rows))
        folded = fold_log(rows[:count], known)
        known |= {(one.row.scope, one.row.topic, one.row.key): one.row for one in folded}
        told += [one.row for one in folded if one.news]
        rows = rows[count:]

    for key, last in expected.items():
        state = known["*", "t", key]
        shown = [one for one in told if one.key == key][-1]
        assert (state.operation, state.payload) == (last.operation, last.payload)
        assert (shown.operation, shown.payload) == (last.operation, last.payload)
    assert len({(one.key, one.change_id) for one in told}) == len(told)


def test_tombstones_stay_until_all_have_passed_or_45_days() -> None:
    """Positions up to the slowest reader's may go, and whatever is too old for anybody."""
    now_ms = 100 * DAY_MS
    tombstones = [(10, 50 * DAY_MS), (20, 90 * DAY_MS), (30, 95 * DAY_MS)]
    fresh = [(40, now_ms - TOMBSTONE_AGE_MS_MIN)]

    assert removable(tombstones, [25, 40], now_ms=now_ms) == 20
    assert removable(tombstones, [30], now_ms=now_ms) == 30
    assert removable(tombstones, [5], now_ms=now_ms) == 10
    assert removable(tombstones, [], now_ms=now_ms) == 10
    assert removable(tombstones[1:], [], now_ms=now_ms) == 0
    assert removable([], [7], now_ms=now_ms) == 0
    assert removable(fresh, [50], now_ms=now_ms) == 0
    assert removable(fresh, [50], now_ms=now_ms + 1) == 40


def test_snapshot_serves_while_it_is_of_use() -> None:
    """The pages after it must be there, and few or recent."""
    behind, old = SNAPSHOT_BEHIND_MAX + 1, SNAPSHOT_AGE_MS_MAX + 1

    assert snapshot_serves(as_of=10, horizon=10, head=10 + behind, age_ms=0)
    assert snapshot_serves(as_of=10, horizon=0, head=10, age_ms=old)
    assert not snapshot_serves(as_of=9, horizon=10, head=10, age_ms=0)
    assert not snapshot_serves(as_of=11, horizon=0, head=10, age_ms=0)
    assert not snapshot_serves(as_of=10, horizon=0, head=10 + behind, age_ms=old)


def cut(changes: list[FeedChange]) -> list[list[FeedChange]]:
    cutter = ChunkCutter()
    chunks = [chunk for one in changes if (chunk := cutter.add(one))]
    return [*chunks, *([rest] if (rest := cutter.rest()) else [])]


def test_one_change_leaves_nearly_all_pieces_as_they_were() -> None:
    """Pieces are bounded, lose nothing, and an inserted key moves no boundary but its own."""
    changes = [change(f"key-{number:05}", 100) for number in range(20_000)]
    before = cut(changes)
    changed = sorted([*changes, change("key-05000x", 100)], key=lambda one: one.key)
    after = cut(changed)
    largest = max(sum(map(change_bytes, chunk)) for chunk in before)

    assert [one for chunk in after for one in chunk] == changed
    assert largest <= FEED_CHUNK_RAW_BYTES_MAX
    assert len(before) > 10
    assert sum(chunk not in before for chunk in after) <= 2


def test_largest_entry_is_a_piece_of_a_snapshot() -> None:
    """No entry that may be put is too large for a piece."""
    chunks = cut([change(str(number), FEED_ENTRY_BYTES_MAX) for number in range(5)])

    assert sum(map(len, chunks)) == 5
    assert all(sum(map(change_bytes, chunk)) <= FEED_CHUNK_RAW_BYTES_MAX for chunk in chunks)
