"""A sale whose goods come back, at head office: what is set aside never exceeds what was sold."""

from __future__ import annotations

import asyncio
import os
import random
from typing import Any

import msgspec
import pytest

from central.database.pool import Pool, rows_of, run
from central.fleet.store import put_store
from central.uplink.enrol import Enrolment
from central.uplink.sales import CALLS_PER_MINUTE_MAX, Sales
from shared.errors import (
    AppError,
    BusyError,
    ConflictError,
    ForbiddenError,
    InputError,
    NotFoundError,
)
from shared.system import SystemChance, SystemClock
from shared.wire.answer import Answer, Totals
from shared.wire.enrol import EdgeKind
from shared.wire.facts import ReceiptCommitted
from shared.wire.feed import StoreEntry
from shared.wire.receipt import Receipt, ReceiptLine
from shared.wire.refund_json import LineReturned
from shared.wire.sales import SaleAsk, SaleReply
from tests.support.agent import enrol_request

SOLD = {1: 5_000, 2: 3_000, 3: 750}
UID = b"\x0a" * 16
STORES = ("S1", "S2", "S3")


class Office:
    """Three stores with a hub each, S2 with a till; one sale of S1."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.sales = Sales(pool, SystemClock())
        self.enrolment = Enrolment(pool, SystemClock(), SystemChance(), [])
        self.edges: dict[str, int] = {}

    async def open(self) -> Office:
        async with self.pool.connection() as connection:
            for store in STORES:
                entry = StoreEntry(
                    store_id=store, name=store, timezone="Europe/Moscow", currency="RUB"
                )
                await put_store(connection, entry)
        for seed, (name, kind) in enumerate(
            [*((store, EdgeKind.HUB) for store in STORES), ("S2-till", EdgeKind.TILL)], start=1
        ):
            token = await self.enrolment.issue_token(name[:2], kind)
            request = enrol_request(token, seed=seed, kind=kind)
            self.edges[name] = (await self.enrolment.enrol(request)).edge_id
        await self.sell("S1", "r1", UID)
        return self

    async def sell(self, store: str, receipt_id: str, uid: bytes, register: str = "R1") -> None:
        """Put a sale where ingest puts it, in the form of the first release."""
        fact = a_sale(store, receipt_id)
        async with self.pool.connection() as connection:
            await run(
                connection,
                """insert into receipt (record_uid, content_sha256, receipt_id, edge_id, store_id,
                register, business_date, committed_at, bundle_version, list_minor, discount_minor,
                net_minor, points_spent_centi, to_pay_minor, earned_centi, incident_count, receipt,
                answer, line_numbers, line_qty_milli) values (%(uid)s, '', %(receipt_id)s,
                %(edge_id)s, %(store)s, %(register)s, '2026-11-23', now(), 1, 0, 0, 0, 0, 0, 0, 0,
                %(receipt)s, %(answer)s, %(lines)s, %(quantities)s)""",
                {
                    "uid": uid,
                    "receipt_id": receipt_id,
                    "edge_id": int.from_bytes(uid[:2], "big"),
                    "store": store,
                    "register": register,
                    "receipt": msgspec.msgpack.encode(fact.receipt),
                    "answer": msgspec.msgpack.encode(fact.answer),
                    "lines": list(SOLD),
                    "quantities": list(SOLD.values()),
                },
            )

    async def ask(self, caller: str, return_id: str = "", **changes: Any) -> SaleReply:
        through = changes.pop("through", caller)
        values: dict[str, Any] = {
            "edge_id": self.edges[caller],
            "store_id": "S1",
            "receipt_id": "r1",
            "return_id": return_id,
            "return_uid": return_id.encode().ljust(16, b".") if return_id else b"",
            "wanted": [
                LineReturned(line=line, quantity_milli=milli)
                for line, milli in changes.pop("wanted", {}).items()
            ],
        }
        body = msgspec.msgpack.encode(SaleAsk(**(values | changes)))
        return await self.sales.ask(self.edges[through], body)

    async def set_aside(self) -> dict[str, dict[int, int]]:
        async with self.pool.connection() as connection:
            rows = await rows_of(connection, "select * from return_claim order by return_id")
        return {
            row["return_id"]: dict(zip(row["line_numbers"], row["line_qty_milli"], strict=True))
            for row in rows
        }


def a_sale(store: str, receipt_id: str) -> ReceiptCommitted:
    total = Totals(
        list_minor=0, discount_minor=0, net_minor=0, points_spent_minor=0, to_pay_minor=0
    )
    return ReceiptCommitted(
        receipt_id=receipt_id,
        store_id=store,
        register="R1",
        business_date="2026-11-23",
        committed_at_ms=1,
        bundle_version=1,
        receipt=Receipt(
            receipt_id=receipt_id,
            store=store,
            time="",
            lines=[
                ReceiptLine(line=line, sku=f"sku{line}", quantity_milli=milli, price_minor=0)
                for line, milli in SOLD.items()
            ],
        ),
        answer=Answer(
            receipt_id=receipt_id, programme="p", version=1, optimal=True, lines=[], total=total
        ),
        lease_spends=[],
        incidents=[],
    )


@pytest.fixture
async def office(pool: Pool) -> Office:
    return await Office(pool).open()


async def test_many_returns_at_once_never_get_more_than_was_sold(office: Office) -> None:
    """In any order; every answer tells what others had, so that shares add up without a gap."""
    seed = int(os.environ.get("KOPILKA_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"KOPILKA_SEED={seed}")
    chance = random.Random(seed)
    wanted = {
        f"b{number}": {line: chance.randint(1, SOLD[line]) for line in chance.sample([1, 2, 3], 2)}
        for number in range(30)
    }
    replies = dict(
        zip(
            wanted,
            await asyncio.gather(
                *(
                    office.ask(chance.choice(STORES), return_id, wanted=lines)
                    for return_id, lines in wanted.items()
                )
            ),
            strict=True,
        )
    )
    aside = await office.set_aside()
    for line, sold in SOLD.items():
        assert sum(lines.get(line, 0) for lines in aside.values()) <= sold
        # Whoever came first for a line heard of nothing before; each later one of exactly that.
        before = sorted(
            (
                sum(
                    each.quantity_milli for each in replies[return_id].returned if each.line == line
                ),
                aside[return_id].get(line, 0),
            )
            for return_id, lines in wanted.items()
            if line in lines
        )
        heard = 0
        for told, got in before:
            assert told == heard
            heard += got


async def test_same_return_asked_again_takes_the_place_of_itself(office: Office) -> None:
    """A till that lost the answer, and one whose cashier counted again."""
    for wanted in ({1: 5_000}, {1: 5_000}, {1: 2_000, 2: 1_000}):
        reply = await office.ask("S2", "b1", wanted=wanted)
        assert (reply.sale_uid, reply.returned, reply.counted) == (UID, [], [])
        assert await office.set_aside() == {"b1": wanted}
    [one, two] = (await office.ask("S1")).returned
    assert (one.quantity_milli, two.quantity_milli) == (2_000, 1_000)
    fact = msgspec.msgpack.decode((await office.ask("S3")).fact, type=ReceiptCommitted)
    assert (fact.store_id, [line.sku for line in fact.receipt.lines]) == (
        "S1",
        ["sku1", "sku2", "sku3"],
    )


async def test_what_nobody_came_for_is_free_after_a_day(office: Office) -> None:
    """A till that died over it keeps the goods from nobody for ever."""
    await office.ask("S2", "b1", wanted={1: 5_000})
    async with office.pool.connection() as connection:
        await run(connection, "update return_claim set claimed_at = now() - interval '25 hours'")
    assert (await office.ask("S1")).returned == []


async def test_sale_that_has_not_come_yet_is_held_for_who_made_it(office: Office) -> None:
    """Its shop knows it, and two of its returns are not mixed up with each other."""
    own = {"sale_uid": b"\x0b" * 16, "receipt_id": "r2"}
    first = await office.ask("S1", "b1", wanted={1: 9_000}, **own)
    assert (first.fact, first.returned) == (b"", [])
    second = await office.ask("S1", "b2", wanted={1: 1_000}, **own)
    assert [each.quantity_milli for each in second.returned] == [9_000]


async def test_hub_asks_for_its_own_tills_alone(office: Office) -> None:
    await office.ask("S2-till", "b1", wanted={1: 1_000}, through="S2")
    for through in ("S1", "S3"):
        with pytest.raises(ForbiddenError) as refused:
            await office.ask("S2-till", "b1", wanted={1: 1_000}, through=through)
        assert refused.value.stable_code == "other_till"
    assert await office.set_aside() == {"b1": {1: 1_000}}


async def test_what_is_not_clear_is_said(office: Office) -> None:
    """An unknown sale, a doubtful one, and questions that are none; nothing is kept of them."""
    with pytest.raises(AppError) as unknown:
        await office.ask("S2", "b1", receipt_id="r9")
    assert unknown.value.stable_code == "unknown_sale"
    await office.sell("S1", "r1", b"\x0c" * 16, register="R2")
    with pytest.raises(ConflictError) as doubtful:
        await office.ask("S2", "b1")
    assert doubtful.value.stable_code == "sale_ambiguous"
    assert (await office.ask("S2", register="R2")).sale_uid == b"\x0c" * 16
    for wrong in (
        {"store_id": ""},
        {"receipt_id": "x" * 201},
        {"register": "\x00"},
        {"sale_uid": b"1"},
        {"return_uid": b""},
        {"wanted": {0: 1}},
        {"wanted": {1: 0}},
        {"wanted": {1: 10**12}},
    ):
        with pytest.raises(InputError) as refused:
            await office.ask("S2", "b1", **wrong)
        assert refused.value.stable_code == "bad_sale"
    with pytest.raises(InputError):
        await office.sales.ask(office.edges["S2"], b"\xc1")
    assert await office.set_aside() == {}


async def test_nobody_reads_receipts_by_trying_their_numbers(office: Office) -> None:
    """An agent is answered so often a minute and no oftener; others are not held up by it."""
    for number in range(CALLS_PER_MINUTE_MAX):
        with pytest.raises(NotFoundError):
            await office.ask("S2", receipt_id=f"n{number}")
    with pytest.raises(BusyError) as busy:
        await office.ask("S2")
    assert busy.value.retry_after_s is not None
    assert (await office.ask("S3")).sale_uid == UID
