"""Tills with tokens of their own, at a real agent whose folder is changed while it works."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge_agent.__main__ import main
from edge_agent.app import make_app
from edge_agent.config import CONFIG_FILE, Config
from edge_agent.http.contract import OPERATIONS, Operation
from edge_agent.tills.policy import CALLS_AT_ONCE_MAX, TILLS_MAX, Right
from edge_agent.tills.service import LOOK_EVERY_NS
from edge_agent.tills.store import TILLS_FILE
from edge_agent.wiring.ground import Machine
from shared.errors import CorruptionError
from shared.system import SystemChance, SystemClock
from tests.support.shop import HEADERS, TOKEN, make_shop, till_receipt

Agent = TestClient[Any, Any]
WAIT_S = 20.0
"""At the most, on a busy machine; nothing is asserted about how long it takes."""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    make_shop(tmp_path / "shop", bundle=None)
    return tmp_path / "shop"


@asynccontextmanager
async def an_agent(folder: Path, clock: SystemClock | None = None) -> AsyncIterator[Agent]:
    machine = Machine(clock=clock or SystemClock(), chance=SystemChance())
    app = make_app(folder, Config.load(folder), machine)
    async with TestClient(TestServer(app)) as client:
        yield client


def made(folder: Path, capsys: pytest.CaptureFixture[str], name: str, *more: str) -> str:
    """A new token, as the command prints it."""
    assert main(["till", "add", name, "--folder", str(folder), *more]) == 0
    return capsys.readouterr().out.split()[-1]  # a running agent's log comes before


async def asked(agent: Agent, token: str, path: str = "/v1/status") -> int:
    async with agent.get(path, headers={"Authorization": f"Bearer {token}"}) as response:
        await response.read()
        return response.status


async def until(agent: Agent, token: str, status: int) -> None:
    """Ask until that is the answer."""
    async with asyncio.timeout(WAIT_S):
        for wait_s in itertools.repeat(0.02):
            if await asked(agent, token) == status:
                return
            await asyncio.sleep(wait_s)


async def test_token_works_while_it_is_not_revoked(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A running agent knows a new token and forgets a revoked one; the others stay."""
    async with an_agent(shop) as agent:
        first = made(shop, capsys, "R1")
        second = made(shop, capsys, "R2")
        await until(agent, first, 200)
        await until(agent, second, 200)
        assert main(["till", "revoke", "R1", "--folder", str(shop)]) == 0
        await until(agent, first, 401)
        assert await asked(agent, second) == 200
        assert await asked(agent, TOKEN) == 200
        again = made(shop, capsys, "R1")
        assert again != first
        await until(agent, again, 200)
        assert await asked(agent, first) == 401


def test_file_keeps_no_token(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed once stands nowhere in the folder, and the list does not tell it."""
    token = made(shop, capsys, "R1", "--may", "prices")
    assert main(["till", "list", "--folder", str(shop)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("R1: prices; since ")
    kept = [path for path in shop.rglob("*") if path.is_file()]
    assert kept
    assert not any(token.encode() in path.read_bytes() for path in kept)
    assert token not in told
    assert (shop / TILLS_FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("right", list(Right))
async def test_token_is_good_for_its_right_alone(
    shop: Path, capsys: pytest.CaptureFixture[str], right: Right
) -> None:
    """Calls of other rights are refused whatever they say; those of its own are looked at."""
    token = made(shop, capsys, "R1", "--may", right.value)
    async with an_agent(shop) as agent:
        for operation in OPERATIONS:
            code = await _code(agent, operation, token)
            refused = operation.right is not None and operation.right is not right
            assert (code == "till_may_not") == refused, operation.name
        assert (await asked(agent, token, "/metrics") == 403) == (right is not Right.REPORT)
        assert await asked(agent, token, "/v1/nowhere") == 404


async def _code(agent: Agent, operation: Operation, token: str) -> str | None:
    path = operation.path.replace("{id}", "r1")
    headers = {"Authorization": f"Bearer {token}"}
    async with agent.request(operation.method, path, headers=headers) as response:
        code: str | None = (await response.json()).get("code")
        return code


class StillClock(SystemClock):
    """Whose monotonic time stands, so that a pace does not depend on how fast a test is."""

    def __init__(self) -> None:
        super().__init__()
        self.at_ns = super().mono_ns()

    def mono_ns(self) -> int:
        """The same until it is moved."""
        return self.at_ns


async def test_till_in_a_loop_is_told_to_wait(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beyond its pace it gets 429 with Retry-After; another till and the common token do not."""
    loud, calm = made(shop, capsys, "R1"), made(shop, capsys, "R2")
    clock = StillClock()
    async with an_agent(shop, clock) as agent:
        for _ in range(CALLS_AT_ONCE_MAX):
            assert await asked(agent, loud) == 200
        headers = {"Authorization": f"Bearer {loud}"}
        async with agent.get("/v1/status", headers=headers) as response:
            problem = await response.json()
            assert (response.status, problem["code"]) == (429, "too_many_calls")
            assert response.content_type == "application/problem+json"
            assert int(response.headers["Retry-After"]) >= 1
        assert await asked(agent, calm) == 200
        assert await asked(agent, TOKEN) == 200
        clock.at_ns += 10**9
        assert await asked(agent, loud) == 200


async def test_common_token_may_be_kept_from_selling(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With common_token = false only tills' own tokens sell; reports go on."""
    text = (shop / CONFIG_FILE).read_text().replace("common_token = true", "common_token = false")
    (shop / CONFIG_FILE).write_text(text)
    token = made(shop, capsys, "R1")
    receipt = json.dumps(till_receipt("r1"))
    async with an_agent(shop) as agent:
        path = "/v1/receipts/calculate"
        async with agent.post(path, data=receipt, headers=HEADERS) as response:
            assert (response.status, (await response.json())["code"]) == (403, "till_may_not")
        headers = {"Authorization": f"Bearer {token}"}
        async with agent.post(path, data=receipt, headers=headers) as response:
            assert (await response.json())["code"] == "no_bundle"
        assert await asked(agent, TOKEN) == 200
        assert await asked(agent, TOKEN, "/metrics") == 200


async def test_damaged_file_stops_a_start_and_not_a_shop(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An agent that runs keeps whom it knows and says so; one that starts lets nobody in."""
    token = made(shop, capsys, "R1")
    clock = StillClock()
    async with an_agent(shop, clock) as agent:
        assert await asked(agent, token) == 200
        (shop / TILLS_FILE).write_text("[{")
        clock.at_ns += 2 * LOOK_EVERY_NS
        assert await asked(agent, token) == 200
        async with agent.get("/v1/status", headers=HEADERS) as response:
            parts = {each["component"]: each for each in (await response.json())["components"]}
        assert parts["tills"]["health"] == "warn"
    with pytest.raises(CorruptionError):
        make_app(shop, Config.load(shop), Machine(clock=SystemClock(), chance=SystemChance()))


def test_names_are_few_and_plain(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that would not stand in a list, is taken, or is one too many, is refused."""
    made(shop, capsys, "R1")
    for name in ("R1", "", "R 2", "common", "R2\n", "x" * 65):
        assert main(["till", "add", name, "--folder", str(shop)]) == 1, name
    assert main(["till", "revoke", "R9", "--folder", str(shop)]) == 1
    many = json.loads((shop / TILLS_FILE).read_text()) * TILLS_MAX
    rows = [{**each, "name": f"T{number}"} for number, each in enumerate(many)]
    (shop / TILLS_FILE).write_text(json.dumps(rows))
    assert main(["till", "add", "R1", "--folder", str(shop)]) == 1
    assert len(json.loads((shop / TILLS_FILE).read_text())) == TILLS_MAX
