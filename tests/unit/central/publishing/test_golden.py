"""Receipts that travel to every shop are nobody's."""

from __future__ import annotations

import msgspec

from central.publishing.golden import asked_by, nobodys
from shared.engine.program import (
    EVERYTHING,
    AllOf,
    AnyOf,
    Attribute,
    Birthday,
    Condition,
    CustomerIs,
    DiscountGoods,
    Group,
    Not,
    Program,
    Promotion,
    Resolve,
    Span,
)
from shared.wire.receipt import Coupon, Customer, Payment, Receipt, ReceiptLine

PERSONAL = Receipt(
    receipt_id="S1-2026-000123",
    store="S1",
    time="2026-11-23T12:00:00+03:00",
    lines=[ReceiptLine(line=1, sku="tea", quantity_milli=1000, price_minor=9990)],
    customer=Customer(
        id="mem_anna",
        segments=["regular"],
        level="gold",
        gender="female",
        birthday="1984-02-29",
        children=["2015-05-05"],
        registered="2019-01-02",
        purchases=17,
        last_purchase="2026-11-01",
        attributes={"email": "anna@example.org", "club": "wine"},
        organisation="Anna and Co",
        points_centi={"main": 12_345},
        counters={"coffee": 7},
    ),
    coupons=[Coupon(code="ANNA-7F3K", series="AUTUMN"), Coupon(code="OLD-1", state="used")],
    payments=[Payment(type="card", bin="22001234", amount_minor=9990)],
)
SECRETS = (
    "000123", "anna", "Anna", "1984", "2015-05", "2019-01", "2026-11-01", "female", "example.org",
    "wine", "7F3K", "OLD-1", "22001234",
)  # fmt: skip


def programme(*conditions: Condition) -> Program:
    result = DiscountGoods(filter=EVERYTHING, percent_ppm=10_000)
    return Program(
        programme="shops",
        version=1,
        currency="RUB",
        timezone="Europe/Moscow",
        groups=[
            Group(
                id="main",
                resolve=Resolve.ALL,
                promotions=[
                    Promotion(id=f"p{number}", results=[result], when=condition)
                    for number, condition in enumerate(conditions)
                ],
            )
        ],
        accounts=[],
    )


def test_nothing_points_at_a_person() -> None:
    """Ids, codes and every personal fact are gone; what pricing needs is there."""
    stripped = nobodys(PERSONAL, "golden-1", asked_by(programme(CustomerIs(identified=True))))
    text = msgspec.json.encode(stripped).decode() + repr(stripped)

    assert [secret for secret in SECRETS if secret in text] == []
    assert stripped.receipt_id == "golden-1"
    assert stripped.lines == PERSONAL.lines
    assert stripped.coupons == [
        Coupon(code="GOLDEN-1", series="AUTUMN"),
        Coupon(code="GOLDEN-2", state="used"),
    ]
    assert stripped.payments == [Payment(type="card", bin="220012", amount_minor=9990)]
    assert stripped.customer == Customer(
        segments=["regular"],
        level="gold",
        purchases=17,
        points_centi={"main": 12_345},
        counters={"coffee": 7},
    )


def test_what_some_promotion_asks_stays() -> None:
    """However deep a condition stands, what it asks is kept, and no more than that."""
    asked = asked_by(
        programme(
            AllOf(parts=[Not(part=Birthday(before_days=1, after_days=1))]),
            AnyOf(
                parts=[
                    CustomerIs(genders=frozenset({"female"}), registered_days=Span(low=1)),
                    CustomerIs(attributes=[Attribute(key="club", values=frozenset({"wine"}))]),
                ]
            ),
        )
    )
    customer = nobodys(PERSONAL, "golden-1", asked).customer

    assert customer is not None
    assert (customer.birthday, customer.gender, customer.registered) == (
        "1984-02-29",
        "female",
        "2019-01-02",
    )
    assert customer.attributes == {"club": "wine"}
    assert (customer.id, customer.children, customer.organisation, customer.last_purchase) == (
        None,
        [],
        None,
        None,
    )


def test_a_stranger_stays_a_stranger() -> None:
    """A receipt without a customer gets none."""
    stranger = msgspec.structs.replace(PERSONAL, customer=None)

    assert nobodys(stranger, "golden-1", asked_by(programme())).customer is None
