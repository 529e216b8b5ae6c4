"""An edge as central's ingest sees it: lanes of chained records, cut into batches at will."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from central.accounts import service as accounts
from central.customers.store import put_customers
from central.database.pool import Pool
from central.fleet.store import put_store
from central.uplink.enrol import Enrolment
from central.uplink.reading import Stream
from shared.crypto.chain import chain_fold, chain_genesis
from shared.crypto.signing import Signer
from shared.frames import make_batch
from shared.system import SystemChance, SystemClock
from shared.wire.answer import Accrued, Answer, AnswerLine, Spent, Totals
from shared.wire.enrol import ENROL_SIGNATURE_KIND, EdgeKind, EnrolReply, EnrolRequest, LaneHead
from shared.wire.facts import FactKind, LeaseSpend, LeaseSpent, ReceiptCommitted
from shared.wire.feed import CustomerEntry, StoreEntry
from shared.wire.receipt import Customer, Receipt, ReceiptLine
from shared.wire.stream import Batch, Lane, Record

AT_MS = 1_790_000_000_000
STORE, MEMBER, POINTS = "S1", "c1", 10_000


@dataclass
class EdgeStream:
    """One lane of one edge in one epoch; ``copy`` it, and there are two that believe in it."""

    edge_id: int
    lane: Lane
    epoch: int
    genesis: bytes
    records: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, reply: EnrolReply, lane: Lane) -> EdgeStream:
        """A lane as enrolment began it."""
        start = next(one for one in reply.lanes if one.lane is lane)
        genesis = chain_genesis(reply.edge_id, lane, start.epoch, start.nonce)
        return cls(edge_id=reply.edge_id, lane=lane, epoch=start.epoch, genesis=genesis)

    def copy(self) -> EdgeStream:
        """The same up to here, with a future of its own."""
        return replace(self, records=list(self.records))

    def add(self, uid: bytes, kind: FactKind, body: bytes) -> bytes:
        """Chain one record; its uid."""
        self.records.append(
            msgspec.msgpack.encode(
                Record(
                    uid=uid,
                    lane=self.lane,
                    epoch=self.epoch,
                    seq=len(self.records) + 1,
                    recorded_at_ms=AT_MS,
                    kind=kind,
                    schema_version=1,
                    body=body,
                )
            )
        )
        return uid

    def sell(self, name: str, **more: Any) -> bytes:
        """Chain a sale (arguments of ``a_sale``); its uid."""
        fact = a_sale(name, **more)
        return self.add(uid_of(name), FactKind.RECEIPT_COMMITTED, msgspec.msgpack.encode(fact))

    def spend(self, name: str, lease_id: str | None, amount: int) -> bytes:
        """Chain a spend of the member's points; its uid."""
        fact = LeaseSpent(
            lease_id=lease_id,
            sub_lease_id=None,
            owner=MEMBER,
            asset="points:main",
            amount=amount,
            receipt_id=name,
            spent_at_ms=AT_MS,
        )
        return self.add(uid_of(name), FactKind.LEASE_SPENT, msgspec.msgpack.encode(fact))

    def head(self, seq: int | None = None) -> LaneHead:
        """Where the chain stands, or stood."""
        seq = len(self.records) if seq is None else seq
        return LaneHead(
            lane=self.lane,
            epoch=self.epoch,
            seq=seq,
            hash=chain_fold(self.genesis, self.records[:seq]),
        )

    def stream(self, *, by_edge_id: int | None = None) -> Stream:
        """Its name at central."""
        return Stream(
            edge_id=self.edge_id,
            store_id=STORE,
            lane=self.lane,
            epoch=self.epoch,
            by_edge_id=by_edge_id,
        )

    def batch(self, first: int = 1, last: int | None = None) -> Batch:
        """Records ``first..last`` as they cross the wire."""
        last = len(self.records) if last is None else last
        return make_batch(
            self.records[first - 1 : last],
            first_seq=first,
            previous_hash=self.head(first - 1).hash,
        )


def uid_of(name: str) -> bytes:
    """16 bytes for a name."""
    return hashlib.sha256(name.encode()).digest()[:16]


def a_sale(
    name: str,
    *,
    earned: int = 0,
    spent: int = 0,
    lease_id: str | None = None,
    spend_uid: bytes = b"",
    customer: str | None = MEMBER,
    active_on: str = "2026-11-23",
) -> ReceiptCommitted:
    """A sale of one thing for ten roubles; the name is the receipt's id."""
    return ReceiptCommitted(
        receipt_id=name,
        store_id=STORE,
        register="R1",
        business_date="2026-11-23",
        committed_at_ms=AT_MS,
        bundle_version=1,
        receipt=Receipt(
            receipt_id=name,
            store=STORE,
            time="2026-11-23T12:00:00+03:00",
            lines=[ReceiptLine(line=1, sku="a", quantity_milli=1000, price_minor=1000)],
            customer=None if customer is None else Customer(id=customer),
        ),
        answer=Answer(
            receipt_id=name,
            programme="p",
            version=1,
            optimal=True,
            lines=[
                AnswerLine(
                    line=1,
                    list_minor=1000,
                    discount_minor=0,
                    net_minor=1000,
                    points_spent_minor=0,
                    to_pay_minor=1000,
                )
            ],
            total=Totals(
                list_minor=1000,
                discount_minor=0,
                net_minor=1000,
                points_spent_minor=0,
                to_pay_minor=1000,
            ),
            accrued=[
                Accrued(
                    account="main", promotion="base", points_centi=earned, active_on_date=active_on
                )
            ]
            if earned
            else [],
            spent=[Spent(account="main", points_centi=spent)] if spent else [],
        ),
        lease_spends=[
            LeaseSpend(lease_id=lease_id, account="main", points_centi=spent, spend_uid=spend_uid)
        ]
        if spent
        else [],
        incidents=[],
    )


async def open_town(pool: Pool) -> None:
    """One store with one member of a hundred points."""
    async with pool.connection() as connection:
        await put_store(
            connection,
            StoreEntry(store_id=STORE, name="One", timezone="Europe/Moscow", currency="RUB"),
        )
        await put_customers(connection, [(CustomerEntry(customer_id=MEMBER, card_tags=[]), STORE)])
        await accounts.open_balance(connection, MEMBER, "main", POINTS, now_ms=AT_MS)


async def enrol(pool: Pool, *, kind: EdgeKind = EdgeKind.HUB, seed: int = 0) -> EnrolReply:
    """One more agent of the store."""
    enrolment = Enrolment(pool, SystemClock(), SystemChance(), [])
    token = await enrolment.issue_token(STORE, kind)
    device = Signer(seed.to_bytes(32, "big"))
    return await enrolment.enrol(
        EnrolRequest(
            token=token,
            kind=kind,
            device_public_key=device.public_key,
            signature=device.sign(ENROL_SIGNATURE_KIND, token.encode()),
            agent_version="1",
        )
    )
