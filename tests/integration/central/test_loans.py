"""A member's points follow them to another store, and are never in two places."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from central.accounts import service as accounts
from central.accounts.audit import audit
from central.customers.store import put_customers
from central.database.pool import Pool
from central.fleet.store import put_store
from central.uplink.enrol import Enrolment
from central.uplink.ingest import Ingest, Stream
from central.uplink.loans import LOANS_PER_MINUTE_MAX, Loans
from shared.crypto.chain import chain_genesis
from shared.errors import BusyError, InputError, NotFoundError
from shared.frames import make_batch
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import EdgeKind, EnrolReply
from shared.wire.facts import FactKind, LeaseClosed, LeaseSpent
from shared.wire.feed import CustomerEntry, LeaseState, StoreEntry
from shared.wire.loan import LoanReply, LoanRequest
from shared.wire.stream import Ack, Lane, Record
from tests.support.agent import enrol_request

POINTS = 15_000


class Office:
    """Two stores with a hub each; member c1 with 150 points is at home in S1."""

    def __init__(self, pool: Pool) -> None:
        clock = SystemClock()
        self.pool = pool
        self.enrolment = Enrolment(pool, clock, SystemChance(), [])
        self.ingest = Ingest(pool, clock)
        self.loans = Loans(pool, clock)
        self.hubs: dict[str, EnrolReply] = {}

    async def open(self) -> Office:
        async with self.pool.connection() as connection:
            for store in ("S1", "S2"):
                entry = StoreEntry(
                    store_id=store, name=store, timezone="Europe/Moscow", currency="RUB"
                )
                await put_store(connection, entry)
            await put_customers(connection, [(CustomerEntry(customer_id="c1", card_tags=[]), "S1")])
        for seed, store in enumerate(("S1", "S2"), start=1):
            token = await self.enrolment.issue_token(store, EdgeKind.HUB)
            self.hubs[store] = await self.enrolment.enrol(enrol_request(token, seed=seed))
        async with self.pool.connection() as connection:
            await accounts.open_balance(
                connection, "c1", "main", POINTS, now_ms=SystemClock().now_ms()
            )
        return self

    async def ask(self, store: str, **changes: object) -> LoanReply:
        values = {"owner": "c1", "asset": "points:main", "amount": POINTS} | changes
        body = msgspec.msgpack.encode(LoanRequest(**values))
        return await self.loans.ask(self.hubs[store].edge_id, body)

    async def tell(self, store: str, *facts: tuple[FactKind, msgspec.Struct]) -> None:
        """The whole money lane of a hub that tells these facts."""
        hub = self.hubs[store]
        start = next(each for each in hub.lanes if each.lane is Lane.MONEY)
        records = [
            msgspec.msgpack.encode(
                Record(
                    uid=bytes([seq]) * 16,
                    lane=int(Lane.MONEY),
                    epoch=1,
                    seq=seq,
                    recorded_at_ms=1,
                    kind=kind,
                    schema_version=1,
                    body=msgspec.msgpack.encode(fact),
                )
            )
            for seq, (kind, fact) in enumerate(facts, start=1)
        ]
        head = chain_genesis(hub.edge_id, Lane.MONEY, 1, start.nonce)
        stream = Stream(edge_id=hub.edge_id, store_id=store, lane=int(Lane.MONEY), epoch=1)
        answer = await self.ingest.take(
            stream, make_batch(records, first_seq=1, previous_hash=head)
        )
        assert isinstance(answer, Ack)
        assert answer.verdicts == []

    async def lease_of(self, store: str) -> str:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                "select lease_id from lease where edge_id = %s and state in ('open', 'recalled')",
                (self.hubs[store].edge_id,),
            )
            row = await cursor.fetchone()
        assert row is not None
        return str(row["lease_id"])


@pytest.fixture
async def office(pool: Pool) -> Office:
    return await Office(pool).open()


async def test_points_are_asked_back_and_follow_the_member(office: Office) -> None:
    """Nothing is lent twice: first the home store gives back what it has not spent."""
    home = await office.lease_of("S1")
    first = await office.ask("S2")
    assert (first.lease, first.recalled) == (None, True)

    spent = LeaseSpent(
        lease_id=home,
        sub_lease_id=None,
        owner="c1",
        asset="points:main",
        amount=4_000,
        receipt_id="r1",
        spent_at_ms=1,
    )
    closed = LeaseClosed(lease_id=home, spend_count=1, spent_amount=4_000)
    await office.tell("S1", (FactKind.LEASE_SPENT, spent), (FactKind.LEASE_CLOSED, closed))

    second = await office.ask("S2")
    assert second.lease is not None
    assert (second.lease.granted, second.lease.state) == (POINTS - 4_000, LeaseState.OPEN)
    assert second.lease.edge_id == office.hubs["S2"].edge_id
    assert (await office.ask("S2")).lease == second.lease
    async with office.pool.connection() as connection:
        found = await audit(connection)
    assert not any(found[key] for key in ("ledger_sum_centi", "negative_accounts", "wrong_leases"))


async def test_a_part_is_lent_as_a_part(office: Office) -> None:
    """The home store keeps its lease where it need not give anything back."""
    async with office.pool.connection() as connection:
        await put_customers(connection, [(CustomerEntry(customer_id="c2", card_tags=[]), None)])
        await accounts.open_balance(connection, "c2", "main", POINTS, now_ms=1)
    reply = await office.ask("S2", owner="c2", amount=1_000)
    assert reply.lease is not None
    assert (reply.lease.granted, reply.recalled) == (1_000, False)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"owner": "nobody"}, NotFoundError),
        ({"amount": 0}, InputError),
        ({"amount": 10**16}, InputError),
        ({"asset": "gift:main"}, InputError),
        ({"asset": "points:"}, InputError),
        ({"owner": "x" * 300}, InputError),
    ],
)
async def test_what_is_not_lent(
    office: Office, changes: dict[str, object], error: type[Exception]
) -> None:
    """Unknown members, impossible amounts and assets that only their own flows move."""
    with pytest.raises(error):
        await office.ask("S2", **changes)


async def test_one_agent_cannot_gather_a_chain(office: Office) -> None:
    """Too many requests of one agent within a minute are refused; another is not concerned."""
    for _ in range(LOANS_PER_MINUTE_MAX):
        with pytest.raises(NotFoundError):
            await office.ask("S2", owner="nobody")
    with pytest.raises(BusyError):
        await office.ask("S2", owner="nobody")
    assert (await office.ask("S1")).lease is not None


async def test_asking_again_changes_nothing_and_locks_nobody(office: Office) -> None:
    """What is lent or on its way back is answered while somebody else holds the owner's rows."""
    async with office.pool.connection() as connection:
        await put_customers(connection, [(CustomerEntry(customer_id="c2", card_tags=[]), None)])
        await accounts.open_balance(connection, "c2", "main", POINTS, now_ms=1)
    first = [await office.ask("S2"), await office.ask("S2", owner="c2")]

    async with office.pool.connection() as busy:
        await busy.execute("select 1 from ledger_account where owner in ('c1', 'c2') for update")
        async with asyncio.timeout(10):
            again = [await office.ask("S2"), await office.ask("S2", owner="c2")]
            less = await office.ask("S2", owner="c2", amount=POINTS - 1)

    assert again == first
    assert less == first[1]


async def test_what_was_merged_is_lent_under_its_heir(office: Office) -> None:
    """The shop asks by the name it knows; leases of both names are seen."""
    async with office.pool.connection() as connection:
        members = [CustomerEntry(customer_id=name, card_tags=[]) for name in ("old", "heir")]
        await put_customers(connection, [(member, None) for member in members])
        await accounts.open_balance(connection, "old", "main", 500, now_ms=1)
        await accounts.open_balance(connection, "heir", "main", 700, now_ms=1)
    before = await office.ask("S1", owner="old", amount=500)
    async with office.pool.connection() as connection:
        await accounts.merge_customers(connection, "old", "heir", now_ms=1)

    assert before.lease is not None
    for owner in ("old", "heir"):
        reply = await office.ask("S2", owner=owner, amount=1_200)
        assert reply.lease is not None
        assert (reply.lease.granted, reply.lease.owner, reply.recalled) == (700, "heir", True)
