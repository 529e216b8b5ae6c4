"""A store lets copied cards spend little: with a code of the app there is no such bound."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge_agent.app import make_app
from edge_agent.catalogue.store import put_store
from edge_agent.config import DATABASE_FILE, Config
from edge_agent.database.connection import open_writer
from edge_agent.wiring.ground import Machine
from shared.system import SystemChance, SystemClock
from shared.wire.feed import StoreEntry
from tests.support.member_codes import put_code_keys, shown_code
from tests.support.shop import HEADERS, STORE, a_bundle, make_shop, till_receipt

IDENTIFY = "/v1/customers/identify"


def make(folder: Path, points_max_centi: int | None) -> None:
    """Member c1 with card 100 may spend 30 points here."""
    make_shop(folder, bundle=a_bundle(1))
    put_code_keys(folder)
    connection = open_writer(folder / DATABASE_FILE)
    put_store(
        connection,
        StoreEntry(
            store_id=STORE,
            name="One",
            timezone="Europe/Moscow",
            currency="RUB",
            unproven_points_max_centi=points_max_centi,
        ),
    )
    connection.close()


@asynccontextmanager
async def an_agent(folder: Path) -> AsyncIterator[TestClient[Any, Any]]:
    machine = Machine(clock=SystemClock(), chance=SystemChance())
    app = make_app(folder, Config.load(folder), machine)
    async with TestClient(TestServer(app), headers=HEADERS) as client:
        yield client


async def ask(agent: TestClient[Any, Any], path: str, body: Any) -> dict[str, Any]:
    async with agent.post(path, json=body) as response:
        answer: dict[str, Any] = await response.json()
        assert response.status == 200, answer
        return answer


async def spent(agent: TestClient[Any, Any], **customer: str) -> str:
    """How much this customer's receipt takes when it wants all it can."""
    receipt = till_receipt("r1", customer=customer, spend={"account": "main", "points": "max"})
    answer = await ask(agent, "/v1/receipts/calculate", receipt)
    return str(sum(float(each["points"]) for each in answer["spent"]))


@pytest.mark.parametrize(("points_max_centi", "card_spends"), [(None, "30.0"), (500, "5.0")])
async def test_card_spends_up_to_the_bound_and_a_code_without_it(
    tmp_path: Path, points_max_centi: int | None, card_spends: str
) -> None:
    make(tmp_path / "shop", points_max_centi)
    async with an_agent(tmp_path / "shop") as agent:
        by_card = await ask(agent, IDENTIFY, {"card": "100"})
        assert by_card["proof"] is None
        assert by_card["points_max"] == (None if points_max_centi is None else "5.00")
        assert await spent(agent, card="100") == card_spends
        assert await spent(agent, id="c1") == card_spends
        assert await spent(agent, card="100", proof="made.up") == card_spends
        by_code = await ask(agent, IDENTIFY, {"code": shown_code("c1")})
        assert await spent(agent, id="c1", proof=by_code["proof"]) == "30.0"
        assert await spent(agent, card="100", proof=by_code["proof"]) == "30.0"
    async with an_agent(tmp_path / "shop") as agent:
        assert await spent(agent, id="c1", proof=by_code["proof"]) == "30.0", "after a restart"


async def test_sale_with_a_proof_is_recorded_as_it_was_told(tmp_path: Path) -> None:
    """Freeze and commit take the proof as calculate does, and records do not have it."""
    make(tmp_path / "shop", 500)
    async with an_agent(tmp_path / "shop") as agent:
        proof = (await ask(agent, IDENTIFY, {"code": shown_code("c1")}))["proof"]
        receipt = till_receipt(
            "r1",
            customer={"id": "c1", "proof": proof},
            spend={"account": "main", "points": "max"},
        )
        told = await ask(agent, "/v1/receipts/calculate", receipt)
        sale = {"receipt": receipt, "calculation_id": told["calculation_id"]}
        assert (await ask(agent, "/v1/receipts/r1/freeze", sale))["spent"] == told["spent"]
        recorded = await ask(agent, "/v1/receipts/r1/commit", sale)
        assert recorded["answer"]["spent"] == told["spent"]
        assert recorded["incidents"] == []
    signature = proof.partition(".")[2].encode()
    files = _files(tmp_path / "shop")
    assert files
    assert not any(signature in data for data in files)


def _files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
