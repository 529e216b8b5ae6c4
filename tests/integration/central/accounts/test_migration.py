"""A database of the first release comes to the present ledger with all it held."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from importlib import resources

import psycopg
import pytest

from central.accounts import audit, ledger, service, store, upkeep
from central.accounts.books import AccountKind, Origin, Purse
from central.accounts.needs import Needs
from central.database.embedded import EmbeddedPostgres
from central.database.migrate import migrate, migration_names
from central.database.pool import Pool, open_pool
from shared.wire.facts import LeaseClosed

BEFORE = "0005_pre_ledger.sql"
MAIN = "points:main"
FIRST_RELEASE = b"""
insert into store values ('S1', 'One', 'UTC', 'RUB');
insert into edge (edge_id, store_id, kind, device_public_key, credential_sha256)
values (1001, 'S1', 'hub', '', 'a');
insert into stream_head (edge_id, lane, epoch, nonce, hash)
values (1001, 0, 1, '', ''), (1001, 1, 1, '', '');
insert into customer (customer_id, home_store_id) values ('c:1', 'S1'), ('c2', 'S1');
insert into ledger_account values
    ('avail:c:1:main', 'avail', 'c:1', 'main', 40),
    ('avail:c2:main', 'avail', 'c2', 'main', 300),
    ('pending:c:1:main', 'pending', 'c:1', 'main', 25),
    ('escrow:L-1001-c:1-main', 'escrow', 'L-1001-c:1-main', 'main', 70),
    ('issued:system:main', 'issued', 'system', 'main', -465),
    ('redeemed:system:main', 'redeemed', 'system', 'main', 35),
    ('store_shortage:S1:main', 'store_shortage', 'S1', 'main', -5);
insert into lease values
    ('L-1001-c:1-main', 'c:1', 'main', 1001, 'S1', 100, to_timestamp(1800000000), 'open');
insert into ledger_transfer values
    ('\\x01', 'issued:system:main', 'avail:c:1:main', 140, 'opening', null),
    ('\\x02', 'issued:system:main', 'avail:c2:main', 300, 'opening', null),
    ('\\x03', 'avail:c:1:main', 'escrow:L-1001-c:1-main', 100, 'lease.granted', null),
    ('\\x04', 'escrow:L-1001-c:1-main', 'redeemed:system:main', 30, 'receipt.spent', '\\xaa'),
    ('\\x05', 'store_shortage:S1:main', 'redeemed:system:main', 5, 'receipt.shortage', '\\xaa'),
    ('\\x06', 'issued:system:main', 'pending:c:1:main', 25, 'receipt.accrued', '\\xbb');
insert into pending_points values ('\\x06', 'c:1', 'main', 25, '2026-12-01', null);
"""


@pytest.fixture
def old_database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A database as the release before left it, with points in every place."""
    address = postgres_server.conninfo("postgres")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("create database of_old")
    folder = resources.files("central.database").joinpath("migrations")
    with psycopg.connect(postgres_server.conninfo("of_old")) as connection:
        connection.execute(
            "create table schema_migration (name text primary key,"
            " applied_at timestamptz not null default now())"
        )
        for name in migration_names():
            if name < BEFORE:
                connection.execute(folder.joinpath(name).read_bytes())
                connection.execute("insert into schema_migration (name) values (%s)", [name])
        connection.execute(FIRST_RELEASE)
    yield postgres_server.conninfo("of_old")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("drop database of_old with (force)")


@pytest.fixture
async def old_pool(old_database: str) -> AsyncIterator[Pool]:
    """A pool over that database."""
    async with open_pool(old_database, size_max=2) as opened:
        yield opened


async def test_what_the_first_release_held_is_kept(old_pool: Pool) -> None:
    """Balances, leases with their counts, spends and pending points go on under assets."""
    async with old_pool.connection() as connection:
        assert BEFORE in await migrate(connection)
        found = await audit.audit(connection)
    assert (found["drift"], found["ledger_sum_centi"]) == (0, 0)
    assert (found["issued_centi"], found["redeemed_centi"], found["shortage_centi"]) == (465, 35, 5)

    lease_id, anna = "L-1001-c:1-main", Purse("c:1", MAIN)
    async with old_pool.connection() as connection:
        needs = Needs(leases={lease_id}, sales={b"\xbb"}, spends={b"\x04"}, lots=True)
        books = await store.load(connection, needs)
        lease = books.leases[lease_id]
        assert (lease.granted, lease.spent_count, lease.spent_amount, lease.epoch) == (
            100,
            1,
            30,
            1,
        )
        assert books.spends[b"\x04"].amount == 30
        assert books.owned(anna) == 110
        close = LeaseClosed(lease_id=lease_id, spend_count=1, spent_amount=30)
        origin = Origin(edge_id=1001, store_id="S1")
        assert ledger.close(books, origin, close) == []
        assert upkeep.activate(books, "2026-12-01") == 1
        assert upkeep.expire(books, "c:1", MAIN, "2030-01-01", now_ms=1) == 0
        await store.save(connection, books, now_ms=1)
    async with old_pool.connection() as connection:
        books = await store.load(connection, Needs(purses={anna}))
        assert books.balance(AccountKind.AVAIL, anna) == 135
        # Points that were free when no hub was there are lent as ever.
        assert await service.lend_to_new_hub(connection, "S1", now_ms=1) == 2
        found = await audit.audit(connection)
    assert found["drift"] == 0
