"""A till asks its hub what is left of a campaign's budget, and does without it when it is gone."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp.test_utils import TestClient, TestServer

from edge_agent.app import Machine, make_app
from edge_agent.checkout.desk import ShopDesk
from edge_agent.config import DATABASE_FILE, Config
from edge_agent.database.connection import open_writer
from edge_agent.lan.peers import put_peers
from edge_agent.loyalty.store import put_lease
from shared.crypto.signing import Signer
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import EdgeKind
from shared.wire.feed import LeaseEntry, LeaseState
from shared.wire.lan import LanCall, PeerEntry, RightsAnswer, RightsAsk
from tests.support.shop import FAR_MS, HEADERS, a_bundle, device_key, make_shop, till_receipt
from tests.support.shop_network import HUB, Fault, Shop

TILL: Final = HUB + 1
TIMES: Final = "budget:times"
FIRST: Final = {
    "id": "first",
    "limits": {"total": {"times": 50}},
    "then": [{"do": "discount_goods", "percent": "10"}],
}


def test_till_is_told_what_the_hub_has_left() -> None:
    """By promotion and asset; nothing of promotions that it has nothing of, nor when it is gone."""
    shop = Shop()
    shop.hub.lease("B", 7, 1, owner="first", asset=TIMES)
    desk = shop.tills[0].desk
    assert desk.asks_for_budgets
    assert shop.run(desk.budgets(["first", "other"])) == {"first": {TIMES: 7}, "other": {}}

    shop.tills[0].line.always = Fault.DOWN
    assert shop.run(desk.budgets(["first"])) == {}
    assert not desk.asks_for_budgets
    shop.close()


def test_hub_of_an_older_release_is_understood() -> None:
    """It knows one owner only, and answers without budgets; so this till gives none of them."""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode([{}]), type=RightsAnswer).budgets == {}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(["c1"]), type=RightsAsk).promotions == []
    assert LanCall("more") is LanCall.MORE


def test_hub_hears_what_its_tills_missed_and_asks_for_all_of_them() -> None:
    """Told with the next beat, once for each budget."""
    shop = Shop()
    heard: list[tuple[str, str, int]] = []
    shop.hub.own = ShopDesk(
        writer=shop.hub.memory,
        edge_id=HUB,
        trusted_now_ms=shop.time.trusted_now_ms,
        chance=shop.hub.chance,
        want_more=lambda *wanted: heard.append(wanted),
    )
    shop.hub.desk._own = shop.hub.own
    till = shop.tills[0]
    for amount in (1, 2):
        till.desk.want_more("first", TIMES, amount)
    shop.run(till.desk.settle())
    shop.run(till.desk.settle())
    assert heard == [("first", TIMES, 2)]
    shop.close()


async def test_receipts_at_a_till_spend_the_hubs_budget(tmp_path: Path) -> None:
    """Two of the hub's two; the third gets nothing; the hub records both spends."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    folders = {HUB: tmp_path / "hub", TILL: tmp_path / "till"}
    bundle = a_bundle(1, promotions=[FIRST])
    make_shop(folders[HUB], bundle=bundle, edge_id=HUB, lan_listen=f"127.0.0.1:{port}")
    make_shop(folders[TILL], bundle=bundle, edge_id=TILL, hub_url=f"http://127.0.0.1:{port}")
    peers = [
        PeerEntry(
            edge_id=edge_id,
            kind=kind,
            device_public_key=Signer(device_key(edge_id)).public_key,
            state="active",
        )
        for edge_id, kind in ((HUB, EdgeKind.HUB), (TILL, EdgeKind.TILL))
    ]
    lease = LeaseEntry(
        lease_id="B",
        owner="first",
        asset=TIMES,
        granted=2,
        spend_until_ms=FAR_MS,
        state=LeaseState.OPEN,
        edge_id=HUB,
    )
    for folder in folders.values():
        connection = open_writer(folder / DATABASE_FILE)
        put_peers(connection, [(str(p.edge_id), msgspec.msgpack.encode(p)) for p in peers])
        put_lease(connection, lease, 1)
        connection.close()
    machine = Machine(clock=SystemClock(), chance=SystemChance())
    async with AsyncExitStack() as stack:
        tills: dict[int, Any] = {}
        for edge_id, folder in folders.items():
            app = make_app(folder, Config.load(folder), machine)
            client = TestClient(TestServer(app), headers=HEADERS)
            tills[edge_id] = await stack.enter_async_context(client)
        given = []
        for number in range(3):
            receipt = till_receipt(f"r{number}")
            path = f"/v1/receipts/{receipt['receipt_id']}/commit"
            async with tills[TILL].post(path, json={"receipt": receipt}) as response:
                done = await response.json()
            assert response.status == 200, done
            assert done["incidents"] == []
            given.append(done["answer"]["applied"])
        assert given == [["first"], ["first"], []]
    connection = open_writer(folders[HUB] / DATABASE_FILE)
    used = "SELECT held + spent_amount FROM lease_book WHERE owner = 'first'"
    assert connection.execute(used).get == 2
    connection.close()
