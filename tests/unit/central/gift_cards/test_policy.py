"""How guesses are slowed, and what a card is good for."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.gift_cards.policy import (
    EDGE_MISSES_MAX,
    EDGE_WINDOW_MS,
    PIN_WAITS_MS,
    Card,
    Guesses,
    after_miss,
    after_wrong_pin,
    amount_of,
    plain_number,
    wait_ms,
)
from shared.errors import AppError, InputError

HOUR_MS = 3_600_000
BEGIN_MS = 1_790_000_000_000
MOMENTS = st.lists(st.integers(0, 2 * HOUR_MS), max_size=40)


@given(gaps_ms=MOMENTS)
def test_a_day_of_guessing_is_a_few_dozen_guesses(gaps_ms: list[int]) -> None:
    """Whenever somebody comes, no hour sees more than five looks at a PIN."""
    now_ms, guesses = 1_000, Guesses()
    looked: list[int] = []
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        if wait_ms(guesses, now_ms):
            continue
        looked.append(now_ms)
        guesses = after_wrong_pin(guesses, now_ms)
    for first_ms in looked:
        assert sum(first_ms <= at_ms < first_ms + HOUR_MS for at_ms in looked) <= len(PIN_WAITS_MS)
    for before_ms, after_ms in itertools.pairwise(looked[4:]):
        assert after_ms - before_ms >= HOUR_MS


@given(gaps_ms=MOMENTS, back_ms=st.integers(0, 2 * HOUR_MS))
def test_a_clock_that_goes_back_shortens_no_wait(gaps_ms: list[int], back_ms: int) -> None:
    """The wait ends at an instant that is never moved to an earlier one."""
    now_ms, guesses = 3 * HOUR_MS, Guesses()
    for gap_ms in gaps_ms:
        later = after_wrong_pin(guesses, now_ms + gap_ms - back_ms)
        assert later.wait_until_ms >= guesses.wait_until_ms
        guesses = later


def test_an_agent_waits_for_the_end_of_its_window() -> None:
    """Sixty misses within ten minutes; older ones are forgotten."""
    guesses = Guesses()
    for n in range(EDGE_MISSES_MAX):
        assert wait_ms(guesses, BEGIN_MS + n) == 0
        guesses = after_miss(guesses, BEGIN_MS + n)
    assert wait_ms(guesses, BEGIN_MS + EDGE_WINDOW_MS - 1) == 1
    assert wait_ms(guesses, BEGIN_MS + EDGE_WINDOW_MS) == 0
    assert after_miss(guesses, BEGIN_MS + EDGE_WINDOW_MS).count == 1


@given(
    asked=st.none() | st.integers(-10, 200),
    balance=st.integers(0, 100),
    whole_only=st.booleans(),
)
def test_a_redemption_takes_what_was_asked_for_and_is_there(
    asked: int | None, balance: int, whole_only: bool
) -> None:
    """Never more than there is, never nothing, and all of it where a card says so."""
    card = Card(
        card_tag=b"t" * 16,
        currency="RUB",
        pin_hash=None,
        face_minor_min=1,
        face_minor_max=100,
        valid_days=None,
        expires_on=None,
        whole_only=whole_only,
        active=True,
    )
    try:
        taken = amount_of(card, asked, balance)
    except AppError:
        fits = asked is None or (asked == balance if whole_only else 0 < asked <= balance)
        assert balance == 0 or not fits
        return
    assert 0 < taken <= balance
    assert taken == (balance if asked is None else asked)
    assert not whole_only or taken == balance


def test_a_number_is_read_as_people_write_it() -> None:
    """Blanks, dashes and small letters do not count."""
    assert plain_number(" 4000-0000 0000 000a") == "400000000000000A"
    for bad in ("", "1234567", "4000_0000_0000", "４０００００００００００００００", "4" * 41):
        with pytest.raises(InputError):
            plain_number(bad)
