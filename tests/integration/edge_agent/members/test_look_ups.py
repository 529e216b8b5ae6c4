"""Too many phones are looked up: waits that a restart does not forgive, and that end."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge_agent.app import make_app
from edge_agent.config import DATABASE_FILE, Config
from edge_agent.database.connection import open_writer
from edge_agent.loyalty.newcomers import Newcomer, newcomer_named, put_newcomer
from edge_agent.loyalty.store import customer_by_card, forget_customers
from edge_agent.members.policy import ASKED_MAX, BLOCK_MS
from edge_agent.members.store import SUBJECTS_MAX, blocked, count_asking
from edge_agent.wiring.ground import Machine
from shared.system import SystemChance, SystemClock
from tests.support.shop import HEADERS, make_shop

Agent = TestClient[Any, Any]
IDENTIFY = "/v1/customers/identify"
REGISTER = "/v1/customers/register"
NOW_MS = 1_790_000_000_000
WAIT_S = 20.0
"""At the most, on a busy machine."""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A shop that head office has given its keys once; there is no line now."""
    make_shop(tmp_path / "shop", bundle=None)
    return tmp_path / "shop"


@pytest.fixture
def connection(shop: Path) -> apsw.Connection:
    return open_writer(shop / DATABASE_FILE)


@asynccontextmanager
async def an_agent(folder: Path) -> AsyncIterator[Agent]:
    machine = Machine(clock=SystemClock(), chance=SystemChance())
    app = make_app(folder, Config.load(folder), machine)
    async with TestClient(TestServer(app), headers=HEADERS) as client:
        yield client


async def ask(agent: Agent, path: str, body: Any) -> tuple[int, dict[str, Any]]:
    async with agent.post(path, json=body) as response:
        answer: dict[str, Any] = await response.json()
        if response.status == 429:
            assert int(response.headers["Retry-After"]) >= 1
        return response.status, answer


async def part_of_status(agent: Agent, words: str) -> dict[str, Any]:
    """What the status says of look-ups, once it has these words."""
    async with asyncio.timeout(WAIT_S):
        for wait_s in itertools.repeat(0.05):
            async with agent.get("/v1/status") as response:
                parts = (await response.json())["components"]
            for part in parts:
                if part["component"] == "members" and words in part["message"]:
                    found: dict[str, Any] = part
                    return found
            await asyncio.sleep(wait_s)
    raise AssertionError


def test_waits_are_kept_and_end_with_time(connection: apsw.Connection) -> None:
    """Nothing of it is in memory alone: the counts are those of the database."""
    subjects = ["till R1", "cashier 7"]
    for _ in range(ASKED_MAX):
        assert count_asking(connection, subjects, NOW_MS) == 0
    assert count_asking(connection, subjects, NOW_MS) == BLOCK_MS
    assert count_asking(connection, ["till R2", "cashier 7"], NOW_MS) == BLOCK_MS
    assert count_asking(connection, ["till R2", "cashier 8"], NOW_MS) == 0
    assert set(blocked(connection, NOW_MS)) == set(subjects)
    assert count_asking(connection, subjects, NOW_MS + BLOCK_MS) == 0
    assert blocked(connection, NOW_MS + BLOCK_MS) == {}


def test_subjects_are_bounded_and_who_waits_is_not_forgotten(connection: apsw.Connection) -> None:
    """Whoever names ever new registers makes no room for himself."""
    for _ in range(ASKED_MAX):
        count_asking(connection, ["till R1"], NOW_MS)
    for number in range(SUBJECTS_MAX + 50):
        count_asking(connection, [f"till common {number}"], NOW_MS + 1)
    kept = connection.execute("SELECT count(*) FROM look_up").get
    assert kept == SUBJECTS_MAX
    assert count_asking(connection, ["till R1"], NOW_MS + 2) > 0


async def test_look_ups_wait_across_a_restart_and_status_says_so(shop: Path) -> None:
    """A new process knows who waits; cards go on."""
    async with an_agent(shop) as agent:
        asked = {"phone": "+79990000000", "cashier": "7", "register": "R1"}
        answers = [await ask(agent, IDENTIFY, asked) for _ in range(ASKED_MAX)]
        # Nobody who knows phones is there: that is said, and counts all the same.
        assert {(status, answer["code"]) for status, answer in answers} == {(503, "phones_offline")}
        status, answer = await ask(agent, IDENTIFY, asked)
        assert (status, answer["code"]) == (429, "look_ups_wait")
    async with an_agent(shop) as agent:
        status, answer = await ask(agent, IDENTIFY, asked)
        assert (status, answer["code"]) == (429, "look_ups_wait")
        status, answer = await ask(agent, IDENTIFY, asked | {"register": "R2", "cashier": "8"})
        assert status == 503
        assert (await ask(agent, IDENTIFY, {"card": "100"}))[1]["outcome"] == "found"
        register = {"operation_id": "1", "phone": "+79990000000", "consents": {"rules": True}}
        status, answer = await ask(agent, REGISTER, register | {"register": "R1"})
        assert (status, answer["code"]) == (429, "look_ups_wait")
        told = await part_of_status(agent, "till common R1")
        assert told["health"] == "warn"
        assert "7" not in told["message"].replace("look-ups wait", ""), "cashiers are not named"


async def test_one_phone_is_one_member_before_the_first_line(shop: Path) -> None:
    """After a start no key is here to tag phones with; who was registered since is known."""
    asked = {"phone": "+79990000000", "register": "R1"}
    wish = {**asked, "consents": {"rules": True}}
    async with an_agent(shop) as agent:
        made = (await ask(agent, REGISTER, wish | {"operation_id": "1"}))[1]
        again = (await ask(agent, REGISTER, wish | {"operation_id": "2", "card": "777"}))[1]
        found = (await ask(agent, IDENTIFY, asked))[1]
        status, other = await ask(agent, IDENTIFY, asked | {"phone": "+79990000001"})
    assert (made["outcome"], again["outcome"], again["card_taken"]) == (
        "provisional",
        "known",
        False,
    )
    assert found["members"][0]["id"] == again["member"]["id"] == made["member"]["id"]
    assert (status, other["code"]) == (503, "phones_offline")


async def test_provisional_member_outlives_a_restart(shop: Path) -> None:
    """Made without a line and without a key for phones: known by card and name, and recorded."""
    form = {
        "operation_id": "1",
        "phone": "+79990000000",
        "consents": {"rules": True},
        "card": "700",
    }
    async with an_agent(shop) as agent:
        status, made = await ask(agent, REGISTER, form)
        assert (status, made["outcome"]) == (200, "provisional")
    async with an_agent(shop) as agent:
        assert await ask(agent, REGISTER, form) == (200, made)
        status, found = await ask(agent, IDENTIFY, {"card": "700"})
        assert found["members"][0]["id"] == made["member"]["id"]
        assert found["members"][0]["phone_end"] == "00"
        async with agent.get("/v1/status") as response:
            told = await response.json()
        assert told["queue_depth"] == 1
    other = form | {"phone": "+79990000001"}
    async with an_agent(shop) as agent:
        status, answer = await ask(agent, REGISTER, other)
        assert (status, answer["code"]) == (409, "operation_changed")


async def test_provisional_member_is_made_again_from_the_journal(
    tmp_path: Path,
) -> None:
    """Database gone, second journal there: the record, the name, the card and the operation."""
    make_shop(tmp_path / "shop", bundle=None, journal_folder="journal")
    folder = tmp_path / "shop"
    form = {
        "operation_id": "1",
        "phone": "+79990000000",
        "consents": {"rules": True},
        "card": "700",
    }
    async with an_agent(folder) as agent:
        status, made = await ask(agent, REGISTER, form)
        assert (status, made["outcome"]) == (200, "provisional")
    for path in _database_files(folder):
        path.unlink()
    async with an_agent(folder) as agent:
        status, found = await ask(agent, IDENTIFY, {"card": "700"})
        assert found["members"][0]["id"] == made["member"]["id"]
        assert await ask(agent, REGISTER, form) == (200, made)


def _database_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(DATABASE_FILE + "*"))


def test_who_left_is_forgotten(connection: apsw.Connection) -> None:
    """Head office tells of a member who left: nothing is kept of the newcomer either."""
    made = Newcomer(
        operation_id="1",
        uid=b"u" * 16,
        customer_id="new-7-" + "0" * 20,
        owner="c9",
        is_new=False,
        card_taken=False,
        phone_end="00",
        phone_tag=b"p" * 16,
        card_tag=None,
        registered_at_ms=NOW_MS,
    )
    put_newcomer(connection, made)
    forget_customers(connection, ["c1"])
    assert newcomer_named(connection, made.customer_id) == made
    forget_customers(connection, ["c9"])
    assert newcomer_named(connection, made.customer_id) is None
    assert customer_by_card(connection, b"p" * 16) is None


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (IDENTIFY, {}, "bad_customer"),
        (IDENTIFY, {"card": "1", "phone": "2"}, "bad_customer"),
        (IDENTIFY, {"phone": "12"}, "bad_phone"),
        (IDENTIFY, {"card": 5}, "bad_customer"),
        (IDENTIFY, {"name": "x"}, "unknown_key"),
        (REGISTER, {"operation_id": "1", "phone": "+79990000000"}, "bad_customer"),
        (REGISTER, {"phone": "+79990000000", "consents": {"rules": True}}, "bad_customer"),
        (
            REGISTER,
            {"operation_id": "1", "phone": "+79990000000", "consents": {"rules": False}},
            "consent_needed",
        ),
        (
            REGISTER,
            {"operation_id": "1", "phone": "+79990000000", "consents": {"rules": True, "x": True}},
            "unknown_key",
        ),
    ],
)
async def test_faults_are_named_without_repeating_what_was_sent(
    shop: Path, path: str, body: dict[str, Any], code: str
) -> None:
    async with an_agent(shop) as agent:
        status, answer = await ask(agent, path, body)
        assert (status, answer["code"]) == (400, code)
        assert "999000" not in json.dumps(answer)
