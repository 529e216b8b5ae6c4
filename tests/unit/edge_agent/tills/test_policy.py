"""Whose a token is, and how often a till may ask."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.tills.policy import (
    CALLS_AT_ONCE_MAX,
    CALLS_PER_S_MAX,
    Pace,
    Right,
    Till,
    caller_of,
    count_call,
    token_hash,
)
from tests.support.examples import examples

SECOND_NS = 10**9


def a_till(name: str, token: str, *, may: tuple[Right, ...] = (Right.SELL,)) -> Till:
    return Till(name=name, token_sha256=token_hash(token), may=may, made_at_ms=1)


def test_token_is_its_tills_and_nobody_elses() -> None:
    """A token names its till with that till's rights; a revoked or unknown one names nobody."""
    tills = [a_till("R1", "one"), a_till("R2", "two", may=(Right.PRICES,))]
    found = caller_of(tills, "two")
    assert found is not None
    assert (found.name, found.may) == ("R2", {Right.PRICES})
    assert caller_of(tills, "three") is None
    assert caller_of(tills, "") is None
    revoked = [msgspec.structs.replace(tills[0], revoked_at_ms=5), tills[1]]
    assert caller_of(revoked, "one") is None


def test_token_itself_is_not_kept() -> None:
    """Nothing of a token can be read off what the file keeps."""
    assert b"kt_secret" not in msgspec.json.encode(a_till("R1", "kt_secret"))


@examples(100)
@given(
    st.lists(st.tuples(st.integers(0, 5 * SECOND_NS), st.integers(1, 150)), min_size=2, max_size=6)
)
def test_no_span_holds_more_calls_than_agreed(bursts: list[tuple[int, int]]) -> None:
    """In any span stand at most the burst and the rate's share of it; a refusal costs nothing."""
    pace, now_ns = Pace(), 0
    admitted: list[int] = []
    for gap_ns in (
        gap_ns for wait_ns, count in bursts for gap_ns in [wait_ns, *[1_000] * (count - 1)]
    ):
        now_ns += gap_ns
        paced = count_call(pace, now_ns)
        if paced.wait_ns:
            assert paced.pace == pace
            assert count_call(pace, now_ns + paced.wait_ns).wait_ns == 0
        else:
            admitted.append(now_ns)
        pace = paced.pace
    for index, begun_ns in enumerate(admitted):
        for count, ended_ns in enumerate(admitted[index:], start=1):
            share = (ended_ns - begun_ns) * CALLS_PER_S_MAX // SECOND_NS
            assert count <= CALLS_AT_ONCE_MAX + share + 1


def test_calls_at_once_have_a_bound() -> None:
    """So many at one moment, and the next has to wait."""
    pace, count = Pace(), 0
    while (paced := count_call(pace, SECOND_NS)).wait_ns == 0:
        pace, count = paced.pace, count + 1
        assert count <= CALLS_AT_ONCE_MAX
    assert count == CALLS_AT_ONCE_MAX


def test_till_at_its_pace_is_never_refused() -> None:
    """Whoever asks no more often than agreed is never told to wait."""
    pace = Pace()
    for number in range(5 * CALLS_PER_S_MAX):
        paced = count_call(pace, number * SECOND_NS // CALLS_PER_S_MAX)
        assert paced.wait_ns == 0
        pace = paced.pace
