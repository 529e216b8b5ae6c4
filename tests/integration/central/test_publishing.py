"""Publishing over a real database: what goes into a bundle, and what is refused."""

from __future__ import annotations

import json

import msgspec
import pytest

import central.publishing.service
from central.database.pool import Pool
from central.fleet.store import put_store
from central.promotions.store import get_bundle, latest_bundle
from central.publishing.golden import RECEIPTS_MAX
from central.publishing.replay import Replay
from central.publishing.service import Publishing
from central.receipts.copying import Copying
from central.receipts.sale import columns_of
from central.receipts.store import Rows, put_rows
from central.uplink.enrol import Enrolment
from shared.bundle.golden import prove_golden
from shared.bundle.trust import VerifiedBundle, open_bundle
from shared.crypto.signing import Signer
from shared.engine.evaluate import evaluate
from shared.errors import TrustError
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import EdgeKind
from shared.wire.facts import ReceiptCommitted
from shared.wire.feed import StoreEntry
from shared.wire.receipt import Coupon, Customer
from tests.support.agent import a_receipt, enrol_request
from tests.support.programmes import TEA_AND_POINTS

SIGNER = Signer(b"\x07" * 32)
TRUSTED = {SIGNER.key_id: SIGNER.public_key}
SOLD = RECEIPTS_MAX + 10
ANNA = Customer(id="mem_anna", level="gold", attributes={"email": "anna@example.org"})


def document(version: int) -> bytes:
    return json.dumps(TEA_AND_POINTS | {"version": version}).encode()


async def published(pool: Pool, version: int) -> tuple[bytes, VerifiedBundle]:
    """Publish a version; its bytes, and the bundle as a shop opens it."""
    await Publishing(pool, SystemClock(), SIGNER).publish(document(version), by="test")
    async with pool.connection() as connection:
        data = (await get_bundle(connection, version))["bytes"]
    return data, open_bundle(data, TRUSTED, version_floor=version)


async def sell(pool: Pool, bundle: VerifiedBundle) -> None:
    """Receipts 1 to SOLD of one shop, each a second later than the one before."""
    async with pool.connection() as connection:
        await put_store(
            connection,
            StoreEntry(store_id="S1", name="One", timezone="Europe/Moscow", currency="RUB"),
        )
    enrolment = Enrolment(pool, SystemClock(), SystemChance(), [])
    edge = await enrolment.enrol(enrol_request(await enrolment.issue_token("S1", EdgeKind.HUB)))
    async with pool.connection() as connection:
        for number in range(1, SOLD + 1):
            receipt = msgspec.structs.replace(
                a_receipt(number, customer=ANNA if number % 2 else None),
                coupons=[Coupon(code=f"ANNA-{number}", series="AUTUMN")],
            )
            fact = ReceiptCommitted(
                receipt_id=receipt.receipt_id,
                store_id="S1",
                register="R1",
                business_date="2026-11-23",
                committed_at_ms=1_790_000_000_000 + number * 1000,
                bundle_version=1,
                receipt=receipt,
                answer=evaluate(bundle.ready, receipt),
                lease_spends=[],
                incidents=[],
            )
            row = Copying().sale(
                fact,
                columns_of(fact),
                record_uid=number.to_bytes(16, "big"),
                content_sha256=bytes(32),
                edge_id=edge.edge_id,
                incident_count=0,
                body=msgspec.msgpack.encode(fact),
            )
            await put_rows(connection, Rows(receipts=[row]))


async def test_the_newest_receipts_travel_as_nobodys(pool: Pool) -> None:
    """The first bundle has none; the next carries the newest, without a word of whose they were."""
    _, first = await published(pool, 1)
    await sell(pool, first)
    _, second = await published(pool, 2)

    assert first.golden == ()
    carried = [golden.receipt for golden in second.golden]
    assert [receipt.receipt_id for receipt in carried] == [
        f"golden-{number}" for number in range(1, RECEIPTS_MAX + 1)
    ]
    assert [receipt.lines[0].price_minor for receipt in carried] == [
        9_999 + number for number in range(SOLD, SOLD - RECEIPTS_MAX, -1)
    ]
    text = msgspec.json.encode(carried).decode()
    assert [word for word in ("anna", "ANNA", "example.org", "S1-") if word in text] == []
    assert sum(receipt.customer is not None for receipt in carried) == RECEIPTS_MAX // 2
    prove_golden(second)


async def test_replays_and_checks_of_stored_receipts_go_on(pool: Pool) -> None:
    """Old receipts are told again with the bundle of their moment, golden receipts or not."""
    _, first = await published(pool, 1)
    await sell(pool, first)
    await published(pool, 2)
    replay = Replay(pool, SIGNER)

    answer = await replay((1).to_bytes(16, "big"))
    async with pool.connection() as connection:
        assert await replay.differences(connection) == 0
    assert answer.version == 1
    assert answer.trace


async def test_a_bundle_that_is_not_proven_is_not_published(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a golden receipt does not come out again, nothing is stored or announced."""
    await published(pool, 1)

    def differs(_: VerifiedBundle) -> None:
        raise TrustError("receipt golden-1 comes out otherwise", code="golden_differs")

    monkeypatch.setattr(central.publishing.service, "prove_golden", differs)
    with pytest.raises(TrustError):
        await published(pool, 2)

    async with pool.connection() as connection:
        latest = await latest_bundle(connection)
    assert latest is not None
    assert latest["version"] == 1
