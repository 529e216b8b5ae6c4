"""The one transaction of a sale, on real SQLite files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from edge_agent.checkout.store import (
    Recorded,
    Sale,
    cancel_receipt,
    commit_sale,
    recorded_sale,
)
from edge_agent.database.connection import open_writer
from edge_agent.leases.policy import Standing
from edge_agent.leases.store import spendable_of
from edge_agent.outbox.store import head_of, pending_records, start_stream, verify_chain
from shared.errors import ConflictError
from shared.wire.answer import Answer, Spent, Totals
from shared.wire.enrol import LaneStart
from shared.wire.receipt import Customer, Receipt
from shared.wire.stream import Lane

LANE = int(Lane.RECEIPTS)
STANDING = Standing(edge_id=7, epoch=1, now_ms=1)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = open_writer(tmp_path / "edge.sqlite")
    for lane in (Lane.MONEY, Lane.RECEIPTS):
        start_stream(connection, 7, LaneStart(lane=lane, epoch=1, nonce=b"n" * 16))
    connection.execute(
        "INSERT INTO lease (lease_id, owner, asset, granted, spend_until_ms, state, edge_id, epoch,"
        " version) VALUES ('lease', 'c1', 'points:main', 1000, 99999, 'open', 7, 1, 1)"
    )
    yield connection
    connection.close()


def commit(connection: apsw.Connection, made: Sale) -> Recorded:
    with connection:
        return commit_sale(connection, made, STANDING)


def sale(number: int, *, points_centi: int = 0, body: bytes = b"b") -> Sale:
    receipt_id = f"r{number}"
    total = Totals(
        list_minor=100, discount_minor=0, net_minor=100, points_spent_minor=0, to_pay_minor=100
    )
    return Sale(
        receipt=Receipt(
            receipt_id=receipt_id,
            store="S1",
            time="2026-11-23T12:00:00+03:00",
            lines=[],
            customer=Customer(id="c1"),
        ),
        answer=Answer(
            receipt_id=receipt_id,
            programme="p",
            version=1,
            optimal=True,
            lines=[],
            total=total,
            spent=[Spent(account="main", points_centi=points_centi)] if points_centi else [],
        ),
        bundle_version=1,
        business_date="2026-11-23",
        body_sha256=body.ljust(32),
        record_uid=number.to_bytes(16, "big"),
        to_pay_told_minor=None,
        now_ms=1,
    )


def test_repeated_commit_gives_the_first_answer(connection: apsw.Connection) -> None:
    """The same id and body are one sale with one record, whatever uid the retry brings."""
    first = commit(connection, sale(1, points_centi=400))
    again = commit(connection, replace(sale(1, points_centi=400), record_uid=b"z" * 16))

    assert first == again == recorded_sale(connection, "r1")
    assert verify_chain(connection, LANE) == 1
    assert spendable_of(connection, "c1", STANDING) == {"points:main": 600}


def test_other_body_under_a_recorded_id_is_refused(connection: apsw.Connection) -> None:
    """A sale cannot be changed by sending another one under its id."""
    commit(connection, sale(1))

    with pytest.raises(ConflictError) as refusal:
        commit(connection, sale(1, body=b"other"))
    assert refusal.value.stable_code == "receipt_changed"
    assert len(pending_records(connection, head_of(connection, LANE), 10)) == 1


def test_lease_is_never_spent_above_its_grant(connection: apsw.Connection) -> None:
    """Sales together take at most the grant; what is beyond has no lease and is named."""
    recorded = [commit(connection, sale(n, points_centi=400)) for n in (1, 2, 3)]

    assert spendable_of(connection, "c1", STANDING) == {"points:main": 0}
    assert [s.points_centi for s in recorded[2].fact.lease_spends] == [200, 200]
    assert recorded[2].fact.lease_spends[1].lease_id is None
    assert [i.code for i in recorded[2].fact.incidents] == ["points_without_lease"]


def test_cancelled_receipt_and_sale_exclude_each_other(connection: apsw.Connection) -> None:
    """A cancelled id cannot be sold, a sold one not cancelled; repeats change nothing."""
    cancel_receipt(connection, "r1", 1, STANDING)
    cancel_receipt(connection, "r1", 2, STANDING)
    commit(connection, sale(2))

    with pytest.raises(ConflictError) as cancelled:
        commit(connection, sale(1))
    with pytest.raises(ConflictError) as committed:
        cancel_receipt(connection, "r2", 3, STANDING)
    assert cancelled.value.stable_code == "receipt_cancelled"
    assert committed.value.stable_code == "already_committed"
    assert recorded_sale(connection, "r1") is None
