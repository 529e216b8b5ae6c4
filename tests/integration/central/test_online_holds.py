"""A web shop sets points aside at head office: once under a uid, and never more than there is."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from central.accounts import service as accounts
from central.accounts.audit import audit
from central.accounts.timers import expire_holds
from central.customers.store import put_customers
from central.database.pool import Pool
from central.fleet.channels import issue_channel, revoke_channel
from central.fleet.store import put_store
from central.uplink.enrol import Enrolment
from central.uplink.ingest import Ingest
from central.uplink.online import CALLS_PER_MINUTE_MAX, OnlineHolds
from central.uplink.server import Uplink
from shared.errors import BusyError, UnauthorizedError
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import EdgeKind
from shared.wire.feed import CustomerEntry, StoreEntry
from tests.support.agent import enrol_request

ASSET = "points:main"
POINTS = 15_000


class WebShop:
    """Channel ``web`` sells for store W; member c1 has 150 points and no home store."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.clock = SystemClock()
        self.enrolment = Enrolment(pool, self.clock, SystemChance(), [])
        self.tokens: dict[str, str] = {}
        uplink = Uplink(pool, self.clock, SystemChance(), self.enrolment, Ingest(pool, self.clock))
        self.http = TestClient(TestServer(uplink.application()))

    async def open(self) -> WebShop:
        async with self.pool.connection() as connection:
            for store in ("W", "S1"):
                entry = StoreEntry(
                    store_id=store, name=store, timezone="Europe/Moscow", currency="RUB"
                )
                await put_store(connection, entry)
            await put_customers(connection, [(CustomerEntry(customer_id="c1", card_tags=[]), None)])
            await accounts.open_balance(connection, "c1", "main", POINTS, now_ms=1)
            for channel, store in (("web", "W"), ("kiosk", "S1")):
                token = await issue_channel(connection, channel, store, SystemChance())
                self.tokens[channel] = token
        await self.http.start_server()
        return self

    async def post(
        self, path: str, body: object = None, *, token: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        shown = self.tokens["web"] if token is None else token
        headers = {"Authorization": f"Bearer {shown}"}
        async with self.http.post(f"/v1/holds/{path}", json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def hold(self, number: int, amount: int = 6_000, **changes: Any) -> dict[str, Any]:
        token = changes.pop("token", None)
        body = {"owner": "c1", "asset": ASSET, "amount": amount} | changes
        return (await self.post(uid(number), body, token=token))[1]

    async def capture(self, number: int, amount: int) -> dict[str, Any]:
        return (await self.post(f"{uid(number)}/capture", {"amount": amount}))[1]

    async def void(self, number: int) -> dict[str, Any]:
        return (await self.post(f"{uid(number)}/void"))[1]

    async def balances(self) -> dict[str, int]:
        async with self.pool.connection() as connection:
            found = await audit(connection)
            assert not any(
                found[key] for key in ("ledger_sum_centi", "negative_accounts", "wrong_leases")
            )
            cursor = await connection.execute(
                "select kind, sum(balance)::bigint as balance from ledger_account"
                " where kind <> 'issued' and balance <> 0 group by kind"
            )
            return {row["kind"]: row["balance"] for row in await cursor.fetchall()}


def uid(number: int) -> str:
    return f"{number:032x}"


@pytest.fixture
async def shop(pool: Pool) -> AsyncIterator[WebShop]:
    shop = await WebShop(pool).open()
    yield shop
    await shop.http.close()


async def test_hold_becomes_a_spend_and_the_rest_is_free(shop: WebShop) -> None:
    """Each word may be said again and is answered as the first time."""
    held = [await shop.hold(1) for _ in range(2)]
    assert held[0] == held[1]
    assert (held[0]["state"], held[0]["amount"]) == ("held", 6_000)
    assert await shop.balances() == {"avail": 9_000, "held": 6_000}
    captured = [await shop.capture(1, 4_000) for _ in range(2)]
    assert captured[0] == captured[1]
    assert (captured[0]["state"], captured[0]["captured_amount"]) == ("captured", 4_000)
    assert await shop.balances() == {"avail": 11_000, "redeemed": 4_000}
    assert await shop.hold(1) == captured[0]
    assert (await shop.capture(1, 3_999))["code"] == "capture_differs"
    assert (await shop.void(1))["code"] == "already_captured"
    assert await shop.balances() == {"avail": 11_000, "redeemed": 4_000}


async def test_what_is_not_free_is_refused_and_asked_back(shop: WebShop) -> None:
    """The answer says what is left; a shop that holds the rest is asked for it."""
    refused = await shop.hold(1, POINTS + 1)
    assert (refused["state"], refused["available"], refused["recalled"]) == (
        "refused",
        POINTS,
        False,
    )
    token = await shop.enrolment.issue_token("S1", EdgeKind.HUB)
    await shop.enrolment.enrol(enrol_request(token, seed=1))
    async with shop.pool.connection() as connection:
        await put_customers(connection, [(CustomerEntry(customer_id="c2", card_tags=[]), "S1")])
        await accounts.open_balance(connection, "c2", "main", POINTS, now_ms=1)
    lent = await shop.hold(2, 1, owner="c2")
    assert (lent["state"], lent["available"], lent["recalled"]) == ("refused", 0, True)
    assert (await shop.hold(1))["state"] == "held", "a refused uid may ask again"


async def test_void_gives_back_and_stands_before_its_hold(shop: WebShop) -> None:
    """Whatever comes first decides."""
    await shop.hold(1)
    assert [(await shop.void(1))["state"] for _ in range(2)] == ["released", "released"]
    assert (await shop.capture(1, 1))["code"] == "hold_released"
    assert (await shop.void(2))["state"] == "released"
    assert (await shop.hold(2))["state"] == "released"
    assert await shop.balances() == {"avail": POINTS}


async def test_a_hold_ends_by_its_time(shop: WebShop) -> None:
    """Nobody is kept from their points by a basket that was left; a late capture takes nothing."""
    await shop.hold(1, expires_in_s=30)
    async with shop.pool.connection() as connection:
        assert await expire_holds(connection, now_ms=shop.clock.now_ms()) == 0
        assert await expire_holds(connection, now_ms=shop.clock.now_ms() + 31_000) == 1
    assert (await shop.capture(1, 6_000))["code"] == "hold_released"
    assert await shop.balances() == {"avail": POINTS}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": 0}, "bad_hold"),
        ({"amount": 10**16}, "bad_hold"),
        ({"amount": 1.5}, "bad_hold"),
        ({"expires_in_s": 29}, "bad_hold"),
        ({"expires_in_s": 86_401}, "bad_hold"),
        ({"asset": "gift:rub"}, "bad_hold"),
        ({"asset": "points:"}, "bad_hold"),
        ({"asset": "points:\x00"}, "bad_hold"),
        ({"owner": "x" * 300}, "bad_hold"),
        ({"owner": "nobody"}, "unknown_customer"),
        ({"surprise": 1}, "bad_hold"),
    ],
)
async def test_what_is_not_held(shop: WebShop, changes: dict[str, Any], code: str) -> None:
    """Impossible amounts, other assets, strangers and words nobody knows are refused by name."""
    body = {"owner": "c1", "asset": ASSET, "amount": 1} | changes
    _, answer = await shop.post(uid(1), body)
    assert answer["code"] == code
    assert await shop.balances() == {"avail": POINTS}


async def test_one_uid_is_one_hold_of_one_store(shop: WebShop) -> None:
    """Another amount or asset under a uid is refused, and another store's holds are not there."""
    await shop.hold(1)
    assert (await shop.hold(1, 5_999))["code"] == "hold_differs"
    assert (await shop.hold(1, asset="points:gift"))["code"] == "hold_differs"
    kiosk = shop.tokens["kiosk"]
    for path, body in (("", None), ("/capture", {"amount": 1}), ("/void", None)):
        sent = {"owner": "c1", "asset": ASSET, "amount": 6_000} if not path else body
        status, answer = await shop.post(uid(1) + path, sent, token=kiosk)
        assert (status, answer["code"]) == (404, "unknown_hold")
    assert (await shop.capture(1, 6_001))["code"] == "more_than_held"
    assert (await shop.capture(9, 1))["code"] == "unknown_hold"
    assert await shop.balances() == {"avail": 9_000, "held": 6_000}


async def test_only_a_channel_may_ask(shop: WebShop) -> None:
    """Neither a stranger, nor an agent, nor a token that was replaced or revoked."""
    token = await shop.enrolment.issue_token("S1", EdgeKind.HUB)
    hub = await shop.enrolment.enrol(enrol_request(token, seed=1))
    old = shop.tokens["web"]
    async with shop.pool.connection() as connection:
        shop.tokens["web"] = await issue_channel(connection, "web", "W", SystemChance())
        await revoke_channel(connection, "kiosk")
    for shown in (
        "",
        "kch_" + "a" * 32,
        hub.credential,
        old,
        shop.tokens["kiosk"],
        "kch_" + "b" * 200,
    ):
        status, answer = await shop.post(f"{uid(1)}/void", token=shown)
        assert (status, answer["code"]) == (401, "bad_token"), shown
    with pytest.raises(UnauthorizedError):
        await OnlineHolds(shop.pool, shop.clock).caller_of("Bearer kch_\udcff")
    assert (await shop.hold(1))["state"] == "held"


async def test_a_channel_that_asks_too_often_has_to_wait(pool: Pool) -> None:
    """A stolen token cannot set a whole town's points aside."""
    holds = OnlineHolds(pool, SystemClock())
    async with pool.connection() as connection:
        entry = StoreEntry(store_id="W", name="W", timezone="Europe/Moscow", currency="RUB")
        await put_store(connection, entry)
        token = await issue_channel(connection, "web", "W", SystemChance())
    for _ in range(CALLS_PER_MINUTE_MAX):
        await holds.caller_of(f"Bearer {token}")
    with pytest.raises(BusyError):
        await holds.caller_of(f"Bearer {token}")


async def test_many_at_once_never_hold_more_than_there_is(shop: WebShop) -> None:
    """Two channels ask for the same points, repeat themselves and give back, all at once."""
    seed = int(os.environ.get("KOPILKA_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"KOPILKA_SEED={seed}")
    chance = random.Random(seed)
    granted: dict[int, str] = {}

    async def customer(number: int) -> None:
        held = [shop.hold(number, 4_000, token=shop.tokens["web"]) for _ in range(2)]
        states = {answer["state"] for answer in await asyncio.gather(*held)}
        if "held" not in states:
            return
        word = chance.choice(("capture", "void", "both"))
        if word in ("capture", "both"):
            calls = [shop.capture(number, 4_000), shop.capture(number, 4_000)]
            calls += [shop.void(number)] if word == "both" else []
            await asyncio.gather(*calls)
        else:
            await shop.void(number)
        granted[number] = (await shop.hold(number, 4_000))["state"]

    for _ in range(3):
        first = chance.randrange(10**6)
        await asyncio.gather(*(customer(first + number) for number in range(6)))
    balances = await shop.balances()

    spent = 4_000 * sum(state == "captured" for state in granted.values())
    assert balances.get("redeemed", 0) == spent <= POINTS
    assert balances["avail"] == POINTS - spent
    assert "held" not in balances
    assert "store_shortage" not in balances
