"""A till's records through the hub, directly, and both ways at once: one stream at central."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.lan.path import HubPath
from edge_agent.lan.relay import RelayStream, next_waiting
from edge_agent.leases.store import find_hold
from edge_agent.leases.till import tokens_of_receipt
from edge_agent.outbox.store import Fact, append_fact, hash_at, head_of
from shared.errors import UnavailableError
from shared.frames import make_batch
from shared.wire.answer import Answer, Totals
from shared.wire.facts import FactKind, LeaseSpend, ReceiptCommitted
from shared.wire.receipt import Receipt
from shared.wire.stream import Ack, Batch, Lane, Refusal, RefusalCode
from tests.support.central_streams import CentralStreams
from tests.support.examples import examples
from tests.support.shop_network import Fault, Shop, Till

LANE = int(Lane.RECEIPTS)


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop(tills_count=1)
    yield made
    made.close()


def a_central(shop: Shop) -> CentralStreams:
    central = CentralStreams()
    for node in (shop.hub, *shop.tills):
        for lane in (Lane.MONEY, Lane.RECEIPTS):
            central.begin(node.edge_id, lane, 1, bytes([node.edge_id]) * 16)
    return central


def record(till: Till, count: int, body: bytes = b"\x90") -> None:
    """Append so many facts to the till's lane of receipts."""
    with till.memory.connection:
        for _ in range(count):
            fact = Fact(uid=till.chance.token_bytes(16), kind="k", body=body, recorded_at_ms=1)
            append_fact(till.memory.connection, LANE, fact)


def batch_of(till: Till, first: int, last: int) -> Batch:
    """Records ``first..last`` of the till's lane of receipts."""
    connection = till.memory.connection
    head = head_of(connection, LANE)
    rows = connection.execute(
        "SELECT record FROM outbox WHERE stream_id = ? AND seq BETWEEN ? AND ? ORDER BY seq",
        (head.stream_id, first, last),
    ).fetchall()
    return make_batch(
        [data for (data,) in rows],
        first_seq=first,
        previous_hash=hash_at(connection, head, first - 1),
    )


def waiting(shop: Shop) -> int:
    stream = RelayStream(edge_id=shop.tills[0].edge_id, lane=LANE, epoch=1)
    count = shop.hub.memory.connection.execute("SELECT count(*) FROM relay").get
    assert (next_waiting(shop.hub.memory.connection, stream) is None) == (count == 0)
    return int(str(count))


def test_batch_goes_as_it_came_and_the_answer_comes_back(shop: Shop) -> None:
    """Fields of a newer release behind the known ones are carried too."""
    till, central = shop.tills[0], a_central(shop)
    record(till, 3)
    known: list[Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(batch_of(till, 1, 3)))
    body = msgspec.msgpack.encode([*known, "a newer field", 7])

    said = shop.run(till.desk.relay(LANE, 1, body))
    assert said is not None
    assert (said.stored, said.kind) == (True, "")
    shop.run(till.desk.relay(LANE, 1, body))
    assert waiting(shop) == 1
    shop.run(shop.hub.desk.forward(central))
    said = shop.run(till.desk.relay(LANE, 1, b""))

    assert central.bodies == [body]
    assert said is not None
    assert msgspec.msgpack.decode(said.answer, type=Ack).seq == 3
    assert (said.online, waiting(shop)) == (True, 0)


def test_longer_batch_takes_the_place_of_what_it_holds(shop: Shop) -> None:
    """A till that sends again with more behind it does not fill the hub's disk."""
    till, central = shop.tills[0], a_central(shop)
    central.down = True
    for count in range(1, 6):
        record(till, 1)
        shop.run(till.desk.relay(LANE, 1, msgspec.msgpack.encode(batch_of(till, 1, count))))
        with pytest.raises(UnavailableError):
            shop.run(shop.hub.desk.forward(central))
    assert waiting(shop) == 1
    central.down = False
    shop.run(shop.hub.desk.forward(central))
    assert len(central.records(till.edge_id, LANE)) == 5


def test_gap_is_told_to_the_till_and_the_rest_waits_for_it(shop: Shop) -> None:
    """The hub does not ask central again until the till has sent what is missing."""
    till, central = shop.tills[0], a_central(shop)
    record(till, 4)
    shop.run(till.desk.relay(LANE, 1, msgspec.msgpack.encode(batch_of(till, 3, 4))))
    shop.run(shop.hub.desk.forward(central))
    shop.run(shop.hub.desk.forward(central))
    said = shop.run(till.desk.relay(LANE, 1, b""))
    assert said is not None
    refusal = msgspec.msgpack.decode(said.answer, type=Refusal)
    assert (refusal.code, refusal.seq, len(central.bodies)) == (RefusalCode.GAP, 0, 1)

    shop.run(till.desk.relay(LANE, 1, msgspec.msgpack.encode(batch_of(till, 1, 2))))
    shop.run(shop.hub.desk.forward(central))
    assert len(central.records(till.edge_id, LANE)) == 4
    assert waiting(shop) == 0


def test_hub_without_room_carries_nothing_and_the_till_goes_by_itself(shop: Shop) -> None:
    """The shop's own sales come first; what waits already is carried, and room brings it back."""
    till, central = shop.tills[0], a_central(shop)
    record(till, 2)
    shop.run(till.desk.relay(LANE, 1, msgspec.msgpack.encode(batch_of(till, 1, 1))))
    shop.hub.roomy = False
    body = msgspec.msgpack.encode(batch_of(till, 1, 2))
    said = shop.run(till.desk.relay(LANE, 1, body))
    assert said is not None
    assert (said.stored, said.reason, waiting(shop)) == (False, "full", 1)

    async def pause(_s: float) -> None:
        pytest.fail("nobody waits for a hub that carries nothing")

    path = HubPath(desk=till.desk, edge_id=till.edge_id, pause=pause)
    assert shop.run(path.put_batch(till.edge_id, LANE, 1, batch_of(till, 1, 2))) is None
    shop.run(shop.hub.desk.forward(central))
    assert (len(central.records(till.edge_id, LANE)), waiting(shop)) == (1, 0)
    shop.hub.roomy = True
    said = shop.run(till.desk.relay(LANE, 1, body))
    assert said is not None
    assert said.stored


@pytest.mark.parametrize("roomy", [True, False])
def test_receipt_of_a_dead_till_captures_its_hold(shop: Shop, roomy: bool) -> None:
    """The till's journal has been seen: what it printed is spent, though it never says so."""
    shop.hub.roomy = roomy
    till = shop.tills[0]
    shop.hub.lease("L", 1_000, 1)
    shop.run(till.freeze("r1", 100))
    [paid] = shop.run(till.sell("r1", 100))
    total = Totals(
        list_minor=0, discount_minor=0, net_minor=0, points_spent_minor=0, to_pay_minor=0
    )
    receipt = ReceiptCommitted(
        receipt_id="r1",
        store_id="S1",
        register="",
        business_date="2026-11-23",
        committed_at_ms=1,
        bundle_version=1,
        receipt=Receipt(receipt_id="r1", store="S1", time="", lines=[]),
        answer=Answer(
            receipt_id="r1", programme="p", version=1, optimal=True, lines=[], total=total
        ),
        lease_spends=[
            LeaseSpend(
                lease_id=part.lease_id,
                account="main",
                points_centi=part.amount,
                spend_uid=part.spend_uid,
            )
            for part in paid.parts
        ],
        incidents=[],
    )
    fact = Fact(
        uid=b"u" * 16,
        kind=FactKind.RECEIPT_COMMITTED,
        body=msgspec.msgpack.encode(receipt),
        recorded_at_ms=1,
    )
    with till.memory.connection:
        append_fact(till.memory.connection, LANE, fact)
    shop.run(till.desk.relay(LANE, 1, msgspec.msgpack.encode(batch_of(till, 1, 1))))

    [token] = tokens_of_receipt(till.memory.connection, "r1")
    held = find_hold(shop.hub.memory.connection, token.uid)
    assert held is not None
    assert held.state.value == "captured"


@given(st.integers(0, 2**32))
@examples(30)
def test_ways_may_change_at_any_moment(seed: int) -> None:
    """Through the hub, directly, both; cut, answered late: central has one whole stream."""
    chance = random.Random(seed)
    shop = Shop(tills_count=1)
    till, central = shop.tills[0], a_central(shop)

    async def pause(_: float) -> None:
        with suppress(UnavailableError):
            await shop.hub.desk.forward(central)

    path = HubPath(desk=till.desk, edge_id=till.edge_id, pause=pause)
    acked = 0
    for turn in range(60):
        well = turn >= 50
        record(till, chance.randrange(3))
        last = head_of(till.memory.connection, LANE).seq
        till.line.always = Fault.NONE if well else chance.choice(list(Fault))
        central.down = not well and chance.random() < 0.3
        shop.time.now_ms += 16_000
        if acked == last:
            continue
        batch = batch_of(till, acked + 1, last if well else chance.randint(acked + 1, last))
        answer: Ack | Refusal | None = None
        try:
            if well or chance.random() < 0.7:
                answer = shop.run(path.put_batch(till.edge_id, LANE, 1, batch))
            if answer is None or chance.random() < 0.2:
                answer = shop.run(central.put_batch(till.edge_id, LANE, 1, batch))
            shop.run(shop.hub.desk.forward(central))
        except UnavailableError:
            continue
        if isinstance(answer, Ack):
            assert answer.hash == hash_at(
                till.memory.connection, head_of(till.memory.connection, LANE), answer.seq
            )
            acked = max(acked, answer.seq)

    head = head_of(till.memory.connection, LANE)
    assert acked == head.seq
    rows = till.memory.connection.execute(
        "SELECT record FROM outbox WHERE stream_id = ? ORDER BY seq", (head.stream_id,)
    ).fetchall()
    assert central.records(till.edge_id, LANE) == [data for (data,) in rows]
    shop.close()
