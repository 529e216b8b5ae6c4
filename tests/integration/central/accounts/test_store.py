"""The ledger in PostgreSQL does what whole books in memory do."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import psycopg
import pytest

from central.accounts import audit, ledger, lending, service, store, upkeep
from central.accounts import holds as online
from central.accounts.books import (
    Account,
    AccountKind,
    Books,
    Origin,
    Purse,
    exact_hash,
    transfer_id_of,
)
from central.accounts.lending import Holder
from central.accounts.needs import Needs, needs_of
from central.customers.store import put_customers
from central.database.pool import Connection, Pool, rows_of
from central.database.retry import in_transaction
from central.fleet.store import put_store
from shared.wire.facts import LeaseClosed, LeaseSpent, SpendVoided
from shared.wire.feed import CustomerEntry, StoreEntry
from tests.support.examples import NIGHTLY

ASSET = "points:main"
OWNERS = ("anna", "bert", "c:1")
_KINDS = (
    *("earn", "grant", "spend", "spend", "void", "close", "hold", "capture", "release", "take"),
    *("give", "activate", "expire", "freeze", "write_off", "recall", "fund"),
)
DAYS = ("2026-11-24", "2026-11-30", "2026-12-10")


async def founded(connection: Connection) -> None:
    """Two stores with a hub each, and three members."""
    for store_id in ("S1", "S2"):
        entry = StoreEntry(store_id=store_id, name=store_id, timezone="UTC", currency="RUB")
        await put_store(connection, entry)
    await connection.execute(
        b"""insert into edge (edge_id, store_id, kind, device_public_key, credential_sha256)
        values (1, 'S1', 'hub', '', 'a'), (2, 'S2', 'hub', '', 'b')"""
    )
    await connection.execute(
        b"""insert into stream_head (edge_id, lane, epoch, nonce, hash)
        values (1, 0, 1, '', ''), (2, 0, 1, '', '')"""
    )
    members = [(CustomerEntry(customer_id=each, card_tags=[]), "S1") for each in OWNERS]
    await put_customers(connection, members)


async def read_all(connection: Connection) -> Books:
    """Everything in the tables as whole books."""
    spends = await rows_of(connection, "select spend_uid from ledger_spend")
    leases = await rows_of(connection, "select lease_id from lease")
    holds = await rows_of(connection, "select hold_uid from ledger_hold")
    lots = await rows_of(connection, "select sale_uid from pending_lot")
    books = await store.load(
        connection,
        Needs(
            purses={Purse(owner, ASSET) for owner in OWNERS},
            leases={row["lease_id"] for row in leases},
            spends={row["spend_uid"] for row in spends},
            holds={row["hold_uid"] for row in holds},
            sales={row["sale_uid"] for row in lots},
            lots=True,
        ),
    )
    rows = await rows_of(connection, "select kind, owner, asset, balance from ledger_account")
    for row in rows:
        account = Account(AccountKind(row["kind"]), row["owner"], row["asset"])
        if account.kind is AccountKind.ESCROW:
            assert books.balances.get(account, 0) == row["balance"], account
        books.balances[account] = row["balance"]
    return books


class Script:
    """Random operations, each with what it needs, the same for any books."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.number = 0
        self.uids: list[bytes] = []
        self.leases: list[str] = []

    def uid(self, *, known: bool = False) -> bytes:
        if known and self.uids:
            return self.chance.choice(self.uids)
        self.number += 1
        self.uids.append(self.number.to_bytes(16, "big"))
        return self.uids[-1]

    def step(self, whole: Books) -> tuple[Needs, Any]:
        """One operation: what to load, and what to do with the books."""
        chance, moment = self.chance, self.number
        owner = chance.choice(OWNERS)
        purse = Purse(owner, ASSET)
        amount = chance.randint(1, 60)
        store_id, edge_id = chance.choice((("S1", 1), ("S2", 2)))
        origin = Origin(edge_id=edge_id, store_id=store_id)
        lease = whole.leases[chance.choice(self.leases)] if self.leases else None
        fits = lease is not None and chance.random() < 0.8
        if fits and lease is not None:
            owner = lease.owner
            origin = Origin(edge_id=lease.edge_id, store_id=lease.store_id)
        kind = chance.choice(_KINDS)
        if kind == "earn":
            earning = ledger.Earning(
                record_uid=self.uid(),
                index=0,
                owner=owner,
                asset=ASSET,
                amount=amount,
                earned_on=DAYS[0],
                active_on=chance.choice(DAYS),
                expires_on=chance.choice((None, DAYS[1])),
            )
            return Needs(purses={Purse(owner, ASSET)}), lambda b: ledger.earn(b, origin, earning)
        if kind == "fund":
            cause = self.uid()
            return Needs(purses={purse}, causes={cause}), lambda b: lending.fund(
                b, purse.owner, ASSET, amount, cause=cause
            )
        if kind == "grant":
            holder = Holder(edge_id=edge_id, store_id=store_id)
            now_ms = moment * 1_000
            return Needs(purses={purse}), lambda b: lending.grant(
                b, holder, purse.owner, ASSET, now_ms=now_ms
            )
        if kind == "spend":
            uid = self.uid(known=chance.random() < 0.3)
            fact = LeaseSpent(
                lease_id=lease.lease_id if fits and lease else None,
                sub_lease_id=chance.choice((None, "part" + lease.lease_id if lease else None)),
                owner=owner,
                asset=ASSET,
                amount=amount,
                receipt_id="r",
                spent_at_ms=1,
            )
            firm = chance.random() < 0.5
            return needs_of(uid, fact), lambda b: ledger.spend(b, origin, uid, fact, firm=firm)
        if kind == "void":
            void = SpendVoided(spend_uid=self.uid(known=True), receipt_id="r")
            return needs_of(b"", void), lambda b: ledger.void(b, origin, void)
        if kind == "close" and lease is not None:
            close = LeaseClosed(
                lease_id=lease.lease_id,
                spend_count=lease.spent_count,
                spent_amount=lease.spent_amount,
            )
            return needs_of(b"", close), lambda b: ledger.close(b, origin, close)
        if kind == "hold":
            uid = self.uid(known=chance.random() < 0.2)
            return Needs(purses={purse}, holds={uid}), lambda b: online.hold(
                b, origin, uid, purse.owner, ASSET, amount, expires_at_ms=moment
            )
        if kind == "capture":
            uid = self.uid(known=True)
            return Needs(purses={purse}, holds={uid}), lambda b: online.capture(
                b, origin, uid, purse.owner, ASSET, amount
            )
        if kind == "release":
            uid = self.uid(known=True)
            return Needs(holds={uid}), lambda b: online.release(b, origin, uid)
        if kind == "take":
            sale = self.uid(known=True)
            taking = ledger.Taking(
                record_uid=self.uid(),
                index=0,
                owner=owner,
                asset=ASSET,
                amount=amount,
                sale_uid=sale,
                active_on=chance.choice(DAYS),
                expires_on=chance.choice((None, DAYS[1])),
            )
            return Needs(purses={Purse(owner, ASSET)}, sales={sale}), lambda b: ledger.claw_back(
                b, origin, taking
            )
        if kind == "give":
            giving = ledger.Giving(
                record_uid=self.uid(), index=0, owner=owner, asset=ASSET, amount=amount
            )
            return Needs(purses={Purse(owner, ASSET)}), lambda b: ledger.give_back(
                b, origin, giving
            )
        if kind == "activate":
            day = chance.choice(DAYS)
            due = {lot.sale_uid for lot in whole.pending.values() if lot.active_on <= day}
            return Needs(sales=due), lambda b: upkeep.activate(b, day)
        if kind == "expire":
            self.number += 1
            now_ms = self.number
            return Needs(purses={purse}, lots=True), lambda b: upkeep.expire(
                b, purse.owner, ASSET, DAYS[2], now_ms=now_ms
            )
        if kind == "freeze":
            clears = chance.random() < 0.5
            return (
                Needs(edges={edge_id}),
                lambda b: (
                    lending.clear(b, edge_id, 1)
                    if clears
                    else lending.freeze(b, edge_id, 1, now_ms=moment)
                ),
            )
        if lease is None:
            return Needs(), lambda _: None
        lease_id = lease.lease_id
        if kind == "write_off" and chance.random() < 0.3:
            return Needs(leases={lease_id}), lambda b: lending.write_off(b, b.leases[lease_id])
        return Needs(leases={lease_id}), lambda b: lending.recall(b, b.leases[lease_id])


@pytest.mark.parametrize("seed", range(max(6, NIGHTLY // 50)))
async def test_the_tables_hold_what_whole_books_hold(pool: Pool, seed: int) -> None:
    """Random operations through PostgreSQL and through memory give the same ledger."""
    script = Script(seed)
    whole = Books(whole=True)
    async with pool.connection() as connection:
        await founded(connection)
    made: set[bytes] = set()
    for number in range(60):
        batch = []
        needs = Needs()
        for _ in range(script.chance.randint(1, 4)):
            needed, work = script.step(whole)
            needs.add(needed)
            batch.append((work, repr(work(whole))))
            script.leases = sorted(whole.leases)
        async with pool.connection() as connection:
            books = await store.load(connection, needs)
            told = [repr(work(books)) for work, _ in batch]
            changes = await store.save(connection, books, now_ms=1)
        assert told == [expected for _, expected in batch], f"seed {seed}, batch {number}"
        made |= {transfer.transfer_id for transfer in changes.transfers}
    async with pool.connection() as connection:
        stored = await read_all(connection)
        found = await audit.audit(connection)

    actual = {account: n for account, n in stored.balances.items() if n}
    assert actual == {account: n for account, n in whole.balances.items() if n}
    assert stored.leases == whole.leases
    assert stored.spends == whole.spends
    assert stored.holds == whole.holds
    pending = {key: lot for key, lot in whole.pending.items() if lot.amount}
    assert stored.pending == pending
    lots = {(p, day): n for p, days in stored.lots.items() for day, n in days.items() if n}
    assert lots == {(p, day): n for p, days in whole.lots.items() for day, n in days.items() if n}
    assert exact_hash(stored) == exact_hash(whole)
    assert made == {transfer.transfer_id for transfer in whole.changes.transfers}
    assert (found["ledger_sum_centi"], found["negative_accounts"], found["drift"]) == (0, 0, 0)


async def test_a_merge_goes_through_the_tables(pool: Pool) -> None:
    """Points, lots and leases of one customer become another's; later records follow."""
    async with pool.connection() as connection:
        await founded(connection)
        await service.open_balance(connection, "anna", "main", 100, now_ms=1)
    async with pool.connection() as connection:
        await service.merge_customers(connection, "anna", "bert", now_ms=2)
    async with pool.connection() as connection:
        books = await store.load(connection, Needs(purses={Purse("bert", ASSET)}))
        lease = books.leases_of(Purse("bert", ASSET))[0]
        close = LeaseClosed(lease_id=lease.lease_id, spend_count=0, spent_amount=0)
        ledger.close(books, Origin(edge_id=1, store_id="S1"), close)
        await store.save(connection, books, now_ms=3)
    async with pool.connection() as connection:
        stored = await read_all(connection)
        found = await audit.audit(connection)

    assert lease.owner == "anna"
    assert stored.balance(AccountKind.AVAIL, Purse("bert", ASSET)) == 100
    assert stored.balances[Account(AccountKind.AVAIL, "anna", ASSET)] == 0
    assert found["drift"] == 0


async def test_two_sources_of_one_spend_at_once_post_it_once(pool: Pool) -> None:
    """Many connections tell the same spends and voids at the same moment."""
    async with pool.connection() as connection:
        await founded(connection)
        for owner in OWNERS:
            await service.open_balance(connection, owner, "main", 1_000, now_ms=1)
        books = await read_all(connection)
    leases = sorted(books.leases.values(), key=lambda lease: lease.lease_id)

    async def tell(number: int) -> None:
        chance = random.Random(number)

        async def work(connection: Connection) -> None:
            needs = Needs()
            facts: list[tuple[bytes, Any]] = []
            for index in chance.sample(range(30), 10):
                uid = index.to_bytes(16, "big")
                lease = leases[index % len(leases)]
                spent = LeaseSpent(
                    lease_id=lease.lease_id,
                    sub_lease_id=None,
                    owner=lease.owner,
                    asset=ASSET,
                    amount=index + 1,
                    receipt_id="r",
                    spent_at_ms=1,
                )
                facts.append((uid, spent))
                if index % 3 == 0:
                    facts.append((b"", SpendVoided(spend_uid=uid, receipt_id="r")))
            chance.shuffle(facts)
            for uid, fact in facts:
                needs.add(needs_of(uid, fact))
            books = await store.load(connection, needs)
            for uid, fact in facts:
                origin = Origin(edge_id=1, store_id="S1")
                if isinstance(fact, LeaseSpent):
                    ledger.spend(books, origin, uid, fact)
                else:
                    ledger.void(books, origin, fact)
            await store.save(connection, books, now_ms=1)

        await in_transaction(pool, work)

    await asyncio.gather(*(tell(number) for number in range(24)))
    async with pool.connection() as connection:
        books = await read_all(connection)
        found = await audit.audit(connection)

    counted = {uid: spend for uid, spend in books.spends.items() if spend.state == "counted"}
    assert found["redeemed_centi"] == sum(spend.amount for spend in counted.values())
    assert found["drift"] == found["shortage_centi"] == 0
    assert len(books.spends) == 30
    assert len(counted) == 20


async def test_the_auditor_finds_one_kopeck(pool: Pool, database: str) -> None:
    """A balance changed behind the ledger's back is found in the next turn, and stays found."""
    async with pool.connection() as connection:
        await founded(connection)
        await service.open_balance(connection, "anna", "main", 100, now_ms=1)
        await service.open_balance(connection, "bert", "main", 100, now_ms=1)
    async with pool.connection() as connection:
        assert await audit.count_on(connection) == 0
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("set session_replication_role = replica")  # nobody's guard is in the way
        other.execute(
            "update ledger_account set balance = balance + 1 where kind = 'escrow'"
            " and owner = (select min(owner) from ledger_account where kind = 'escrow')"
        )
    async with pool.connection() as connection:
        open_after_a_turn = await audit.count_on(connection)
        subjects = {row["subject"] for row in await audit.open_drift(connection)}
    async with pool.connection() as connection:
        found = await audit.audit(connection)

    assert open_after_a_turn == 1
    assert subjects == {f"asset:{ASSET}"}
    assert found["unbalanced_accounts"] == 1
    assert found["wrong_leases"] == 1
    assert found["drift"] == 3


async def test_the_guard_finds_a_statement_that_does_not_add_up(pool: Pool, database: str) -> None:
    """An ordinary statement that changes one balance leaves its trace at once."""
    async with pool.connection() as connection:
        await founded(connection)
        await service.open_balance(connection, "anna", "main", 100, now_ms=1)
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("update ledger_account set balance = balance - 1 where kind = 'escrow'")
    async with pool.connection() as connection:
        rows = await audit.open_drift(connection)

    assert [(row["expected"], row["actual"]) for row in rows] == [(0, -1)]
    assert rows[0]["subject"].startswith(f"statement:{ASSET}:")


async def test_a_pair_of_changes_that_adds_up_is_found_where_it_moves(
    pool: Pool, database: str
) -> None:
    """Sums hide it; the auditor's copy of an account that moves does not, nor does the night."""
    async with pool.connection() as connection:
        await founded(connection)
        await service.open_balance(connection, "anna", "main", 100, now_ms=1)
        await service.open_balance(connection, "bert", "main", 100, now_ms=1)
    async with pool.connection() as connection:
        assert await audit.count_on(connection) == 0
    with psycopg.connect(database, autocommit=True) as other:
        other.execute(
            "update ledger_account set balance = balance"
            " + case when owner = 'central' then -7 else 7 end"
            " where kind = 'issued' or (kind = 'avail' and owner = 'anna')"
        )
    async with pool.connection() as connection:
        assert await audit.count_on(connection) == 0
        await service.open_balance(connection, "c:1", "main", 5, now_ms=1)
    async with pool.connection() as connection:
        assert await audit.count_on(connection) == 1
        by_night = await audit.check_all(connection)
        cause = transfer_id_of("check")
        await service.give_goodwill(connection, Purse("bert", ASSET), 5, cause=cause, now_ms=1)
    async with pool.connection() as connection:
        assert await audit.clear_drift(connection) == by_night == 2
