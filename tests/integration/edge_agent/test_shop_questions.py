"""Previews, coupons, totals and metrics at a real agent, central out of reach."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.edge_agent.test_till_api import Till, a_till, ask, refused
from tests.support.shop import TIME, a_bundle, make_shop, till_receipt


@pytest.fixture(scope="module")
def bundle() -> bytes:
    return a_bundle(1)


@pytest.fixture
async def till(tmp_path: Path, bundle: bytes) -> AsyncIterator[Till]:
    make_shop(tmp_path / "shop", bundle=bundle)
    async with a_till(tmp_path / "shop") as client:
        yield client


async def get(till: Till, path: str) -> dict[str, Any]:
    async with till.get(path) as response:
        answer: dict[str, Any] = await response.json()
        assert response.status == 200, answer
        return answer


async def test_preview_is_what_a_receipt_of_it_alone_would_cost(till: Till) -> None:
    seen = await get(till, "/v1/preview?sku=tea&price=33.33&qty=3")
    lines = [{"line": 1, "sku": "tea", "qty": "3", "price": "33.33"}]
    priced = await ask(till, "/v1/receipts/calculate", till_receipt("r", lines=lines))
    assert (seen["list"], seen["to_pay"]) == ("99.99", priced["total"]["to_pay"])
    assert seen["applied"] == ["tea"]
    assert seen["applied_with_card"] == ["tea", "back"]


@pytest.mark.parametrize(
    ("query", "state"),
    [
        ("code=good", "valid"),
        ("code=OLD", "expired"),
        ("code=NOBODY", "unknown"),
        ("code=good&card=100", "valid"),
    ],
)
async def test_coupon_is_told_as_pricing_would_see_it(till: Till, query: str, state: str) -> None:
    assert (await get(till, f"/v1/coupons?{query}"))["state"] == state


async def test_totals_are_the_sums_of_the_day(till: Till) -> None:
    """Of one register or of all; another day, a cancelled receipt and another register stay out."""
    for number, register, time in (
        (1, "R1", TIME),
        (2, "R1", TIME),
        (3, "R2", TIME),
        (4, "R1", "2026-11-22T23:59:59+03:00"),
    ):
        receipt = till_receipt(f"r{number}", register=register, time=time)
        await ask(till, f"/v1/receipts/r{number}/commit", {"receipt": receipt})
    async with till.post("/v1/receipts/r5/cancel") as response:
        assert response.status == 200
    back = {"sale": "r1", "return": {"1": "1"}, "time": TIME, "register": "R1", "money": "1.00"}
    await ask(till, "/v1/returns/b1/commit", back)

    one = await get(till, "/v1/totals?date=2026-11-23&register=R1")
    assert (one["sales"], one["to_pay"], one["discount"]) == (2, "360.00", "40.00")
    assert (one["returns"], one["returned"], one["net"]) == (1, "90.00", "270.00")
    assert one["incidents"] == 1
    every = await get(till, "/v1/totals?date=2026-11-23")
    assert (every["sales"], every["list"]) == (3, "600.00")
    for other in ("2026-11-24", "0001-01-01", "9999-12-31"):
        assert (await get(till, f"/v1/totals?date={other}"))["sales"] == 0
    for query in ("", "date=today", "date=2026-13-01"):
        async with till.get(f"/v1/totals?{query}") as response:
            assert await refused(response) == (400, "bad_query")


async def test_metrics_count_calls_by_route_and_name_no_receipt(till: Till) -> None:
    await ask(till, "/v1/receipts/secret-id/commit", {"receipt": till_receipt("secret-id")})
    async with till.get("/v1/receipts/unknown-id") as response:
        assert response.status == 404
    async with till.get("/nowhere") as response:
        assert response.status == 404
    async with till.get("/metrics") as response:
        assert response.status == 200
        text = await response.text()
    assert "secret-id" not in text
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def calls(method: str, route: str, status: str) -> float:
        labels = [("method", method), ("route", route), ("status", status)]
        return samples["kopilka_edge_calls_total", *labels]

    assert calls("POST", "/v1/receipts/{id}/commit", "200") == 1
    assert calls("GET", "/v1/receipts/{id}", "404") == 1
    assert calls("GET", "unknown", "404") == 1
    assert samples["kopilka_edge_queue_records",] == 1
    assert samples["kopilka_edge_link_online",] == 0
    assert samples["kopilka_edge_bundle_version",] == 1
    assert ("kopilka_edge_component_health", ("component", "records")) in samples
    async with till.get("/metrics", headers={"Authorization": ""}) as response:
        assert response.status == 401
