"""Who may look at the agent's page."""

from __future__ import annotations

from edge_agent.page.entry import (
    CODE_STEP_MS,
    VISIT_MS,
    admits,
    entry_code,
    is_visit,
    visit_cookie,
)

NOW_MS = 1_790_000_000_000
TOKEN = "till-" + "t" * 40


def test_link_is_good_for_some_minutes_and_for_its_agent() -> None:
    code = entry_code(TOKEN, NOW_MS)
    assert admits(TOKEN, code, NOW_MS)
    assert admits(TOKEN, code, NOW_MS + CODE_STEP_MS)
    assert not admits(TOKEN, code, NOW_MS + 2 * CODE_STEP_MS)
    assert not admits(TOKEN, code, NOW_MS - CODE_STEP_MS)
    assert not admits("other", code, NOW_MS)


def test_token_itself_comes_in_and_nothing_else_does() -> None:
    assert admits(TOKEN, TOKEN, NOW_MS)
    for guess in ("", TOKEN[:-1], TOKEN + "t", "till", "ж"):
        assert not admits(TOKEN, guess, NOW_MS)


def test_visit_ends_by_itself_and_cannot_be_made_longer() -> None:
    cookie = visit_cookie(TOKEN, NOW_MS)
    assert is_visit(TOKEN, cookie, NOW_MS)
    assert is_visit(TOKEN, cookie, NOW_MS + VISIT_MS - 1)
    assert not is_visit(TOKEN, cookie, NOW_MS + VISIT_MS)
    assert not is_visit("other", cookie, NOW_MS)
    until, _, signature = cookie.partition(".")
    for forged in (f"{int(until) + 1}.{signature}", f"{until}.", "", ".", f"x.{signature}"):
        assert not is_visit(TOKEN, forged, NOW_MS)
    # A code is no cookie, though the same token signs both.
    assert not is_visit(TOKEN, f"{until}.{entry_code(TOKEN, NOW_MS)}", NOW_MS)
