"""Money on gift cards: moved once, never twice, never below zero."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest

from central.accounts.audit import audit
from central.database.pool import Pool
from central.gift_cards import store as gift_cards
from central.gift_cards.pins import Pins
from central.gift_cards.service import CALLS_PER_MINUTE_MAX, GiftCards
from shared.errors import (
    AppError,
    BusyError,
    ConflictError,
    CorruptionError,
    ForbiddenError,
    InputError,
    NotFoundError,
)
from shared.wire.gift_cards import GiftReply
from tests.support.gift_cards import FIXED, KEY, PIN, PLAIN, ROUBLES, SECRET, WHOLE, Office

DAY_MS = 86_400_000


@pytest.fixture
async def office(pool: Pool, tmp_path: Path) -> AsyncIterator[Office]:
    office = await Office(pool).open(tmp_path)
    yield office
    office.pins.close()


async def code_of(asked: Awaitable[object]) -> str:
    with pytest.raises(AppError) as caught:
        await asked
    return caught.value.stable_code


async def books_agree(pool: Pool) -> dict[str, int]:
    async with pool.connection() as connection:
        found = await audit(connection) | await gift_cards.audit(connection)
    wrong = ("ledger_sum_centi", "negative_accounts", "drift", "wrong_gift_cards")
    assert not any(found[key] for key in wrong), found
    return found


async def test_a_card_is_sold_pays_in_parts_and_is_empty(office: Office) -> None:
    """What is left stays on the card, in any store, until nothing is."""
    assert await code_of(office.redeem(PLAIN, 100, op="early")) == "gift_card_not_sold"
    sold = await office.sell(PLAIN, 150_000)
    assert sold == GiftReply(
        amount_minor=150_000, balance_minor=150_000, currency="RUB", active=True
    )
    part = await office.redeem(PLAIN, 99_900, op="a", store="S2")
    assert (part.amount_minor, part.balance_minor) == (99_900, 50_100)
    assert await office.balance(PLAIN) == 50_100
    assert await code_of(office.redeem(PLAIN, 50_101, op="b")) == "gift_card_balance"
    rest = await office.redeem(PLAIN, None, op="c")
    assert (rest.amount_minor, rest.balance_minor) == (50_100, 0)
    assert await code_of(office.redeem(PLAIN, None, op="d")) == "gift_card_empty"
    assert await code_of(office.sell(PLAIN, 150_000, op="again")) == "gift_card_sold"
    assert (await books_agree(office.pool))["gift_cards_minor"] == 0


async def test_a_repeat_gets_the_first_reply_and_moves_nothing(office: Office) -> None:
    """A lost reply is asked for again; an id said with other contents is refused."""
    sold = await office.sell(PLAIN, 100_000)
    assert await office.sell(PLAIN, 100_000) == sold
    assert await code_of(office.sell(PLAIN, 100_001)) == "operation_changed"
    first = await office.redeem(PLAIN, 30_000, op="a")
    await office.redeem(PLAIN, 20_000, op="b")
    assert await office.redeem(PLAIN, 30_000, op="a") == first
    assert await code_of(office.redeem(PLAIN, None, op="a")) == "operation_changed"
    assert await code_of(office.redeem(PLAIN, 100, op="sold")) == "operation_changed"
    # Another store's ids are its own.
    await office.redeem(PLAIN, 10_000, op="a", store="S2")
    assert await office.balance(PLAIN) == 40_000
    await books_agree(office.pool)


async def test_a_reversal_gives_back_once_and_for_ever(office: Office) -> None:
    """Repeated it changes nothing, and what was reversed is never done again."""
    await office.sell(PLAIN, 100_000)
    await office.redeem(PLAIN, 30_000, op="a")
    undone = await office.reverse("a")
    assert (undone.amount_minor, undone.balance_minor) == (30_000, 100_000)
    await office.redeem(PLAIN, 60_000, op="b")
    assert await office.reverse("a") == undone
    assert await code_of(office.redeem(PLAIN, 30_000, op="a")) == "operation_reversed"
    assert await office.balance(PLAIN) == 40_000
    await books_agree(office.pool)


async def test_a_reversal_that_overtakes_its_operation_wins(office: Office) -> None:
    """The till that gave up waiting is not charged by the request that was still on its way."""
    await office.sell(PLAIN, 100_000)
    assert (await office.reverse("late")).amount_minor == 0
    assert (await office.reverse("late")).amount_minor == 0
    assert await code_of(office.redeem(PLAIN, 30_000, op="late")) == "operation_reversed"
    assert await code_of(office.reverse("")) == "bad_gift_card"
    assert await office.balance(PLAIN) == 100_000
    await books_agree(office.pool)


async def test_the_sale_of_a_card_is_undone_only_while_it_is_unused(office: Office) -> None:
    """An unused card can be sold again; of a used one the customer has had something."""
    first = await office.sell(FIXED, 100_000)
    assert first.expires_on == "2026-10-21"
    assert (await office.reverse("sold")).active is False
    assert await code_of(office.redeem(FIXED, 1, op="x")) == "gift_card_not_sold"
    office.clock.advance_ms(DAY_MS)
    assert (await office.sell(FIXED, 100_000, op="second")).expires_on == "2026-10-22"
    await office.redeem(FIXED, 1, op="a")
    assert await code_of(office.reverse("second")) == "gift_card_used"
    await office.reverse("a")
    await office.reverse("second")
    found = await books_agree(office.pool)
    assert found["gift_cards_minor"] == 0


async def test_what_a_card_is_not_good_for(office: Office) -> None:
    """Amounts, days, currencies and cards of one purchase, each with its own code."""
    assert await code_of(office.sell(FIXED, 100_001)) == "gift_card_amount"
    assert await code_of(office.sell(ROUBLES, 1_000)) == "gift_card_currency"
    assert await code_of(office.sell("9" * 16, 1_000)) == "unknown_gift_card"
    assert await code_of(office.sell("12", 1_000)) == "bad_gift_card"
    await office.sell(WHOLE, 50_000, op="whole")
    assert await code_of(office.redeem(WHOLE, 32_000, op="w")) == "gift_card_whole_only"
    assert (await office.redeem(WHOLE, None, op="w")).amount_minor == 50_000
    await office.sell(FIXED, 100_000)
    assert await code_of(office.redeem(FIXED, 0, op="zero")) == "gift_card_amount"
    office.clock.advance_ms(31 * DAY_MS)
    assert await code_of(office.redeem(FIXED, 1, op="late")) == "gift_card_expired"
    assert await office.balance(FIXED) == 100_000
    await books_agree(office.pool)


async def test_two_shops_at_once_never_take_more_than_there_is(office: Office) -> None:
    """Sixteen redemptions of 100 from two stores at one moment; 1,000 is on the card."""
    await office.sell(PLAIN, 100_000)
    asked = [
        office.redeem(PLAIN, 10_000, op=f"{n}", store=store)
        for n in range(8)
        for store in ("S1", "S2")
    ]
    replies = await asyncio.gather(*asked, return_exceptions=True)
    done = [reply for reply in replies if isinstance(reply, GiftReply)]
    refused = [reply for reply in replies if isinstance(reply, ConflictError)]
    assert (len(done), len(refused)) == (10, 6)
    assert sorted(reply.balance_minor for reply in done) == [n * 10_000 for n in range(10)]
    assert await office.balance(PLAIN) == 0
    await books_agree(office.pool)


async def test_one_operation_sent_many_times_at_once_is_done_once(office: Office) -> None:
    """A till's impatient retries meet each other; so do a redemption and its reversal."""
    await office.sell(PLAIN, 100_000)
    same = await asyncio.gather(*[office.redeem(PLAIN, 10_000, op="same") for _ in range(6)])
    assert len(set(map(repr, same))) == 1
    await asyncio.gather(
        *[office.redeem(PLAIN, 10_000, op="torn") for _ in range(3)],
        *[office.reverse("torn") for _ in range(3)],
        return_exceptions=True,
    )
    assert await office.balance(PLAIN) == 90_000
    await books_agree(office.pool)


async def test_wrong_pins_cost_more_and_more_time(office: Office) -> None:
    """Two slips are free; then seconds; from the fifth on an hour, restart or not."""
    await office.sell(SECRET, 100_000)
    assert await code_of(office.balance(SECRET)) == "pin_required"
    for _ in range(3):
        assert await code_of(office.balance(SECRET, pin="0000")) == "wrong_pin"
    assert await code_of(office.balance(SECRET, pin=PIN)) == "pin_wait"
    office.clock.advance_ms(5_000)
    assert await code_of(office.balance(SECRET, pin="0000")) == "wrong_pin"
    office.clock.advance_ms(30_000)
    assert await code_of(office.redeem(SECRET, 1, op="a", pin="0000")) == "wrong_pin"
    office.restart()
    office.clock.advance_ms(3_599_000)
    with pytest.raises(BusyError) as caught:
        await office.redeem(SECRET, 1, op="a", pin=PIN, store="S2")
    assert caught.value.retry_after_s == 1
    office.clock.advance_ms(1_000)
    assert (await office.redeem(SECRET, 1, op="a", pin=PIN)).balance_minor == 99_999
    # The right PIN begins anew; a card without one has nothing to do with it.
    for _ in range(2):
        assert await code_of(office.balance(SECRET, pin="0000")) == "wrong_pin"
    assert await office.balance(SECRET, pin=PIN) == 99_999


async def test_guesses_at_one_moment_count_each(office: Office) -> None:
    """Thirty parallel guesses are three looks at the PIN, not thirty."""
    await office.sell(SECRET, 100_000)
    codes = await asyncio.gather(
        *[code_of(office.balance(SECRET, pin=f"{n:04}")) for n in range(30)]
    )
    assert sorted(set(codes)) == ["pin_wait", "wrong_pin"]
    assert codes.count("wrong_pin") == 3


async def test_an_operation_id_tells_nothing_about_the_pin(office: Office) -> None:
    """A repeat is answered whatever its PIN, even while the card waits; it moves nothing."""
    await office.sell(SECRET, 100_000)
    first = await office.redeem(SECRET, 10_000, op="a", pin=PIN)
    for _ in range(3):
        assert await code_of(office.balance(SECRET, pin="0000")) == "wrong_pin"
    assert await office.redeem(SECRET, 10_000, op="a", pin=PIN) == first
    assert await office.redeem(SECRET, 10_000, op="a", pin="0000") == first


async def test_an_agent_that_tries_numbers_waits(office: Office) -> None:
    """Too many unknown numbers from one agent, and it waits; the other store sells on."""
    await office.sell(PLAIN, 100_000)
    for n in range(60):
        assert await code_of(office.balance(f"{n:016}")) == "unknown_gift_card"
    office.restart()
    assert await code_of(office.balance(PLAIN)) == "gift_cards_wait"
    assert await office.balance(PLAIN, store="S2") == 100_000
    office.clock.advance_ms(10 * 60_000)
    assert await office.balance(PLAIN) == 100_000


async def test_an_agent_that_asks_too_often_waits(office: Office) -> None:
    """Whatever it asks for, such as reversals of what never was; a minute later it goes on."""
    await office.sell(PLAIN, 100_000)
    office.restart()
    for _ in range(CALLS_PER_MINUTE_MAX):
        with pytest.raises(InputError):
            await office.reverse("")
    assert await code_of(office.reverse("x")) == "busy"
    assert await office.balance(PLAIN, store="S2") == 100_000
    office.clock.advance_ms(60_000)
    assert await office.balance(PLAIN) == 100_000


async def test_a_repeated_sale_is_answered_while_the_agent_waits(office: Office) -> None:
    """What was done is told again, whatever the agent tried since."""
    sold = await office.sell(PLAIN, 100_000)
    for n in range(60):
        assert await code_of(office.balance(f"{n:016}")) == "unknown_gift_card"
    assert await office.sell(PLAIN, 100_000) == sold
    assert await code_of(office.sell(FIXED, 100_000, op="new")) == "gift_cards_wait"


async def test_another_key_is_noticed(office: Office, pool: Pool) -> None:
    """With the wrong key file every card would be unknown; that is said, not acted upon."""
    pins = Pins(bytes(reversed(KEY)))
    other = GiftCards(pool, office.clock, pins)
    office.cards = other
    with pytest.raises(CorruptionError):
        await office.balance(PLAIN)
    pins.close()


async def test_the_auditor_sees_one_kopeck(office: Office) -> None:
    """On the card's account, and between a card and its operations."""
    await office.sell(PLAIN, 100_000)
    await books_agree(office.pool)
    async with office.pool.connection() as connection:
        await connection.execute("update gift_card_operation set amount_minor = 99999")
        assert (await gift_cards.audit(connection))["wrong_gift_cards"] == 1
        await connection.execute("update ledger_account set balance = 99999 where kind = 'avail'")
        found = await audit(connection)
    assert found["ledger_sum_centi"] == 1
    assert found["unbalanced_accounts"] == 1


async def test_neither_numbers_nor_pins_are_kept_or_logged(
    office: Office, capfd: pytest.CaptureFixture[str]
) -> None:
    """A stolen copy of the database and the log together give no card away."""
    await office.sell(SECRET, 100_000)
    await office.redeem(SECRET, 1, op="a", pin=PIN)
    assert await code_of(office.balance(SECRET, pin="6284")) == "wrong_pin"
    assert await code_of(office.balance("7777777777777777")) == "unknown_gift_card"
    async with office.pool.connection() as connection:
        cursor = await connection.execute(
            "select coalesce(string_agg(row::text, ''), '') as kept from ("
            " select to_jsonb(c) as row from gift_card c"
            " union all select to_jsonb(o) from gift_card_operation o"
            " union all select to_jsonb(g) from gift_card_guess g"
            " union all select to_jsonb(t) from ledger_transfer t"
            " union all select to_jsonb(a) from ledger_account a) as rows"
        )
        row = await cursor.fetchone()
    assert row is not None
    out, err = capfd.readouterr()
    assert "gift_card.wrong_pin" in out + err
    for told in (row["kept"], out, err):
        for secret in (SECRET, SECRET.encode().hex(), "7777777777777777", "6284"):
            assert secret not in told


@pytest.mark.parametrize("turn", range(3))
async def test_any_order_of_operations_agrees_with_plain_sums(office: Office, turn: int) -> None:
    """Random sales, redemptions, repeats and reversals of two stores, against a dictionary."""
    seed = secrets.randbits(32)
    print(f"seed {seed} turn {turn}")
    chance = random.Random(seed)
    balances: dict[str, int | None] = {PLAIN: None, WHOLE: None, FIXED: None}
    done: dict[tuple[str, str], tuple[str, str, int]] = {}
    undone: set[tuple[str, str]] = set()
    for _ in range(60):
        store, op = chance.choice(("S1", "S2")), f"op{chance.randrange(12)}"
        number = chance.choice(list(balances))
        kind = chance.choice(("sell", "redeem", "redeem", "reverse"))
        amount = 100_000 if kind == "sell" else chance.choice((10_000, 40_000))
        place, before = (store, op), balances[number]
        try:
            if kind == "reverse":
                await office.reverse(op, store=store)
            elif kind == "sell":
                await office.sell(number, amount, op=op, store=store)
            else:
                await office.redeem(number, amount, op=op, store=store)
        except (ConflictError, InputError, NotFoundError, ForbiddenError):
            continue
        if kind == "reverse":
            if place in done and place not in undone:
                was, whose, moved = done[place]
                balances[whose] = None if was == "sell" else (balances[whose] or 0) + moved
            undone.add(place)
        elif place in done:
            assert done[place] == (kind, number, amount)
        else:
            assert place not in undone
            done[place] = (kind, number, amount)
            assert (before is None) == (kind == "sell")
            balances[number] = amount if kind == "sell" else (before or 0) - amount
            assert (balances[number] or 0) >= 0
    for number, expected in balances.items():
        assert await office.balance(number) == (expected or 0)
    await books_agree(office.pool)


async def test_right_and_wrong_pins_at_one_moment(office: Office) -> None:
    """Each is answered as it deserves; nobody gets an answer about the program."""
    await office.sell(SECRET, 100_000)

    async def ask(pin: str) -> str:
        try:
            return str(await office.balance(SECRET, pin=pin))
        except AppError as error:
            return error.stable_code

    told = await asyncio.gather(*[ask(pin) for pin in (PIN, "0000", PIN, PIN, "1111", PIN) * 3])
    assert set(told) <= {"100000", "wrong_pin", "pin_wait"}
    assert "100000" in told
