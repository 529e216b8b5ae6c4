"""The state of a coupon: what the shop knows, what the till says, and whose it is."""

from __future__ import annotations

from typing import Any

import pytest

from edge_agent.checkout.filling import CouponRight, Known, fill_in
from edge_agent.checkout.policy import wanted_of
from edge_agent.leases.policy import Wanted
from shared.wire.answer import Answer, Totals
from shared.wire.feed import CouponEntry, CustomerEntry
from shared.wire.receipt_json import decode_receipt

ANNA = CustomerEntry(customer_id="anna", card_tags=[])
OWN = CouponEntry(
    code="OWN",
    series="S",
    customer_id="anna",
    valid_from_date="2026-11-01",
    valid_to_date="2026-11-30",
)
HERE, USED, ELSEWHERE = CouponRight.HERE, CouponRight.USED, CouponRight.ELSEWHERE


def state(
    right: CouponRight | None,
    *,
    customer: CustomerEntry | None = ANNA,
    said: str | None = None,
    day: str = "2026-11-23",
    entry: CouponEntry = OWN,
) -> tuple[str, tuple[str, ...]]:
    """The coupon's state, and which codes are somebody's own."""
    raw: dict[str, Any] = {
        "store": "S1",
        "time": f"{day}T12:00:00+03:00",
        "lines": [{"line": 1, "sku": "tea", "qty": "1", "price": "1.00"}],
        "coupons": [{"code": "own"} | ({} if said is None else {"state": said})],
    }
    if customer is not None:
        raw["customer"] = {"id": customer.customer_id}
    known = Known(
        coupons={"OWN": entry},
        customer=customer,
        coupon_rights={} if right is None else {"OWN": right},
    )
    filled = fill_in(raw, decode_receipt(raw), None, known)
    return filled.receipt.coupons[0].state, filled.personal


@pytest.mark.parametrize(
    ("expected", "asked"),
    [
        ("valid", {"right": HERE}),
        ("used", {"right": USED}),
        ("reserved", {"right": ELSEWHERE}),
        ("reserved", {"right": None}),
        ("unknown", {"right": HERE, "customer": None}),
        ("unknown", {"right": HERE, "customer": CustomerEntry(customer_id="b", card_tags=[])}),
        (
            "unknown",
            {
                "right": HERE,
                "customer": CustomerEntry(customer_id="anna", card_tags=[], blocked=True),
            },
        ),
        ("expired", {"right": HERE, "day": "2026-12-01"}),
        ("unknown", {"right": HERE, "day": "2026-10-31"}),
        ("reserved", {"right": ELSEWHERE, "said": "valid"}),
        ("valid", {"right": HERE, "said": "valid"}),
        ("expired", {"right": HERE, "said": "expired"}),
    ],
)
def test_a_code_of_ones_own_works_where_its_right_is(expected: str, asked: dict[str, Any]) -> None:
    """A till's word that it is valid counts for nothing; its word that it is not counts."""
    assert state(**asked) == (expected, ("OWN",))


def test_a_public_code_asks_for_nobody() -> None:
    """As before: known or not, and a till's word wins."""
    public = CouponEntry(code="OWN", series="S", valid_to_date="2026-11-30")
    assert state(None, customer=None, entry=public) == ("valid", ())
    assert state(None, entry=public, day="2026-12-01") == ("expired", ())
    assert state(None, entry=public, day="2026-12-01", said="valid") == ("valid", ())


def test_a_used_code_is_wanted_of_its_customer() -> None:
    """One use of the asset that is named after it."""
    raw = {
        "store": "S1",
        "time": "2026-11-23T12:00:00+03:00",
        "customer": {"id": "anna"},
        "lines": [{"line": 1, "sku": "tea", "qty": "1", "price": "1.00"}],
    }
    nothing = Totals(
        list_minor=0, discount_minor=0, net_minor=0, points_spent_minor=0, to_pay_minor=0
    )
    answer = Answer(
        receipt_id="r1", programme="p", version=1, optimal=True, lines=[], total=nothing
    )
    wanted = wanted_of(decode_receipt(raw), answer, (), ["OWN", "B"])
    assert wanted == [
        Wanted(owner="anna", asset="coupon:OWN", amount=1),
        Wanted(owner="anna", asset="coupon:B", amount=1),
    ]
