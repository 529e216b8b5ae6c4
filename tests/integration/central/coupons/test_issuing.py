"""A personal coupon is a code, and the right to use it once."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from central.accounts import service as accounts
from central.accounts.audit import audit
from central.coupons import issuing, store
from central.coupons.issuing import Series, issue_coupons
from central.coupons.merging import merge_customers
from central.coupons.policy import check_character
from central.coupons.store import known_coupons, put_coupons
from central.customers.store import put_customers
from central.database.pool import Pool
from central.fleet.store import put_store
from central.jobs.schedule import Jobs
from central.uplink.enrol import Enrolment
from shared.errors import AppError, InputError
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import EdgeKind
from shared.wire.feed import CouponEntry, CustomerEntry, StoreEntry
from tests.support.agent import enrol_request
from tests.support.clocks import FakeClock

SPRING = Series(name="SPRING", valid_from=date(2026, 3, 1), valid_to=date(2026, 5, 31))
Issue = Callable[..., Awaitable[list[CouponEntry]]]


@pytest.fixture
async def issue(pool: Pool, tmp_path: Path) -> Issue:
    """Issues rows; c1 is at home in S1, which has a hub, c2 nowhere."""
    clock, chance = SystemClock(), SystemChance()
    async with pool.connection() as connection:
        entry = StoreEntry(store_id="S1", name="S1", timezone="Europe/Moscow", currency="RUB")
        await put_store(connection, entry)
        members = [(CustomerEntry(customer_id=f"c{n}", card_tags=[]), None) for n in (2, 3)]
        await put_customers(connection, members)
        await put_customers(connection, [(CustomerEntry(customer_id="c1", card_tags=[]), "S1")])
    enrolment = Enrolment(pool, clock, chance, [])
    await enrolment.enrol(enrol_request(await enrolment.issue_token("S1", EdgeKind.HUB)))

    async def issue(*rows: dict[str, Any], series: Series = SPRING) -> list[CouponEntry]:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        found = []
        async for coupons in issue_coupons(pool, clock, chance, series, path):
            found += coupons
        return found

    return issue


async def rights(pool: Pool) -> dict[tuple[str, str], tuple[str, int]]:
    """By owner and asset: where the right is, and how much."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "select coalesce(l.owner, a.owner) as owner, a.asset, a.kind, a.balance"
            " from ledger_account a left join lease l on a.owner = l.lease_id"
            " where a.balance > 0"
        )
        rows = await cursor.fetchall()
    return {(row["owner"], row["asset"]): (row["kind"], row["balance"]) for row in rows}


async def test_each_customer_gets_a_code_and_one_use_at_home(issue: Issue, pool: Pool) -> None:
    """Who has no home store has it free; made codes check, given ones are kept in capitals."""
    made, given, again = await issue(
        {"customer_id": "c1"}, {"customer_id": "c2", "code": "hello-2"}, {"customer_id": "c1"}
    )
    assert given == CouponEntry(
        code="HELLO-2",
        series="SPRING",
        valid_from_date="2026-03-01",
        valid_to_date="2026-05-31",
        customer_id="c2",
    )
    assert made.code != again.code
    assert check_character(made.code[:-1]) == made.code[-1]
    assert await rights(pool) == {
        ("c1", f"coupon:{made.code}"): ("escrow", 1),
        ("c1", f"coupon:{again.code}"): ("escrow", 1),
        ("c2", "coupon:HELLO-2"): ("avail", 1),
    }
    async with pool.connection() as connection:
        assert await known_coupons(connection, [made.code]) == {made.code: made}
        found = await audit(connection)
    assert (found["drift"], found["ledger_sum_centi"]) == (0, 0)


async def test_the_same_codes_again_issue_nothing(issue: Issue, pool: Pool) -> None:
    """A file that was cut short is simply issued again."""
    rows = [{"customer_id": "c1", "code": "A1"}, {"customer_id": "c2", "code": "A2"}]
    assert len(await issue(*rows[:1])) == 1
    before = await rights(pool)
    assert [coupon.code for coupon in await issue(*rows)] == ["A2"]
    assert await issue(*rows) == []
    assert (await rights(pool)).items() >= before.items()


async def test_a_wrong_line_is_named_and_nothing_is_issued(issue: Issue, pool: Pool) -> None:
    """Whatever is wrong with it, whichever line it is."""
    async with pool.connection() as connection:
        await put_coupons(connection, [CouponEntry(code="PUBLIC", series="SPRING")])
    good = {"customer_id": "c1", "code": "GOOD"}
    wrong: list[tuple[Any, str]] = [
        ({"customer_id": "nobody"}, "no such customer"),
        ({"customer_id": "c1", "code": "good"}, "stands in line 1 too"),
        ({"customer_id": "c1", "code": "public"}, "taken"),
        ({"customer_id": "c1", "code": " "}, "printable"),
        ({"customer_id": "c1", "code": "x" * 101}, "code"),
        ({"customer_id": "c1", "series": "S"}, "series"),
        ({}, "customer_id"),
        ([], "object"),
    ]
    for row, what in wrong:
        with pytest.raises(InputError, match="line 2: ") as caught:
            await issue(good, row)
        assert what in caught.value.message
    assert await rights(pool) == {}
    await issue(good)
    with pytest.raises(InputError, match="line 1: this code is taken"):
        await issue({"customer_id": "c2", "code": "GOOD"})


async def test_a_file_and_its_days_have_bounds(
    issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many lines, and days in the wrong order."""
    monkeypatch.setattr(issuing, "COUPONS_PER_FILE_MAX", 2)
    with pytest.raises(InputError, match="line 3: more than 2 lines"):
        await issue(*[{"customer_id": "c1"}] * 3)
    backwards = Series(name="S", valid_from=date(2026, 2, 2), valid_to=date(2026, 2, 1))
    with pytest.raises(InputError, match="before the first"):
        await issue({"customer_id": "c1"}, series=backwards)


async def test_a_personal_code_never_becomes_public(issue: Issue, pool: Pool) -> None:
    """An import of public codes that names one is refused."""
    await issue({"customer_id": "c1", "code": "MINE"})
    with pytest.raises(AppError) as caught:
        async with pool.connection() as connection:
            await put_coupons(connection, [CouponEntry(code="MINE", series="SPRING")])
    assert caught.value.stable_code == "personal_coupon"
    async with pool.connection() as connection:
        assert (await known_coupons(connection, ["MINE"]))["MINE"].customer_id == "c1"


async def test_codes_long_past_are_forgotten_and_never_issued_again(
    issue: Issue, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """45 days after their last day, and only personal ones; the rest of the right expires."""
    monkeypatch.setattr(store, "FORGET_MAX", 2)
    async with pool.connection() as connection:
        await put_coupons(
            connection, [CouponEntry(code="PUBLIC", series="S", valid_to_date="2026-01-01")]
        )
    rows = [{"customer_id": "c2", "code": f"OLD-{n}"} for n in range(5)]
    await issue(*rows)
    await issue({"customer_id": "c2", "code": "EVER"}, series=Series(name="S"))
    clock = FakeClock(wall_ms=int(datetime(2026, 7, 15, 12, tzinfo=UTC).timestamp()) * 1000)
    jobs = Jobs(pool, clock)
    assert await jobs.forget_coupons() == 0
    await jobs.expire_points()
    assert ("c2", "coupon:EVER") in await rights(pool)
    assert ("c2", "coupon:OLD-0") not in await rights(pool)
    clock.advance_ms(86_400_000)
    assert await jobs.forget_coupons() == 5
    async with pool.connection() as connection:
        left = await known_coupons(connection, ["PUBLIC", "EVER", "OLD-0"])
        found = await audit(connection)
    assert set(left) == {"PUBLIC", "EVER"}
    assert found["drift"] == 0
    with pytest.raises(InputError, match="line 1: this code is taken"):
        await issue(rows[0])


async def test_coupons_of_a_merged_customer_are_the_others(issue: Issue, pool: Pool) -> None:
    """The lease under the old name is asked back; the code is told with the new one."""
    (coupon,) = await issue({"customer_id": "c1", "code": "MINE"})
    await issue({"customer_id": "c2", "code": "OTHER"})
    async with pool.connection() as connection:
        await accounts.merge_customers(connection, "c1", "c2", now_ms=1)
        assert await merge_customers(connection, "c1", "c2", now_ms=1) == 1
        assert await merge_customers(connection, "c1", "c2", now_ms=1) == 0
        known = await known_coupons(connection, ["MINE", "OTHER"])
        cursor = await connection.execute("select state from lease")
        states = [row["state"] for row in await cursor.fetchall()]
    assert known["MINE"] == msgspec.structs.replace(coupon, customer_id="c2")
    assert known["OTHER"].customer_id == "c2"
    assert states == ["recalled"]


async def test_many_are_issued_in_pieces(
    issue: Issue, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No piece is lost between two of them."""
    monkeypatch.setattr(issuing, "_CHUNK", 7)
    coupons = await issue(*[{"customer_id": f"c{n % 3 + 1}"} for n in range(40)])
    assert len({coupon.code for coupon in coupons}) == 40
    assert sum(amount for _, amount in (await rights(pool)).values()) == 40
