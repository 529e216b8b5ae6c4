"""What earlier releases put on the wire is read for ever, and means the same.

A folder a release: files as its programs wrote them, never written anew. Trailing fields that a
newer release adds are passed over by an older reader, which the present one plays here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.crypto.chain import chain_fold, chain_genesis
from shared.frames import LAYOUT_RECORDS, decode_batch, encoded_records
from shared.wire.enrol import EnrolReply, EnrolRequest, HelloOrder, HelloReply, HelloRequest
from shared.wire.facts import FactKind, LeaseSpend, ReceiptCommitted
from shared.wire.feed import (
    BalanceEntry,
    BundleEntry,
    CouponEntry,
    CustomerEntry,
    FeedPage,
    Operation,
    ProductEntry,
    StoreEntry,
)
from shared.wire.stream import Ack, Lane, Record, Refusal, RefusalCode

FOLDER = Path(__file__).parent / "wire"
MOMENT_MS = 1_793_606_400_000
FIRST = FOLDER / "1"
ENTRIES: dict[str, type[msgspec.Struct]] = {
    "store": StoreEntry,
    "bundle": BundleEntry,
    "product": ProductEntry,
    "coupon": CouponEntry,
    "customer": CustomerEntry,
    "balance": BalanceEntry,
}


def test_records_of_the_first_release() -> None:
    """Their bytes give the hashes that its chain had; sales, points and incidents are in them."""
    batch = decode_batch((FIRST / "batch.msgpack").read_bytes())
    records = encoded_records(batch)
    assert batch.schema_version == LAYOUT_RECORDS
    assert [hashlib.sha256(each).hexdigest() for each in records] == json.loads(
        (FIRST / "records.json").read_text()
    )
    head = chain_genesis(1001, Lane.RECEIPTS, 1, bytes(range(16)))
    assert (batch.previous_hash, batch.last_hash) == (head, chain_fold(head, records))

    facts = []
    for seq, data in enumerate(records, start=1):
        record = msgspec.msgpack.decode(data, type=Record)
        assert (record.lane, record.epoch, record.seq) == (Lane.RECEIPTS, 1, seq)
        assert (record.kind, record.schema_version) == (FactKind.RECEIPT_COMMITTED, 1)
        facts.append(msgspec.msgpack.decode(record.body, type=ReceiptCommitted))
    assert [fact.answer.total.to_pay_minor for fact in facts] == [36_600, 44_600, 53_600]
    assert [fact.lease_spends for fact in facts] == [
        [],
        [LeaseSpend(lease_id="L-1001-c1-main", account="main", points_centi=1_000)],
        [LeaseSpend(lease_id=None, account="main", points_centi=1_000)],
    ]
    assert all(each.spend_uid == b"" for fact in facts for each in fact.lease_spends)
    assert [each.code for each in facts[2].incidents] == ["points_without_lease"]


def test_feed_of_the_first_release() -> None:
    """Every topic's entry, and a deletion."""
    page = msgspec.msgpack.decode((FIRST / "feed_page.msgpack").read_bytes(), type=FeedPage)
    assert page.complete
    assert [change.version for change in page.changes] == [1, 2, 3, 4, 5, 6, 7]
    told = {
        change.topic: msgspec.msgpack.decode(change.payload, type=ENTRIES[change.topic])
        for change in page.changes
        if change.operation is Operation.PUT
    }
    assert told["store"] == StoreEntry(
        store_id="S1", name="Мира, 5", timezone="Europe/Moscow", currency="RUB"
    )
    assert told["product"] == ProductEntry(
        sku="tea",
        name="Чай",
        category="food/tea",
        brand="b",
        attributes={"age": "18"},
        flags=["alcohol"],
        weighed=False,
        min_price_minor=100,
        max_discount_ppm=500_000,
    )
    assert told["balance"] == BalanceEntry(
        customer_id="c1", account="main", available_centi=9_000, as_of_ms=MOMENT_MS
    )
    assert told["customer"] == CustomerEntry(
        customer_id="c1", card_tags=[bytes(16)], segments=["vip"], level="gold"
    )
    assert (page.changes[-1].key, page.changes[-1].operation) == ("c2", Operation.DELETE)


def test_talk_of_the_first_release() -> None:
    """Enrolment, hello, acknowledgement and refusal; what it did not know has its first value."""
    enrolled = msgspec.json.decode((FIRST / "enrol_reply.json").read_bytes(), type=EnrolReply)
    assert [start.epoch for start in enrolled.lanes] == [1, 1, 1, 1]
    asked = msgspec.json.decode((FIRST / "hello_request.json").read_bytes(), type=HelloRequest)
    assert (asked.epoch, asked.recovering, asked.witness) == (0, False, [])
    reply = msgspec.json.decode((FIRST / "hello_reply.json").read_bytes(), type=HelloReply)
    assert (reply.order, reply.starts, reply.frame_layout) == (HelloOrder.CONTINUE, [], 1)
    msgspec.json.decode((FIRST / "enrol_request.json").read_bytes(), type=EnrolRequest)
    ack = msgspec.msgpack.decode((FIRST / "ack.msgpack").read_bytes(), type=Ack)
    assert (ack.seq, ack.verdicts[0].code, ack.next_batch_records_max) == (3, "quarantined", 500)
    refusal = msgspec.msgpack.decode((FIRST / "refusal.msgpack").read_bytes(), type=Refusal)
    assert (refusal.code, refusal.seq) == (RefusalCode.GAP, 1)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("ack.msgpack", lambda data: msgspec.msgpack.decode(data, type=Ack)),
        ("refusal.msgpack", lambda data: msgspec.msgpack.decode(data, type=Refusal)),
        ("feed_page.msgpack", lambda data: msgspec.msgpack.decode(data, type=FeedPage)),
    ],
)
def test_fields_of_a_later_release_are_passed_over(name: str, read: Callable[[bytes], Any]) -> None:
    """Appended fields change nothing for whoever does not know them."""
    today = read((FIRST / name).read_bytes())
    longer = [*msgspec.msgpack.decode(msgspec.msgpack.encode(today)), {"later": 1}, "later"]
    assert read(msgspec.msgpack.encode(longer)) == today
