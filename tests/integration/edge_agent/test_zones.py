"""A register whose clock speaks in another zone than its shop's is told of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.catalogue.store import put_store
from edge_agent.checkout.zones import ZoneWatch, other_zone
from edge_agent.config import DATABASE_FILE
from edge_agent.database.connection import open_writer
from edge_agent.database.reader import Reader
from shared.status import Health
from shared.wire.feed import StoreEntry
from tests.integration.edge_agent.test_till_api import Till, a_till, ask
from tests.support.shop import STORE, a_bundle, make_shop, till_receipt

ZONES = ("Europe/Moscow", "Asia/Yekaterinburg", "Europe/Berlin", "Asia/Kolkata")


@pytest.fixture(scope="module")
def bundle() -> bytes:
    return a_bundle(1)


@given(
    st.integers(946_684_800, 2_208_988_800),
    st.sampled_from(ZONES),
    st.integers(-14 * 4, 14 * 4),
)
def test_only_the_offset_of_that_instant_is_right(epoch_s: int, name: str, quarters: int) -> None:
    """Summer and winter time are the zone's affair; every other offset is another zone."""
    zone = ZoneInfo(name)
    right = datetime.fromtimestamp(epoch_s, UTC).astimezone(zone)
    assert other_zone(right.isoformat(), zone) is None
    told = right.astimezone(timezone(timedelta(minutes=15 * quarters)))
    found = other_zone(told.isoformat(), zone)
    assert (found is None) == (told.utcoffset() == right.utcoffset())
    if found is not None:
        assert datetime.fromisoformat(f"2026-01-01T00:00:00{found.told}").utcoffset() == (
            told.utcoffset()
        )


def test_what_is_no_time_is_no_alarm() -> None:
    assert other_zone("yesterday", ZoneInfo("Europe/Moscow")) is None


async def sell(till: Till, number: int, register: str, time: str) -> None:
    receipt = till_receipt(f"r{number}", register=register, time=time)
    await ask(till, f"/v1/receipts/r{number}/commit", {"receipt": receipt})


async def told_of(reader: Reader, watch: ZoneWatch) -> tuple[Health, str]:
    await watch.look()
    status = watch.status()
    return status.health, status.message


async def test_newest_sale_of_a_register_decides(tmp_path: Path, bundle: bytes) -> None:
    """It is said while it is so, over a start too, and no longer."""
    shop = tmp_path / "shop"
    make_shop(shop, bundle=bundle)
    async with a_till(shop) as till:
        await sell(till, 1, "R1", "2026-11-23T12:00:00+03:00")
        await sell(till, 2, "R2", "2026-11-23T14:00:00+05:00")
        reader = Reader(shop / DATABASE_FILE)
        watch = ZoneWatch(reader, STORE)
        assert await told_of(reader, watch) == (Health.OK, "")  # nobody said where the shop is
        place(shop, "Europe/Moscow")
        wrong = (Health.WARN, "register R2 says +05:00, the shop's zone +03:00")
        assert await told_of(reader, watch) == wrong
        assert await told_of(reader, ZoneWatch(reader, STORE)) == wrong
        await sell(till, 3, "R1", "2026-11-23T12:01:00+03:00")
        assert await told_of(reader, watch) == wrong
        await sell(till, 4, "R2", "2026-11-23T12:02:00+03:00")
        assert await told_of(reader, watch) == (Health.OK, "")
        reader.close()


async def test_shop_that_moved_to_another_zone_is_told_by_its_tills(
    tmp_path: Path, bundle: bytes
) -> None:
    """Head office has changed the zone, and the registers have not; three are named."""
    shop = tmp_path / "shop"
    make_shop(shop, bundle=bundle)
    async with a_till(shop) as till:
        for number in range(5):
            await sell(till, number, f"R{number}", "2026-11-23T12:00:00+03:00")
        place(shop, "Asia/Yekaterinburg")
        reader = Reader(shop / DATABASE_FILE)
        watch = ZoneWatch(reader, STORE)
        health, message = await told_of(reader, watch)
        assert health is Health.WARN
        assert message.startswith("register R4 says +03:00, the shop's zone +05:00; register R3")
        assert message.endswith("; and 2 more")
        reader.close()


async def test_agent_says_it_in_its_status(tmp_path: Path, bundle: bytes) -> None:
    """The loop looks by itself, from the sales before the start on."""
    shop = tmp_path / "shop"
    make_shop(shop, bundle=bundle)
    place(shop, "Asia/Kolkata")
    async with a_till(shop) as till:
        await sell(till, 1, "R1", "2026-11-23T12:00:00+03:00")
    async with a_till(shop) as till:
        found: dict[str, Any] = {}
        while found.get("health") != "warn":
            async with till.get("/v1/status") as response:
                components = (await response.json())["components"]
            found = next(each for each in components if each["component"] == "zone")
        assert found["message"] == "register R1 says +03:00, the shop's zone +05:30"


def place(shop: Path, zone: str) -> None:
    connection = open_writer(shop / DATABASE_FILE)
    put_store(connection, StoreEntry(store_id=STORE, name="Shop", timezone=zone, currency="RUB"))
    connection.close()
