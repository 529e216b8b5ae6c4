"""A small agent that speaks the uplink's HTTP, for tests of central."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import zstandard

from shared.bundle.trust import VerifiedBundle, open_bundle
from shared.crypto.chain import chain_fold, chain_genesis
from shared.crypto.signing import Signer
from shared.engine.evaluate import evaluate
from shared.engine.program import Program
from shared.wire.assets import points_asset
from shared.wire.enrol import (
    ENROL_SIGNATURE_KIND,
    EdgeKind,
    EnrolReply,
    EnrolRequest,
    HelloReply,
    HelloRequest,
)
from shared.wire.facts import FactKind, LeaseSpend, ReceiptCommitted
from shared.wire.feed import FeedChange, FeedPage, LeaseEntry, Topic
from shared.wire.receipt import Customer, Receipt, ReceiptLine, SpendRequest
from shared.wire.stream import Ack, Batch, Lane, Record, Refusal

COMMITTED_AT_MS = 1_790_000_000_000


class Agent:
    """One enrolled agent; it knows the feed it has read and the records it has made."""

    def __init__(self, http: aiohttp.ClientSession, reply: EnrolReply) -> None:
        self.http = http
        self.reply = reply
        self.headers = {"Authorization": f"Bearer {reply.credential}"}
        self.cursor = ""
        self.feed: dict[tuple[str, str], FeedChange] = {}
        self.records: list[bytes] = []

    async def hello(self, *, bundle_version: int | None) -> HelloReply:
        """Say hello with an empty queue."""
        request = HelloRequest(
            agent_version="0.1.0",
            started_at_ms=COMMITTED_AT_MS,
            now_ms=COMMITTED_AT_MS,
            heads=[],
            queue_depth=0,
            oldest_queued_at_ms=None,
            bundle_version=bundle_version,
            bundle_error=None,
            feed_cursor=self.cursor,
            components=[],
        )
        body = msgspec.json.encode(request)
        async with self.http.post("/v1/hello", data=body, headers=self.headers) as answer:
            assert answer.status == 200, await answer.text()
            return msgspec.json.decode(await answer.read(), type=HelloReply)

    async def read_feed(self, *, wait_s: float = 0) -> int:
        """Read pages until there is nothing more; how many changes came."""
        count = 0
        while True:
            query = {"cursor": self.cursor, "wait_s": str(wait_s)}
            async with self.http.get("/v1/feed", params=query, headers=self.headers) as answer:
                assert answer.status == 200, await answer.text()
                page = msgspec.msgpack.decode(await answer.read(), type=FeedPage)
            for change in page.changes:
                self.feed[change.topic, change.key] = change
            self.cursor = page.cursor
            count += len(page.changes)
            if page.complete:
                return count

    async def bundle(self, version: int) -> VerifiedBundle:
        """Fetch a bundle and open it with the keys that enrolment gave."""
        async with self.http.get(f"/v1/bundles/{version}", headers=self.headers) as answer:
            assert answer.status == 200, await answer.text()
            data = await answer.read()
        trusted = {key.key_id: key.public_key for key in self.reply.trusted_keys}
        return open_bundle(data, trusted, version_floor=version)

    def lease(self, customer_id: str, account: str = "main") -> LeaseEntry:
        """The lease that the feed gave for a member's points."""
        entries = [
            msgspec.msgpack.decode(change.payload, type=LeaseEntry)
            for (topic, _), change in self.feed.items()
            if topic == Topic.LEASE and change.payload
        ]
        right = (customer_id, points_asset(account))
        return next(entry for entry in entries if (entry.owner, entry.asset) == right)

    def sell(self, receipt: Receipt, program: Program, *, lease_id: str | None = None) -> bytes:
        """Price a receipt, commit it, chain its record; the record's uid."""
        answer = evaluate(program, receipt)
        fact = ReceiptCommitted(
            receipt_id=receipt.receipt_id,
            store_id=self.reply.store_id,
            register="R1",
            business_date=receipt.time[:10],
            committed_at_ms=COMMITTED_AT_MS,
            bundle_version=program.version,
            receipt=receipt,
            answer=answer,
            lease_spends=[
                LeaseSpend(lease_id=lease_id, account=one.account, points_centi=one.points_centi)
                for one in answer.spent
            ],
            incidents=[],
        )
        return self.record(fact)

    def record(self, fact: ReceiptCommitted) -> bytes:
        """Chain one fact; its uid."""
        uid = hashlib.sha256(fact.receipt_id.encode()).digest()[:16]
        self.records.append(
            msgspec.msgpack.encode(
                Record(
                    uid=uid,
                    lane=Lane.RECEIPTS,
                    epoch=1,
                    seq=len(self.records) + 1,
                    recorded_at_ms=COMMITTED_AT_MS,
                    kind=FactKind.RECEIPT_COMMITTED,
                    schema_version=1,
                    body=msgspec.msgpack.encode(fact),
                )
            )
        )
        return uid

    async def send(
        self, first: int, last: int, *, by: Agent | None = None, **more: Any
    ) -> Ack | Refusal:
        """Put records ``first..last``, or have ``by`` bring them; ``more`` goes to the request."""
        lane = Lane.RECEIPTS
        path = f"/v1/streams/{self.reply.edge_id}/{lane.value}/1/{first}-{last}"
        body = msgspec.msgpack.encode(self.batch(first, last))
        headers = (by or self).headers
        async with self.http.put(path, data=body, headers=headers, **more) as answer:
            assert answer.status in {200, 409}, await answer.text()
            kind: type[Ack | Refusal] = Ack if answer.status == 200 else Refusal
            return msgspec.msgpack.decode(await answer.read(), type=kind)

    def batch(self, first: int, last: int) -> Batch:
        """Records ``first..last`` as they cross the wire."""
        nonce = next(x.nonce for x in self.reply.lanes if x.lane is Lane.RECEIPTS)
        genesis = chain_genesis(self.reply.edge_id, Lane.RECEIPTS, 1, nonce)
        raw = msgspec.msgpack.encode(self.records[first - 1 : last])
        return Batch(
            schema_version=1,
            first_seq=first,
            last_seq=last,
            previous_hash=chain_fold(genesis, self.records[: first - 1]),
            last_hash=chain_fold(genesis, self.records[:last]),
            raw_bytes=len(raw),
            dictionary_id=0,
            frame=zstandard.compress(raw),
        )


@asynccontextmanager
async def caller(url: str, ca: str) -> AsyncIterator[aiohttp.ClientSession]:
    """HTTP to an uplink that must show a certificate under ``ca`` (PEM)."""
    trust = ssl.create_default_context(cadata=ca)
    connector = aiohttp.TCPConnector(ssl=trust)
    async with aiohttp.ClientSession(url, connector=connector) as http:
        yield http


def enrol_request(token: str, *, seed: int = 1, kind: EdgeKind = EdgeKind.HUB) -> EnrolRequest:
    """What an agent with its own device key sends to be known."""
    device = Signer(bytes([seed]) * 32)
    return EnrolRequest(
        token=token,
        kind=kind,
        device_public_key=device.public_key,
        signature=device.sign(ENROL_SIGNATURE_KIND, token.encode()),
        agent_version="0.1.0",
    )


async def enrol(
    http: aiohttp.ClientSession, token: str, *, seed: int = 1, kind: EdgeKind = EdgeKind.HUB
) -> Agent:
    """Make an agent known with a good token."""
    body = msgspec.json.encode(enrol_request(token, seed=seed, kind=kind))
    async with http.post("/v1/enrol", data=body) as answer:
        assert answer.status == 200, await answer.text()
        return Agent(http, msgspec.json.decode(await answer.read(), type=EnrolReply))


def a_receipt(
    number: int, *, store: str = "S1", customer: Customer | None = None, spends: bool = False
) -> Receipt:
    """Tea by the piece and cheese by weight; prices differ by number."""
    return Receipt(
        receipt_id=f"{store}-{number}",
        store=store,
        time="2026-11-23T12:00:00+03:00",
        register="R1",
        lines=[
            ReceiptLine(line=1, sku="tea", quantity_milli=3000, price_minor=9_999 + number),
            ReceiptLine(
                line=2, sku="cheese", quantity_milli=1_333, price_minor=54_321, weighed=True
            ),
        ],
        customer=customer,
        spend=SpendRequest(account="main") if spends else None,
    )
