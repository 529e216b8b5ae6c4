"""A hub answers a till's questions for members, in the right form and not too often."""

from __future__ import annotations

import pytest

from edge_agent.lan.members import ASKED_PER_MINUTE_MAX, AsksOfTills, member_for
from shared.crypto.tags import card_tag
from shared.errors import InputError, UnavailableError
from shared.wire.members import FindReply, FindRequest

CARD = FindRequest(card_tag=card_tag("100"))
NOBODY = FindReply(members=[])


def test_till_that_asks_too_often_is_told_so_and_no_other() -> None:
    now = [1_000]
    asks = AsksOfTills(lambda: now[0])
    for _ in range(ASKED_PER_MINUTE_MAX):
        asks.count(7)
    with pytest.raises(InputError):
        asks.count(7)
    asks.count(8)
    now[0] += 60_000
    asks.count(7)


async def test_question_has_one_form() -> None:
    async def find(_asked: FindRequest) -> FindReply:
        return NOBODY

    assert await member_for(CARD, find) == NOBODY
    for wrong in (
        FindRequest(),
        FindRequest(card_tag=b"short"),
        FindRequest(phone_hash=b"short"),
        FindRequest(card_tag=card_tag("100"), phone_hash=b"x" * 32),
    ):
        with pytest.raises(InputError) as caught:
            await member_for(wrong, find)
        assert caught.value.stable_code == "bad_message"


async def test_silent_head_office_is_no_dead_hub() -> None:
    """What the hub cannot find out is said in time; the till asks by itself."""

    async def find(_asked: FindRequest) -> FindReply:
        raise UnavailableError

    for way in (find, None):
        with pytest.raises(InputError) as caught:
            await member_for(CARD, way)
        assert caught.value.stable_code == "members_offline"
