"""A till asks its hub what is left of a campaign's budget, and does without it when it is gone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge_agent.app import make_app
from edge_agent.checkout.desk import ShopDesk
from edge_agent.config import DATABASE_FILE, Config
from edge_agent.database.connection import open_writer
from edge_agent.lan.peers import put_peers
from edge_agent.limits.store import add_own
from edge_agent.loyalty.store import put_lease
from edge_agent.wiring.ground import Machine
from shared.crypto.signing import Signer
from shared.errors import InputError
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import EdgeKind
from shared.wire.facts import PromotionUse
from shared.wire.feed import LeaseEntry, LeaseState, UseEntry
from shared.wire.lan import LanCall, PeerEntry, RightsAnswer, RightsAsk, UsesAsk
from tests.support.shop import FAR_MS, HEADERS, a_bundle, device_key, make_shop, till_receipt
from tests.support.shop_network import HUB, Fault, Node, Shop

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


@asynccontextmanager
async def a_shop(tmp_path: Path, promotion: dict[str, Any]) -> AsyncIterator[dict[int, Any]]:
    """A hub and its till, both running, with a lease of the hub's; each by its edge id."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    folders = {HUB: tmp_path / "hub", TILL: tmp_path / "till"}
    bundle = a_bundle(1, promotions=[promotion])
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
        agents: dict[int, Any] = {}
        for edge_id, folder in folders.items():
            app = make_app(folder, Config.load(folder), machine)
            client = TestClient(TestServer(app), headers=HEADERS)
            agents[edge_id] = await stack.enter_async_context(client)
        yield agents


async def sell(agent: Any, receipt_id: str, **more: Any) -> bool:
    """Whether the sale was given a promotion; it was within every right."""
    receipt = till_receipt(receipt_id, **more)
    path = f"/v1/receipts/{receipt_id}/commit"
    async with agent.post(path, json={"receipt": receipt}) as response:
        done = await response.json()
    assert response.status == 200, done
    assert done["incidents"] == []
    return bool(done["answer"]["applied"])


async def test_receipts_at_a_till_spend_the_hubs_budget(tmp_path: Path) -> None:
    """Two of the hub's two; the third gets nothing; the hub records both spends."""
    async with a_shop(tmp_path, FIRST) as agents:
        assert [await sell(agents[TILL], f"r{n}") for n in range(3)] == [True, True, False]
    connection = open_writer(tmp_path / "hub" / DATABASE_FILE)
    used = "SELECT held + spent_amount FROM lease_book WHERE owner = 'first'"
    assert connection.execute(used).get == 2
    connection.close()


async def test_customer_gets_it_once_in_a_shop_without_a_line(tmp_path: Path) -> None:
    """What the hub gave the till knows at once, what the till gave the hub in a moment."""
    once = {
        "id": "once",
        "limits": {"per_customer": {"times": 1, "per": "day"}},
        "then": [{"do": "discount_goods", "percent": "10"}],
    }
    async with a_shop(tmp_path, once) as agents:
        hub, till = agents[HUB], agents[TILL]
        assert await sell(hub, "h1", customer={"id": "c1"})
        assert not await sell(till, "t1", customer={"id": "c1"})
        assert await sell(till, "t2", customer={"id": "c9"})

        async with asyncio.timeout(60):
            while True:
                receipt = till_receipt("h2", customer={"id": "c9"})
                async with hub.post("/v1/receipts/calculate", json=receipt) as response:
                    if not (await response.json())["applied"]:
                        break
                await asyncio.sleep(0.1)
        assert not await sell(hub, "h3", customer={"id": "c9"})


def count_of(edge_id: int, amount: int, **changes: Any) -> UseEntry:
    values: dict[str, Any] = {
        "customer_id": "c1",
        "promotion": "once",
        "measure": "times",
        "period": "2026-11-23",
        "edge_id": edge_id,
        "amount": amount,
    }
    return UseEntry(**(values | changes))


def use(node: Node, amount: int = 1) -> None:
    """A sale at this edge counted."""
    told = PromotionUse(
        promotion="once", measure="times", period="2026-11-23", amount=amount, limit=9
    )
    connection = node.memory.connection
    add_own(connection, "c1", [told], business_date="2026-11-23", edge_id=node.edge_id)


def test_tills_learn_of_each_other_through_the_hub_without_central() -> None:
    """Whoever asks knows what one of them and the hub counted; old words change nothing."""
    shop = Shop()
    first, second = shop.tills
    use(first)
    use(shop.hub, 2)
    assert list(shop.run(second.desk.uses("c1"))) == [count_of(HUB, 2)]
    first.desk.note_used("c1")
    shop.run(first.desk.settle())
    assert list(shop.run(second.desk.uses("c1"))) == [count_of(HUB, 2), count_of(TILL, 1)]
    use(first, 3)
    first.desk.note_used("c1")
    first.line.faults = [Fault.NONE, Fault.TWICE]
    shop.run(first.desk.settle())
    assert list(shop.run(second.desk.uses("c1"))) == [count_of(HUB, 2), count_of(TILL, 4)]
    assert list(shop.run(second.desk.uses("c2"))) == []

    second.line.always = Fault.DOWN
    assert list(shop.run(second.desk.uses("c1"))) == []
    shop.close()


@pytest.mark.parametrize(
    "wrong",
    [
        count_of(TILL, 1, customer_id="c2"),
        count_of(TILL, 0),
        count_of(TILL, 2**62),
        count_of(TILL, 1, period="soon"),
        count_of(TILL, 1, promotion="x" * 201),
    ],
)
def test_hub_believes_no_count_that_cannot_be(wrong: UseEntry) -> None:
    """Nothing of such a message is kept; a count in another edge's name is passed over."""
    shop = Shop()
    ask = UsesAsk(customer_id="c1", entries=[count_of(TILL, 1), wrong])
    with pytest.raises(InputError):
        shop.run(shop.hub.desk.uses(TILL, ask))
    others = UsesAsk(customer_id="c1", entries=[count_of(HUB, 5)])
    assert shop.run(shop.hub.desk.uses(TILL, others)).entries == []
    shop.close()
