"""Members whom shops made become one member for one phone, with all that their names earned."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import msgspec
import pytest

from central.accounts.audit import audit
from central.coupons import merging as coupons
from central.customers.store import entries_of, put_customers
from central.database.pool import Pool
from central.members.finding import PhoneOf, find_members, hash_phones, put_phones
from central.members.keys import MemberSecret
from central.members.registering import Registering, put_registration
from central.uplink.enrol import Caller
from central.uplink.ingest import Ingest, Stream
from central.uplink.members import CALLS_PER_MINUTE_MAX, Members
from shared.crypto.chain import chain_genesis
from shared.crypto.phones import slow_hash
from shared.crypto.sealing import seal
from shared.crypto.tags import card_tag
from shared.errors import BusyError, ConflictError, InputError
from shared.frames import make_batch
from shared.system import SystemClock
from shared.wire.enrol import EnrolReply
from shared.wire.facts import FactKind, PromotionUse
from shared.wire.feed import CustomerEntry
from shared.wire.members import (
    FindReply,
    FindRequest,
    MemberRegistered,
    RegisterReply,
    RegisterRequest,
    newcomer_id,
)
from shared.wire.receipt import Customer
from shared.wire.stream import Ack, Lane, Record
from tests.integration.central.test_loans import Office
from tests.support.edge_stream import a_sale

SECRET = MemberSecret(b"m" * 32)
PHONE = "+79161234567"
OVERLAP_S = 0.5


class Shops:
    """Two stores that make members, at once or by records."""

    def __init__(self, office: Office) -> None:
        self.pool = office.pool
        self.hubs = office.hubs
        self.ingest = Ingest(office.pool, SystemClock())
        self.members = Members(office.pool, SystemClock(), SECRET)
        self.registering = Registering(office.pool, SystemClock(), SECRET)

    def fact(self, store: str, uid: bytes, *, phone: str = PHONE, card: str | None = None) -> Any:
        hub = self.hubs[store]
        return MemberRegistered(
            customer_id=newcomer_id(hub.edge_id, uid),
            store_id=store,
            register="R1",
            registered_at_ms=1_790_000_000_000,
            sealed_phone=seal(
                phone.encode(), SECRET.opener.public_key, hashlib.sha256(uid).digest()
            ),
            card_tag=None if card is None else card_tag(card),
            consents=["rules", "sms"],
        )

    async def register(self, store: str, uid: bytes, fact: MemberRegistered) -> RegisterReply:
        return await self.registering.register(self.hubs[store].edge_id, uid, fact)

    async def send(self, store: str, *facts: tuple[FactKind, bytes, msgspec.Struct]) -> None:
        """The whole lane of receipts of a shop that comes back."""
        hub = self.hubs[store]
        records = [_record(seq, *each) for seq, each in enumerate(facts, start=1)]
        stream = Stream(edge_id=hub.edge_id, store_id=store, lane=int(Lane.RECEIPTS), epoch=1)
        head = chain_genesis(hub.edge_id, Lane.RECEIPTS, 1, _nonce(hub))
        batch = make_batch(records, first_seq=1, previous_hash=head)
        answer = await self.ingest.take(stream, batch)
        assert isinstance(answer, Ack)
        assert answer.verdicts == []

    async def send_one(self, store: str, uid: bytes, fact: MemberRegistered) -> None:
        """As the intake keeps it."""
        async with self.pool.connection() as connection:
            body = msgspec.msgpack.encode(fact)
            await put_registration(connection, self.hubs[store].edge_id, uid, body)

    async def find(self, phone: str = PHONE) -> FindReply:
        return await find_members(
            self.pool, FindRequest(phone_hash=slow_hash(phone, SECRET.phone_salt))
        )

    async def points(self, owner: str) -> int:
        """All that a name has, also what is lent for it."""
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                "select coalesce(sum(balance), 0) as sum from ledger_account"
                " where kind in ('pending', 'avail', 'escrow')"
                " and (owner = %(name)s"
                " or owner in (select lease_id from lease where owner = %(name)s))",
                {"name": owner},
            )
            row = await cursor.fetchone()
        assert row is not None
        return int(row["sum"])

    async def entry(self, customer_id: str) -> CustomerEntry:
        async with self.pool.connection() as connection:
            return (await entries_of(connection, [customer_id]))[customer_id]


def _record(seq: int, kind: FactKind, uid: bytes, fact: msgspec.Struct) -> bytes:
    return msgspec.msgpack.encode(
        Record(
            uid=uid,
            lane=int(Lane.RECEIPTS),
            epoch=1,
            seq=seq,
            recorded_at_ms=1,
            kind=kind,
            schema_version=1,
            body=msgspec.msgpack.encode(fact),
        )
    )


def _nonce(hub: EnrolReply) -> bytes:
    return next(each.nonce for each in hub.lanes if each.lane is Lane.RECEIPTS)


def a_purchase(store: str, receipt_id: str, customer_id: str, points: int) -> Any:
    """A sale that gave somebody points, and used a promotion that is limited for each customer."""
    sale = a_sale(receipt_id, earned=points)
    receipt = msgspec.structs.replace(sale.receipt, store=store, customer=Customer(id=customer_id))
    use = PromotionUse(promotion="tea", measure="times", period="2026-11-23", amount=1, limit=5)
    return msgspec.structs.replace(sale, store_id=store, receipt=receipt, uses=[use])


@pytest.fixture
async def shops(pool: Pool) -> Shops:
    return Shops(await Office(pool).open())


def uid_of(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:16]


async def test_new_phone_makes_a_member_once(shops: Shops) -> None:
    """The shop's name becomes the member's; asked again, the answer is the same."""
    uid = uid_of("one")
    fact = shops.fact("S1", uid, card="700")
    first = await shops.register("S1", uid, fact)
    assert (first.is_new, first.card_taken) == (True, True)
    assert first.found.entry.customer_id == fact.customer_id
    assert first.found.phone_end == "67"
    assert await shops.register("S1", uid, fact) == first
    entry = await shops.entry(fact.customer_id)
    slow = slow_hash(PHONE, SECRET.phone_salt)
    assert sorted(entry.card_tags) == sorted([card_tag("700"), SECRET.phone_tag(slow)])
    assert [each.entry.customer_id for each in (await shops.find()).members] == [fact.customer_id]
    assert (await shops.find("+79160000000")).members == []


async def test_uid_of_another_registration_is_refused(shops: Shops) -> None:
    """What a uid told once it tells for ever."""
    uid = uid_of("one")
    await shops.send("S1", (FactKind.MEMBER_REGISTERED, uid, shops.fact("S1", uid)))
    with pytest.raises(ConflictError):
        await shops.register("S1", uid, shops.fact("S1", uid, card="700"))


async def test_two_shops_without_a_line_make_one_member(shops: Shops) -> None:
    """The same phone in two shops: one member, with the points and the uses of both."""
    names: dict[str, str] = {}
    for store in ("S1", "S2"):
        uid = uid_of(store)
        fact = shops.fact(store, uid, card=f"7-{store}")
        names[store] = fact.customer_id
        await shops.send(
            store,
            (FactKind.MEMBER_REGISTERED, uid, fact),
            (
                FactKind.RECEIPT_COMMITTED,
                uid_of(store + "-sale"),
                a_purchase(store, f"{store}-r", fact.customer_id, 500),
            ),
        )
    assert [await shops.points(name) for name in names.values()] == [500, 500]
    assert await shops.registering.settle_waiting() == 2
    assert await shops.registering.settle_waiting() == 0
    [found] = (await shops.find()).members
    owner = found.entry.customer_id
    [alias] = set(names.values()) - {owner}
    assert await shops.points(owner) == 1_000
    assert await shops.points(alias) == 0
    told = await shops.entry(alias)
    assert (told.merged_into, told.card_tags) == (owner, [])
    async with shops.pool.connection() as connection:
        cursor = await connection.execute("select customer_id, amount from customer_use")
        used = [(row["customer_id"], row["amount"]) for row in await cursor.fetchall()]
        audited = await audit(connection)
    assert {name for name, _ in used} == {owner}
    assert sum(amount for _, amount in used) == 2
    assert not any(audited[key] for key in ("ledger_sum_centi", "negative_accounts", "drift"))


async def test_what_comes_late_under_the_other_name_is_the_members(shops: Shops) -> None:
    """A till may tell of a sale before the hub tells of the member, or long after the merge."""
    first, second = uid_of("one"), uid_of("two")
    await shops.register("S1", first, shops.fact("S1", first))
    late = shops.fact("S2", second)
    await shops.send(
        "S2",
        (
            FactKind.RECEIPT_COMMITTED,
            uid_of("early"),
            a_purchase("S2", "early", late.customer_id, 300),
        ),
        (FactKind.MEMBER_REGISTERED, second, late),
    )
    owner = newcomer_id(shops.hubs["S1"].edge_id, first)
    assert await shops.points(late.customer_id) == 300
    await shops.registering.settle_waiting()
    assert await shops.points(owner) == 300


async def test_card_is_not_given_to_a_member_who_was_there(shops: Shops) -> None:
    """Who knows a phone number does not get a card to that member's points."""
    async with shops.pool.connection() as connection:
        rows = await hash_phones(SECRET, [PhoneOf(customer_id="c1", phone=PHONE)])
        await put_phones(connection, rows)
    uid = uid_of("thief")
    reply = await shops.register("S2", uid, shops.fact("S2", uid, card="666"))
    assert (reply.is_new, reply.card_taken) == (False, False)
    assert reply.found.entry.customer_id == "c1"
    assert card_tag("666") not in (await shops.entry("c1")).card_tags


async def test_coupons_of_a_merged_name_are_the_members(
    shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All three merges are called: beside the ledger's and the limits' that of coupons."""
    merged: list[tuple[str, str]] = []
    merge = coupons.merge_customers

    async def noted(connection: Any, alias: str, owner: str, *, now_ms: int) -> int:
        merged.append((alias, owner))
        return await merge(connection, alias, owner, now_ms=now_ms)

    monkeypatch.setattr(coupons, "merge_customers", noted)
    uid = uid_of("two")
    fact = shops.fact("S2", uid)
    async with shops.pool.connection() as connection:
        await put_phones(
            connection, await hash_phones(SECRET, [PhoneOf(customer_id="c1", phone=PHONE)])
        )
    await shops.register("S2", uid, fact)
    assert merged == [(fact.customer_id, "c1")]


async def test_nobody_takes_another_shops_newcomer(shops: Shops) -> None:
    """A name that is in use, or was given in another store, makes nobody a member or an heir."""
    uid = uid_of("victim")
    victim = shops.fact("S1", uid)
    await shops.register("S1", uid, victim)
    waiting = newcomer_id(shops.hubs["S1"].edge_id, uid_of("not heard of yet"))
    for number, name in enumerate((victim.customer_id, waiting)):
        thief_uid = uid_of(f"thief {number}")
        thief = shops.fact("S2", thief_uid, phone="+79990000000", card="666")
        taken = msgspec.structs.replace(thief, customer_id=name)
        with pytest.raises(ConflictError) as caught:
            await shops.register("S2", thief_uid, taken)
        assert caught.value.stable_code == "name_taken"
        await shops.send_one("S2", thief_uid, taken)
    assert await shops.registering.settle_waiting() == 2
    assert (await shops.find("+79990000000")).members == []
    entry = await shops.entry(victim.customer_id)
    assert (entry.merged_into, card_tag("666") in entry.card_tags) == (None, False)
    assert [each.entry.customer_id for each in (await shops.find()).members] == [victim.customer_id]


async def test_phone_of_several_is_told_to_no_shop(shops: Shops) -> None:
    """A family's phone is asked for at head office, which tells all of them."""
    async with shops.pool.connection() as connection:
        await put_customers(connection, [(CustomerEntry(customer_id="c2", card_tags=[]), "S1")])
        await put_phones(
            connection, await hash_phones(SECRET, [PhoneOf(customer_id="c1", phone=PHONE)])
        )
    assert len((await shops.entry("c1")).card_tags) == 1
    async with shops.pool.connection() as connection:
        await put_phones(
            connection, await hash_phones(SECRET, [PhoneOf(customer_id="c2", phone=PHONE)])
        )
    assert (await shops.entry("c1")).card_tags == (await shops.entry("c2")).card_tags == []
    found = (await shops.find()).members
    assert {each.entry.customer_id for each in found} == {"c1", "c2"}


async def test_one_phone_at_the_same_moment_is_one_member(
    shops: Shops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registrations of one phone wait for each other, whichever comes first."""
    adopt = Registering._adopt

    async def slowly(self: Registering, *given: Any) -> Any:
        """Long enough for the other to look for the phone too, were it not kept out."""
        await asyncio.sleep(OVERLAP_S)
        return await adopt(self, *given)

    monkeypatch.setattr(Registering, "_adopt", slowly)
    replies = await asyncio.gather(
        *(
            shops.register(store, uid_of(store), shops.fact(store, uid_of(store)))
            for store in ("S1", "S2")
        )
    )
    assert {reply.is_new for reply in replies} == {True, False}
    assert len({reply.found.entry.customer_id for reply in replies}) == 1


async def test_registration_that_cannot_be_read_stops_no_other(shops: Shops) -> None:
    """A phone sealed to somebody else is set aside with its reason; the next is settled."""
    bad, good = uid_of("bad"), uid_of("good")
    wrong = msgspec.structs.replace(shops.fact("S1", bad), sealed_phone=b"\x01" * 64)
    await shops.send(
        "S1",
        (FactKind.MEMBER_REGISTERED, bad, wrong),
        (FactKind.MEMBER_REGISTERED, good, shops.fact("S1", good)),
    )
    assert await shops.registering.settle_waiting() == 2
    assert len((await shops.find()).members) == 1
    async with shops.pool.connection() as connection:
        cursor = await connection.execute("select failure, body from registration order by failure")
        rows = await cursor.fetchall()
    assert [row["failure"] for row in rows] == ["bad_seal", None]
    assert {bytes(row["body"]) for row in rows} == {b""}


async def test_record_of_a_newer_agent_is_settled(shops: Shops) -> None:
    """Fields that this central does not know are passed over, and hold nobody up."""
    uid = uid_of("newer")
    known = msgspec.to_builtins(shops.fact("S1", uid), builtin_types=[bytes])
    body = msgspec.msgpack.encode([*known, "a field of tomorrow"])
    async with shops.pool.connection() as connection:
        await put_registration(connection, shops.hubs["S1"].edge_id, uid, body)
    assert await shops.registering.settle_waiting() == 1
    assert len((await shops.find()).members) == 1
    assert await shops.registering.settle_waiting() == 0


async def test_agent_asks_in_the_right_form_and_not_too_often(shops: Shops) -> None:
    """One question of one kind, a bounded number in a minute, and a shop's own store."""
    edge_id = shops.hubs["S1"].edge_id
    for wrong in (
        b"",
        msgspec.msgpack.encode(FindRequest()),
        msgspec.msgpack.encode(FindRequest(phone_hash=b"x")),
        msgspec.msgpack.encode(FindRequest(phone_hash=b"x" * 32, card_tag=b"y" * 16)),
    ):
        with pytest.raises(InputError):
            await shops.members.find(edge_id, wrong)
    question = msgspec.msgpack.encode(FindRequest(card_tag=card_tag("none")))
    for _ in range(CALLS_PER_MINUTE_MAX):
        assert (await shops.members.find(edge_id, question)).members == []
    with pytest.raises(BusyError):
        await shops.members.find(edge_id, question)


async def test_shop_makes_members_of_its_own_store_alone(shops: Shops) -> None:
    """Store, name and size are checked before anything is opened."""
    hub = shops.hubs["S1"]
    caller = Caller(edge_id=hub.edge_id, store_id="S1", state="active")
    uid = uid_of("one")
    good = shops.fact("S1", uid)
    for change in (
        {"store_id": "S2"},
        {"customer_id": "c1"},
        {"customer_id": "new-1-xyz"},
        {"sealed_phone": b"x" * 5_000},
        {"card_tag": b"x"},
        {"consents": ["everything"]},
        {"consents": ["sms", "sms"]},
    ):
        request = RegisterRequest(uid=uid, fact=msgspec.structs.replace(good, **change))
        with pytest.raises(InputError):
            await shops.members.register(caller, msgspec.msgpack.encode(request))
    reply = await shops.members.register(
        caller, msgspec.msgpack.encode(RegisterRequest(uid=uid, fact=good))
    )
    assert reply.is_new
