"""What timers do with the ledger, on a clock that tests move."""

from __future__ import annotations

import datetime as dt

import pytest

from central.accounts import ledger, service, store
from central.accounts.books import AccountKind, Books, Lease, Origin, Purse
from central.accounts.needs import Needs
from central.accounts.policy import DAY_MS, LEASE_TERM_MS
from central.customers.store import put_customers
from central.database.pool import Connection, Pool, run
from central.fleet.store import put_store
from central.jobs.schedule import Jobs
from shared.wire.facts import LeaseClosed, LeaseSpent
from shared.wire.feed import CustomerEntry, LeaseState, StoreEntry

MAIN = "points:main"
ANNA = Purse("anna", MAIN)
HERE = Origin(edge_id=1, store_id="S1")
START = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


class HandClock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.at_ms = int(START.timestamp()) * 1_000

    def now_ms(self) -> int:
        return self.at_ms

    def mono_ns(self) -> int:
        return self.at_ms * 10**6


@pytest.fixture
async def clock(pool: Pool) -> HandClock:
    """The clock of a chain with one store, its hub, and Anna."""
    async with pool.connection() as connection:
        entry = StoreEntry(store_id="S1", name="One", timezone="UTC", currency="RUB")
        await put_store(connection, entry)
        await run(
            connection,
            "insert into edge (edge_id, store_id, kind, device_public_key, credential_sha256,"
            " last_contact_at) values (1, 'S1', 'hub', '', 'a', now())",
        )
        await run(
            connection,
            "insert into stream_head (edge_id, lane, epoch, nonce, hash) values (1, 0, 1, '', '')",
        )
        await put_customers(connection, [(CustomerEntry(customer_id="anna", card_tags=[]), "S1")])
    return HandClock()


async def books_of(connection: Connection, *, lots: bool = False) -> Books:
    return await store.load(connection, Needs(purses={ANNA}, lots=lots))


async def only_lease(pool: Pool) -> tuple[Books, Lease]:
    async with pool.connection() as connection:
        books = await books_of(connection)
    (lease,) = books.leases_of(ANNA)
    return books, lease


async def earn(pool: Pool, amount: int, *, active_on: str, expires_on: str | None) -> None:
    earning = ledger.Earning(
        record_uid=f"{amount}{active_on}".encode(),
        index=0,
        owner="anna",
        asset=MAIN,
        amount=amount,
        earned_on="2026-11-24",
        active_on=active_on,
        expires_on=expires_on,
    )
    async with pool.connection() as connection:
        books = await books_of(connection)
        ledger.earn(books, HERE, earning)
        await store.save(connection, books, now_ms=1)


async def close(pool: Pool, lease: Lease, *, lends: bool) -> None:
    fact = LeaseClosed(
        lease_id=lease.lease_id, spend_count=lease.spent_count, spent_amount=lease.spent_amount
    )
    async with pool.connection() as connection:
        books = await store.load(connection, Needs(leases={lease.lease_id}))
        ledger.close(books, HERE, fact)
        if lends:
            await service.lend_home(connection, books, {ANNA}, now_ms=lease.spend_until_ms)
        await store.save(connection, books, now_ms=1)


async def test_pending_points_are_free_on_their_day_and_lent_home(
    pool: Pool, clock: HandClock
) -> None:
    """Not a day before; then the hub of the home store may let them be spent."""
    await earn(pool, 70, active_on="2026-11-25", expires_on=None)
    jobs = Jobs(pool, clock)
    assert await jobs.activate_points() == 0
    clock.at_ms += DAY_MS
    assert await jobs.activate_points() == 1

    books, lease = await only_lease(pool)
    assert books.escrow(lease) == 70
    assert await jobs.audit() == 0


async def test_points_expire_by_night_when_no_lease_keeps_them(
    pool: Pool, clock: HandClock
) -> None:
    """While the shop holds them they live, and the lease is not prolonged; then they are gone."""
    await earn(pool, 70, active_on="2026-11-24", expires_on="2026-11-30")
    jobs = Jobs(pool, clock)
    assert await jobs.lend_free() == 1
    clock.at_ms += 8 * DAY_MS
    await jobs.expire_points()
    assert await jobs.renew_leases() == 0
    books, lease = await only_lease(pool)
    assert books.escrow(lease) == 70

    await close(pool, lease, lends=False)
    await jobs.expire_points()
    clock.at_ms += 70 * DAY_MS
    await jobs.expire_points()
    async with pool.connection() as connection:
        books = await books_of(connection, lots=True)
    assert books.owned(ANNA) == 0
    assert books.lots_of(ANNA) == {}
    assert await jobs.audit_all() == 0


async def test_leases_of_agents_in_touch_are_prolonged(pool: Pool, clock: HandClock) -> None:
    """When half of the term is over, for a whole term."""
    async with pool.connection() as connection:
        await service.open_balance(connection, "anna", "main", 70, now_ms=clock.at_ms)
    jobs = Jobs(pool, clock)
    assert await jobs.renew_leases() == 0
    clock.at_ms += LEASE_TERM_MS // 2 + 1
    assert await jobs.renew_leases() == 1

    _, lease = await only_lease(pool)
    assert lease.spend_until_ms == clock.at_ms + LEASE_TERM_MS


@pytest.mark.parametrize(("amount", "goes_back"), [(30_000, True), (30_001, False)])
async def test_small_silent_leases_are_written_off_large_ones_are_told(
    pool: Pool, clock: HandClock, amount: int, goes_back: bool
) -> None:
    """Thirty days after the end; a person may decide on a large one."""
    async with pool.connection() as connection:
        await service.open_balance(connection, "anna", "main", amount, now_ms=clock.at_ms)
        await run(connection, "update edge set state = 'revoked'")
    jobs = Jobs(pool, clock)
    _, lease = await only_lease(pool)
    clock.at_ms = lease.spend_until_ms + 30 * DAY_MS - 1
    assert await jobs.settle_leases() == []
    clock.at_ms += 1
    assert await jobs.settle_leases() == ([] if goes_back else [lease.lease_id])
    if not goes_back:
        async with pool.connection() as connection:
            told = await service.write_off(connection, lease.lease_id, now_ms=clock.at_ms)
        assert [incident.code for incident in told] == ["lease_written_off"]
    async with pool.connection() as connection:
        books = await store.load(connection, Needs(leases={lease.lease_id}))

    assert books.leases[lease.lease_id].state is LeaseState.WRITTEN_OFF
    assert books.balance(AccountKind.AVAIL, ANNA) == amount


async def test_what_was_recalled_is_free_for_who_asked(pool: Pool, clock: HandClock) -> None:
    """The sale elsewhere gets it, and the night lends the rest home again."""
    async with pool.connection() as connection:
        await service.open_balance(connection, "anna", "main", 150, now_ms=clock.at_ms)
    _, lease = await only_lease(pool)
    elsewhere = Origin(edge_id=9, store_id="S9")
    uid = b"h" * 16

    async def hold(uid: bytes) -> bool:
        async with pool.connection() as connection:
            answer = await service.hold(
                connection,
                elsewhere,
                uid,
                ANNA,
                100,
                expires_at_ms=clock.at_ms + 1,
                now_ms=clock.at_ms,
            )
        return answer.granted

    assert not await hold(b"g" * 16)
    _, recalled = await only_lease(pool)
    assert recalled.state is LeaseState.RECALLED
    await close(pool, lease, lends=True)
    assert await hold(uid)
    async with pool.connection() as connection:
        assert await service.capture(connection, elsewhere, uid, ANNA, 90, now_ms=1) == []
    books, home = await only_lease(pool)
    assert books.owned(ANNA) == books.escrow(home) == 60
    assert await Jobs(pool, clock).audit_all() == 0


async def test_a_hold_that_nobody_captures_is_let_go(pool: Pool, clock: HandClock) -> None:
    """After its time it is free, and at home again."""
    async with pool.connection() as connection:
        await run(connection, "update customer set home_store_id = null")
        await service.open_balance(connection, "anna", "main", 150, now_ms=clock.at_ms)
        answer = await service.hold(
            connection,
            HERE,
            b"h" * 16,
            ANNA,
            100,
            expires_at_ms=clock.at_ms + 1,
            now_ms=clock.at_ms,
        )
    jobs = Jobs(pool, clock)
    assert answer.granted
    assert await jobs.release_holds() == 0
    clock.at_ms += 1
    assert await jobs.release_holds() == 1
    async with pool.connection() as connection:
        books = await books_of(connection)
    assert books.balance(AccountKind.AVAIL, ANNA) == 150


async def test_a_frozen_edge_is_settled_when_it_has_proved_itself(
    pool: Pool, clock: HandClock
) -> None:
    """Until then nothing comes back, and nothing is lent to it."""
    async with pool.connection() as connection:
        await service.open_balance(connection, "anna", "main", 150, now_ms=clock.at_ms)
    async with pool.connection() as connection:
        assert await service.freeze_edge(connection, 1, 1, now_ms=clock.at_ms) == 1
        await run(connection, "update stream_head set state = 'frozen'")
        await service.open_balance(connection, "anna", "more", 1, now_ms=clock.at_ms)
    _, frozen = await only_lease(pool)
    assert frozen.state is LeaseState.FROZEN
    async with pool.connection() as connection:
        await run(
            connection,
            "insert into stream_head (edge_id, lane, epoch, nonce, hash) values (1, 0, 2, '', '')",
        )
        assert await service.clear_edge(connection, 1, 1, now_ms=clock.at_ms) == 0

    books, lease = await only_lease(pool)
    assert (lease.epoch, books.escrow(lease)) == (2, 150)
    assert await Jobs(pool, clock).audit_all() == 0


async def test_a_budget_goes_to_stores_by_quota_and_never_beyond_itself(
    pool: Pool, clock: HandClock
) -> None:
    """Nearly empty quotas are filled up by the batch that spends; together never more than all."""
    tea = Purse("tea", "budget:tea")
    async with pool.connection() as connection:
        for _ in range(2):
            await service.fund(connection, tea, 100, cause=b"budget", now_ms=clock.at_ms)
        served = await service.lend_quotas(
            connection, tea, {"S1": 60, "S9": 60}, now_ms=clock.at_ms
        )
    assert served == ["S1"]
    spent = 0
    for number, amount in enumerate((30, 13, 57, 1)):
        async with pool.connection() as connection:
            uid = number.to_bytes(16, "big")
            books = await store.load(connection, Needs(purses={tea}, spends={uid}))
            (lease,) = books.leases_of(tea)
            fact = LeaseSpent(
                lease_id=lease.lease_id,
                sub_lease_id=None,
                owner="tea",
                asset="budget:tea",
                amount=amount,
                receipt_id="r",
                spent_at_ms=1,
            )
            incidents = ledger.spend(books, HERE, uid, fact)
            await service.lend_home(connection, books, books.changes.purses, now_ms=clock.at_ms)
            await store.save(connection, books, now_ms=clock.at_ms)
        spent += amount
        codes = [incident.code for incident in incidents]
        assert codes == (["points_shortage"] if spent > 100 else [])
        assert lease.quota == 60
        # 17 of 60 are less than 30 %: filled up to 57, all that there is.
        assert books.escrow(lease) == {30: 30, 43: 57, 100: 0, 101: 0}[spent]
    async with pool.connection() as connection:
        assert await service.recall(connection, tea, now_ms=clock.at_ms) == 1
    assert await Jobs(pool, clock).audit_all() == 0


async def test_a_gift_card_is_sold_and_taken_back_once(pool: Pool, clock: HandClock) -> None:
    """Its money is there once for one sale, and goes back whole or not at all."""
    card = Purse("ab12", "gift:rub")
    async with pool.connection() as connection:
        for _ in range(2):
            await service.fund(
                connection, card, 5_000, cause=b"sold", store_id="S1", now_ms=clock.at_ms
            )
    async with pool.connection() as connection:
        answer = await service.hold(
            connection, HERE, b"h" * 16, card, 1, expires_at_ms=clock.at_ms + 1, now_ms=1
        )
        assert answer.granted
        assert not await service.unfund(connection, card, 5_000, cause=b"back", now_ms=1)
        await service.release(connection, HERE, b"h" * 16, now_ms=1)
        for _ in range(2):
            assert await service.unfund(connection, card, 5_000, cause=b"back", now_ms=1)
    assert await Jobs(pool, clock).audit_all() == 0


async def test_a_present_that_went_to_a_debt_is_given_once(pool: Pool, clock: HandClock) -> None:
    """Asked again under its cause, it pays no more."""
    taking = ledger.Taking(
        record_uid=b"r" * 16,
        index=0,
        owner="anna",
        asset=MAIN,
        amount=100,
        sale_uid=None,
        active_on="2026-11-24",
    )
    async with pool.connection() as connection:
        books = await books_of(connection)
        ledger.claw_back(books, HERE, taking)
        await store.save(connection, books, now_ms=1)
    for _ in range(2):
        async with pool.connection() as connection:
            await service.fund(connection, ANNA, 40, cause=b"present", now_ms=1)
    async with pool.connection() as connection:
        books = await books_of(connection)

    assert books.owed(ANNA) == 60
    assert await Jobs(pool, clock).audit_all() == 0
