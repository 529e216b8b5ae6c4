"""A shop that has no line, ever: everything goes on a stick, by the commands of both ends."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge_agent.config import TILL_TOKEN_FILE
from tests.support.agent_process import an_agent
from tests.support.head_office import Done, HeadOffice
from tests.support.programmes import TEA_AND_POINTS
from tests.support.shop import till_receipt

EDGE = Path(sys.executable).with_name("kopilka-edge")
PATIENCE_S = 120


@pytest.fixture
def office(tmp_path: Path) -> Iterator[HeadOffice]:
    made = HeadOffice(tmp_path / "central")
    yield made
    made.forget()


def edge(name: str, folder: Path, *arguments: str) -> Done:
    """One command of the agent's, to its end."""
    done = subprocess.run(
        [str(EDGE), name, "--folder", str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return Done(code=done.returncode, out=done.stdout, err=done.stderr)


def ok(done: Done) -> str:
    assert done.code == 0, done.err
    return done.out


def set_up(office: HeadOffice, shop: Path, tmp_path: Path) -> None:
    """Head office with a store; its agent is enrolled there, then head office is out of reach."""
    ok(
        office.command(
            "init", "--web", "127.0.0.1:0", "--uplink", "127.0.0.1:0", "--insecure-uplink"
        )
    )
    ok(office.command("store-add", "S1", "Far shop"))
    office.start()
    token = ok(office.command("enrol-token", "--store", "S1")).strip()
    ok(edge("enrol", shop, "--central", office.uplink, "--token", token, "--listen", "127.0.0.1:0"))
    office.stop()
    publish(office, tmp_path, 1)
    add_members(office, tmp_path, 1)


def publish(office: HeadOffice, tmp_path: Path, version: int) -> None:
    document = tmp_path / f"programme-{version}.json"
    document.write_text(json.dumps(TEA_AND_POINTS | {"version": version}))
    ok(office.command("publish", str(document)))


def add_members(office: HeadOffice, tmp_path: Path, *numbers: int) -> None:
    lines = tmp_path / "members.jsonl"
    rows = [
        {
            "customer_id": f"m{n}",
            "cards": [f"card-{n}"],
            "home_store": "S1",
            "points": {"main": "50.00"},
        }
        for n in numbers
    ]
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ok(office.command("import", "--customers", str(lines)))


def carry(office: HeadOffice, shop: Path, stick: Path) -> str:
    """One round with the stick; what the agent said of the answer."""
    before = set(stick.iterdir())
    ok(edge("export", shop, str(stick)))
    (question,) = set(stick.iterdir()) - before
    ok(office.command("import-file", str(question)))
    (answer,) = set(stick.iterdir()) - before - {question}
    return ok(edge("import", shop, str(answer)))


async def ask(url: str, shop: Path, path: str, body: Any = None) -> tuple[int, Any]:
    headers = {"Authorization": "Bearer " + (shop / TILL_TOKEN_FILE).read_text().strip()}
    method = "GET" if body is None else "POST"
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.request(method, f"{url}{path}", json=body) as response,
    ):
        return response.status, await response.json()


async def sell(url: str, shop: Path, name: str, **more: Any) -> dict[str, Any]:
    body = {"receipt": till_receipt(name, **more)}
    status, told = await ask(url, shop, f"/v1/receipts/{name}/commit", body)
    assert status == 200, told
    return dict(told)


@pytest.mark.processes
async def test_a_shop_without_a_line_lives_on_files(office: HeadOffice, tmp_path: Path) -> None:
    """Programme, members and points come in, sales and spends go out; each counts once."""
    shop, stick = tmp_path / "shop", tmp_path / "stick"
    stick.mkdir()
    await asyncio.to_thread(set_up, office, shop, tmp_path)
    async with an_agent(shop) as (_, url):
        # Nothing is known before the first round; then there is a programme and a member.
        assert "programme 1 is in force" in await asyncio.to_thread(carry, office, shop, stick)
        assert (await ask(url, shop, "/v1/customers?card=card-1"))[0] == 200
        card = {"customer": {"card": "card-1"}}
        told = await sell(url, shop, "r1", **card, spend={"account": "main", "points": "10.00"})
        assert told["answer"]["total"]["points_spent"] == "10.00"
        await sell(url, shop, "r2")
    # The agent is started anew between export and import: the question is remembered.
    async with an_agent(shop) as (_, url):
        ok(await asyncio.to_thread(edge, "export", shop, str(stick / "again.question.sync")))
    await asyncio.to_thread(add_members, office, tmp_path, 2, 3)
    await asyncio.to_thread(publish, office, tmp_path, 2)
    ok(await asyncio.to_thread(office.command, "import-file", str(stick / "again.question.sync")))
    async with an_agent(shop) as (_, url):
        await sell(url, shop, "r3", customer={"card": "card-1"})
        told = await asyncio.to_thread(edge, "import", shop, str(stick / "again.answer.sync"))
        assert "programme 2 is in force" in ok(told)
        used = await asyncio.to_thread(edge, "import", shop, str(stick / "again.answer.sync"))
        assert used.code == 1
        assert "taken in before" in used.err
        status, state = await ask(url, shop, "/v1/status")
        assert (status, state["bundle_version"], state["queue_depth"] > 0) == (200, 2, True)
        assert (await ask(url, shop, "/v1/customers?card=card-3"))[0] == 200
        await asyncio.to_thread(carry, office, shop, stick)
        status, state = await ask(url, shop, "/v1/status")
        assert (status, state["queue_depth"], state["link"]["online"]) == (200, 0, False)
        found = json.loads(ok(await asyncio.to_thread(office.command, "verify", "--json")))
        assert found["ok"], found
        assert found["receipts"] == 3, found
    assert "chain whole" in ok(await asyncio.to_thread(edge, "verify", shop))


@pytest.mark.processes
async def test_a_shop_whose_database_was_put_back_recovers_by_files(
    office: HeadOffice, tmp_path: Path
) -> None:
    """The witness tells of more. A new epoch comes by file, and what is sold meanwhile goes."""
    shop, stick = tmp_path / "shop", tmp_path / "stick"
    stick.mkdir()
    await asyncio.to_thread(set_up, office, shop, tmp_path)
    async with an_agent(shop) as (_, url):
        await asyncio.to_thread(carry, office, shop, stick)
        await sell(url, shop, "r1")
        await asyncio.to_thread(carry, office, shop, stick)
        copy = tmp_path / "copy.sqlite"
        ok(await asyncio.to_thread(edge, "backup", shop, str(copy)))
        await sell(url, shop, "lost")
    for name in ("edge.sqlite", "edge.sqlite-wal", "edge.sqlite-shm"):
        (shop / name).unlink(missing_ok=True)
    shutil.copy(copy, shop / "edge.sqlite")
    async with an_agent(shop) as (_, url):
        await sell(url, shop, "r2")
        for _ in range(3):
            await asyncio.to_thread(carry, office, shop, stick)
        status, state = await ask(url, shop, "/v1/status")
        records = next(each for each in state["components"] if each["component"] == "records")
        assert (status, state["queue_depth"], records["health"]) == (200, 0, "ok"), records
    found = json.loads(ok(await asyncio.to_thread(office.command, "verify", "--json")))
    assert (found["ok"], found["receipts"]) == (True, 2), found


@pytest.mark.processes
async def test_a_shop_that_lost_everything_is_told_by_file_to_enrol(
    office: HeadOffice, tmp_path: Path
) -> None:
    """Head office's key outlives the database, so there is an answer; selling goes on."""
    shop, stick = tmp_path / "shop", tmp_path / "stick"
    stick.mkdir()
    await asyncio.to_thread(set_up, office, shop, tmp_path)
    async with an_agent(shop) as (_, url):
        await asyncio.to_thread(carry, office, shop, stick)
        await sell(url, shop, "r1")
        await asyncio.to_thread(carry, office, shop, stick)
    for name in ("edge.sqlite", "edge.sqlite-wal", "edge.sqlite-shm"):
        (shop / name).unlink(missing_ok=True)
    told: list[Done] = []
    async with an_agent(shop) as (_, url):
        await sell(url, shop, "r2")
        for number in range(2):
            question = stick / f"{number}.question.sync"
            ok(await asyncio.to_thread(edge, "export", shop, str(question)))
            ok(await asyncio.to_thread(office.command, "import-file", str(question)))
            answer = stick / f"{number}.answer.sync"
            told.append(await asyncio.to_thread(edge, "import", shop, str(answer)))
        assert (await ask(url, shop, "/v1/status"))[1]["queue_depth"] == 1
    assert told[-1].code == 1
    assert "enrol --again" in told[-1].err
