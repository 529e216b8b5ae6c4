"""A member's code is good for a moment, for that member, in a shop that has the period's key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.member_codes import (
    CODE_STEP_MS,
    STEPS_PER_PERIOD,
    checked_code,
    is_member_code,
    member_code,
    member_key,
    period_key,
    period_of,
    step_of,
)

SECRET = b"x" * 32
PERIOD_MS = STEPS_PER_PERIOD * CODE_STEP_MS
moments = st.integers(min_value=PERIOD_MS, max_value=2_000 * PERIOD_MS)


def shown(customer_id: str, at_ms: int, secret: bytes = SECRET) -> str:
    """What a telephone shows."""
    step = step_of(at_ms)
    key = period_key(secret, period_of(step))
    return member_code(member_key(key, customer_id), customer_id, step)


def keys_at(at_ms: int, secret: bytes = SECRET) -> dict[int, bytes]:
    present = period_of(step_of(at_ms))
    return {each: period_key(secret, each) for each in range(present - 1, present + 2)}


@given(moments, st.integers(-3 * CODE_STEP_MS, 3 * CODE_STEP_MS), st.text(min_size=1))
def test_code_lives_for_its_step_and_the_next(at_ms: int, later_ms: int, customer: str) -> None:
    """30 to 60 s after it was shown; a telephone may be ahead by as much as a step."""
    checked = checked_code(shown(customer, at_ms), keys_at(at_ms), at_ms + later_ms)
    steps = step_of(at_ms + later_ms) - step_of(at_ms)
    if -1 <= steps <= 1:
        assert checked == (customer, step_of(at_ms))
    else:
        assert checked is None


@given(moments, st.text(min_size=1), st.text(min_size=1))
def test_code_is_one_members_of_one_secret(at_ms: int, one: str, other: str) -> None:
    code = shown(one, at_ms)
    prefix, _, customer = code.rpartition(":")
    assert is_member_code(code)
    if one != other and ":" not in one:
        assert customer == one
        assert checked_code(f"{prefix}:{other}", keys_at(at_ms), at_ms) is None
    assert checked_code(code, keys_at(at_ms, b"y" * 32), at_ms) is None
    assert checked_code(code, {}, at_ms) is None


@given(st.text(max_size=60))
def test_noise_is_no_code(text: str) -> None:
    assert checked_code(text, keys_at(PERIOD_MS), PERIOD_MS) is None
    assert checked_code("KQ1:" + text, keys_at(PERIOD_MS), PERIOD_MS) is None


def test_stolen_periods_key_is_worth_nothing_later() -> None:
    """From a period's key no code of another period is made."""
    stolen = period_key(SECRET, 5)
    later_ms = 6 * PERIOD_MS
    forged = member_code(member_key(stolen, "c1"), "c1", step_of(later_ms))
    assert checked_code(forged, keys_at(later_ms), later_ms) is None
