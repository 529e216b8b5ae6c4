"""A till and its hub, word by word: what each outcome of a question leads to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from central.accounts import ledger
from central.accounts.books import AccountKind, Books
from central.accounts.ledger import Origin
from central.accounts.lending import Holder, clear, fund, grant
from edge_agent.lan.policy import REST_NS
from edge_agent.leases.policy import Reason
from edge_agent.leases.store import find_hold, spendable_of
from edge_agent.leases.till import TokenState, tokens_of_receipt
from edge_agent.outbox.store import begin_epoch
from shared.errors import AppError, UnavailableError
from shared.wire.enrol import EdgeKind, LaneStart
from shared.wire.facts import (
    Incident,
    LeaseClosed,
    LeaseSpent,
    SpendVoided,
    SubLeaseClosed,
    SubLeaseGranted,
)
from shared.wire.feed import LeaseState
from shared.wire.lan import PeerEntry
from shared.wire.stream import Lane
from tests.support.shop_network import ASSET, OWNER, Fault, Shop, Till


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    made.hub.lease("L", 1_000, 1)
    yield made
    made.close()


def spends_of(shop: Shop) -> list[tuple[int, str | None, str | None, int]]:
    """Spends on all lanes of money: whose, lease, part, amount."""
    return [
        (node.edge_id, fact.lease_id, fact.sub_lease_id, fact.amount)
        for node in (shop.hub, *shop.tills)
        for _, fact in node.facts()
        if isinstance(fact, LeaseSpent)
    ]


def left_at_hub(shop: Shop) -> int:
    connection = shop.hub.memory.connection
    return spendable_of(connection, OWNER, shop.hub.own.standing(connection)).get(ASSET, 0)


def tokens(till: Till, receipt_id: str) -> list[TokenState]:
    return [token.state for token in tokens_of_receipt(till.memory.connection, receipt_id)]


def test_frozen_points_become_a_spend_of_the_hub_when_it_is_told(shop: Shop) -> None:
    """Held at the hub, named in the till's receipt, recorded by the hub: one spend, one uid."""
    till = shop.tills[0]
    assert shop.run(till.desk.elsewhere(OWNER)) == {ASSET: 1_000}
    assert shop.run(till.freeze("r1", 300)) is None
    assert shop.run(till.freeze("r1", 300)) is None
    assert left_at_hub(shop) == 700
    [paid] = shop.run(till.sell("r1", 300))
    assert spends_of(shop) == []
    shop.run(till.desk.settle())

    [(uid, fact)] = [each for each in shop.hub.facts() if isinstance(each[1], LeaseSpent)]
    assert (fact.lease_id, fact.amount, fact.receipt_id) == ("L", 300, "r1")
    assert [part.spend_uid for part in paid.parts] == [uid]
    assert spends_of(shop) == [(shop.hub.edge_id, "L", None, 300)]


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.LOSE_QUESTION])
def test_answer_that_never_came_is_taken_back_and_paid_from_nowhere_else(
    shop: Shop, fault: Fault
) -> None:
    """The points of this receipt are not promised, and a sale made all the same is uncovered."""
    till = shop.tills[0]
    shop.run(till.freeze("warm", 100))
    shop.run(till.sell("warm", 100))
    shop.run(till.desk.settle())
    till.line.faults = [fault]
    assert shop.run(till.freeze("r1", 50)) is Reason.DOUBTFUL
    assert shop.run(till.freeze("r1", 50)) is Reason.DOUBTFUL
    assert tokens(till, "r1") == [TokenState.VOIDED]
    [paid] = shop.run(till.sell("r1", 50))
    assert [part.lease_id for part in paid.parts] == [None]
    shop.run(till.desk.settle())

    [token] = tokens_of_receipt(till.memory.connection, "r1")
    held = find_hold(shop.hub.memory.connection, token.uid)
    assert held is not None
    assert held.state.value == "voided"
    voids = [fact for _, fact in shop.hub.facts() if isinstance(fact, SpendVoided)]
    assert len(voids) == (1 if fault is Fault.LOSE_ANSWER else 0)


def test_dead_hub_is_replaced_by_what_it_lent(shop: Shop) -> None:
    """Who has spent here leaves a fifth of the lease at the till; it pays, and returns."""
    till = shop.tills[0]
    shop.run(till.freeze("r1", 100))
    shop.run(till.sell("r1", 100))
    shop.run(till.desk.settle())
    till.line.always = Fault.DOWN
    assert shop.run(till.desk.elsewhere(OWNER)) == {}
    assert shop.run(till.freeze("r2", 150)) is None
    shop.run(till.sell("r2", 150))
    assert shop.run(till.freeze("r3", 100)) is Reason.NOT_COVERED
    [paid] = shop.run(till.sell("r4", 100))
    assert [(part.lease_id, part.amount) for part in paid.parts] == [("L", 50), (None, 50)]

    till.line.always = Fault.NONE
    shop.time.now_ms += 20_000
    shop.hub.lease("L", 1_000, 2, state=LeaseState.RECALLED)
    shop.run(shop.hub.desk.upkeep())
    assert not any(isinstance(fact, LeaseClosed) for _, fact in shop.hub.facts())
    for _ in range(2):
        shop.run(till.desk.settle())
    shop.run(shop.hub.desk.upkeep())

    facts = [fact for _, fact in shop.hub.facts()]
    assert facts[-1] == LeaseClosed(lease_id="L", spend_count=3, spent_amount=300)
    assert [(f.spend_count, f.spent_amount) for f in facts if isinstance(f, SubLeaseClosed)] == [
        (2, 200)
    ]
    parts = [sub for _, lease, sub, _ in spends_of(shop) if lease == "L" and sub is not None]
    assert len(parts) == 2


@pytest.mark.parametrize("till_first", [True, False])
def test_part_of_a_till_that_was_put_back_is_not_spent_again(shop: Shop, till_first: bool) -> None:
    """What the till forgot it had spent stays spent: the hub takes nothing, central counts all."""
    till = shop.tills[0]
    shop.run(till.freeze("r1", 100))
    shop.run(till.sell("r1", 100))
    shop.run(till.desk.settle())
    before = till.memory.connection.serialize("main")
    till.line.always = Fault.DOWN
    assert shop.run(till.freeze("r2", 150)) is None
    shop.run(till.sell("r2", 150))
    told = [(uid, fact) for uid, fact in till.facts() if isinstance(fact, LeaseSpent)]
    assert [(fact.lease_id, fact.amount) for _, fact in told] == [("L", 150)]

    till.memory.connection.deserialize("main", before)
    starts = [LaneStart(lane=lane, epoch=2, nonce=b"n" * 16) for lane in Lane]
    assert begin_epoch(till.memory.connection, till.edge_id, starts)
    till.begin()
    till.line.always = Fault.NONE
    for _ in range(3):
        shop.run(till.desk.settle())
    assert left_at_hub(shop) == 0
    # Central may prolong it meanwhile; that brings nothing back.
    shop.hub.lease("L", 1_000, 2)
    assert left_at_hub(shop) == 0
    shop.run(shop.hub.desk.upkeep())
    hub = shop.hub.facts()
    assert hub[-1][1] == LeaseClosed(lease_id="L", spend_count=1, spent_amount=100)

    books = Books(whole=True)
    fund(books, OWNER, ASSET, 1_000, cause=b"f" * 32)
    lease = grant(books, Holder(edge_id=7, store_id="S"), OWNER, ASSET, now_ms=1, quota=1_000)
    assert lease is not None
    renamed = [(uid, replace(fact, lease_id=lease.lease_id)) for uid, fact in [*hub, *told]]
    streams = [(7, renamed[: len(hub)]), (8, renamed[len(hub) :])]
    for edge_id, facts in reversed(streams) if till_first else streams:
        for uid, fact in facts:
            assert post(books, Origin(edge_id=edge_id, store_id="S"), uid, fact) == []
    # Until the till has proved that central has heard of all it did, more of it may come.
    assert lease.state is not LeaseState.CLOSED
    assert books.balance(AccountKind.AVAIL, books.purse(OWNER, ASSET)) == 0
    clear(books, till.edge_id, 1)
    assert lease.state is LeaseState.CLOSED
    assert (lease.spent_count, lease.spent_amount, lease.short_amount) == (2, 250, 0)
    assert books.balance(AccountKind.AVAIL, books.purse(OWNER, ASSET)) == 750


def post(books: Books, origin: Origin, uid: bytes, fact: Any) -> list[Incident]:
    """One fact about money, as central posts it."""
    if isinstance(fact, LeaseSpent):
        return ledger.spend(books, origin, uid, fact)
    if isinstance(fact, SubLeaseGranted):
        return ledger.sub_lease_granted(books, origin, fact)
    if isinstance(fact, SubLeaseClosed):
        return ledger.sub_lease_closed(books, origin, fact)
    assert isinstance(fact, LeaseClosed)
    return ledger.close(books, origin, fact)


def test_hub_that_is_not_reached_is_left_alone_and_probed(shop: Shop) -> None:
    """Three failures and nobody asks for fifteen seconds; then one probe closes the breaker."""
    till = shop.tills[0]
    till.line.always = Fault.DOWN
    for _ in range(3):
        shop.run(till.desk.elsewhere(OWNER))
        shop.time.now_ms += REST_NS // 10**6
    till.line.always = Fault.NONE
    assert shop.run(till.desk.elsewhere(OWNER)) == {}
    assert shop.run(till.freeze("r1", 10)) is Reason.NOT_COVERED
    assert tokens(till, "r1") == []
    shop.time.now_ms += 15_001
    assert shop.run(till.desk.elsewhere(OWNER)) == {ASSET: 1_000}


def test_cancelled_receipt_gives_its_points_back(shop: Shop) -> None:
    """The hub is told at the next settling, and holds nothing for it any more."""
    till = shop.tills[0]
    shop.run(till.freeze("r1", 400))
    shop.run(till.cancel("r1"))
    till.line.faults = [Fault.LOSE_ANSWER]
    with pytest.raises(UnavailableError):
        shop.run(till.desk.settle())
    shop.run(till.desk.settle())
    assert left_at_hub(shop) == 1_000


def test_till_that_ended_between_question_and_answer_takes_it_back(shop: Shop) -> None:
    """The token was written first; after a minute without an answer it is voided."""
    till = shop.tills[0]
    till.line.faults = [Fault.LOSE_ANSWER]
    shop.run(till.freeze("r0", 100))
    till.memory.connection.execute("UPDATE token SET state = 'asked', doubtful = 0")
    till.begin()
    shop.time.now_ms += 61_000
    shop.run(till.desk.settle())
    assert tokens(till, "r0") == [TokenState.VOIDED]
    assert left_at_hub(shop) == 1_000


def test_strangers_and_other_tills_are_refused(shop: Shop) -> None:
    """A revoked till, a wrong key and somebody else's uid get nothing."""
    one, two = shop.tills
    shop.run(one.freeze("r1", 100))
    [token] = tokens_of_receipt(one.memory.connection, "r1")
    two.memory.connection.execute(
        "INSERT INTO token SELECT uid, 'voided', 0, receipt_id, owner, asset, amount, parts,"
        " hub_edge_id, 0, asked_at_ms FROM (SELECT ? AS uid, 'r1' AS receipt_id, 'c1' AS owner,"
        " 'points:main' AS asset, 100 AS amount, NULL AS parts, 7 AS hub_edge_id,"
        " 1 AS asked_at_ms)",
        (token.uid,),
    )
    shop.run(two.desk.settle())
    held = find_hold(shop.hub.memory.connection, token.uid)
    assert held is not None
    assert held.state.value == "held"

    revoked = PeerEntry(
        edge_id=one.edge_id,
        kind=EdgeKind.TILL,
        device_public_key=one.signer.public_key,
        state="revoked",
    )
    shop.hub.know([revoked])
    with pytest.raises(AppError):
        shop.run(one.desk.settle())
    with pytest.raises(AppError):
        shop.run(shop.hub.gate.handle(b"\x93\x01\x02"))
