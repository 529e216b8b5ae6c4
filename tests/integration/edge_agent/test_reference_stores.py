"""What a shop knows of goods and members, in a real SQLite file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from edge_agent.catalogue import store as catalogue
from edge_agent.database.connection import open_writer
from edge_agent.loyalty import store as loyalty
from shared.crypto.tags import card_tag
from shared.wire.feed import (
    BalanceEntry,
    CouponEntry,
    CustomerEntry,
    ProductEntry,
    StoreEntry,
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    opened = open_writer(tmp_path / "edge.sqlite")
    yield opened
    opened.close()


def test_receipt_gets_the_products_and_coupons_it_names(connection: apsw.Connection) -> None:
    """Known ones come back whole; unknown ones are left out; codes match in any case."""
    milk = ProductEntry(sku="milk", name="Молоко", category="1.2", attributes={"fat": "3.2"})
    code = CouponEntry(code="SPRING", series="s1", valid_to_date="2026-06-01")
    catalogue.put_product(connection, ProductEntry(sku="milk", name="old"))
    catalogue.put_product(connection, milk)
    catalogue.put_product(connection, ProductEntry(sku="bread", name="Хлеб"))
    catalogue.put_coupon(connection, code)

    assert catalogue.products_of(connection, ["milk", "none", "milk"]) == {"milk": milk}
    assert catalogue.products_of(connection, []) == {}
    assert catalogue.coupons_of(connection, ["spring", "x"]) == {"SPRING": code}
    catalogue.forget_product(connection, "milk")
    catalogue.forget_coupon(connection, "SPRING")
    assert catalogue.products_of(connection, ["milk"]) == {}
    assert catalogue.coupons_of(connection, ["SPRING"]) == {}


def test_store_is_known_after_central_told_of_it(connection: apsw.Connection) -> None:
    """Time zone and currency come from the feed."""
    entry = StoreEntry(store_id="S1", name="One", timezone="Europe/Moscow", currency="RUB")
    assert catalogue.store_of(connection, "S1") is None
    catalogue.put_store(connection, entry)
    assert catalogue.store_of(connection, "S1") == entry
    catalogue.forget_store(connection, "S1")
    assert catalogue.store_of(connection, "S1") is None


def test_card_leads_to_the_member_who_had_it_last(connection: apsw.Connection) -> None:
    """A card that moved, or was dropped, no longer leads to its former member."""
    first, second = card_tag("111"), card_tag("222")
    loyalty.put_customer(connection, CustomerEntry(customer_id="c1", card_tags=[first, second]))
    other = CustomerEntry(customer_id="c2", card_tags=[first], segments=["vip"])
    loyalty.put_customer(connection, other)
    assert loyalty.customer_by_card(connection, card_tag(" 111 ")) == other

    loyalty.put_customer(connection, CustomerEntry(customer_id="c1", card_tags=[]))
    assert loyalty.customer_by_card(connection, second) is None
    assert loyalty.customer_by_id(connection, "c1") is not None

    loyalty.forget_customer(connection, "c2")
    assert loyalty.customer_by_card(connection, first) is None
    assert loyalty.customer_by_id(connection, "c2") is None


def test_balances_are_kept_by_account(connection: apsw.Connection) -> None:
    """The last told value of each account stands."""
    for account, available_centi in (("main", 500), ("gift", 10), ("main", 700)):
        loyalty.put_balance(
            connection,
            BalanceEntry(
                customer_id="c/1", account=account, available_centi=available_centi, as_of_ms=1
            ),
        )
    assert loyalty.balances_of(connection, "c/1") == {"gift": 10, "main": 700}
    loyalty.forget_balance(connection, "c/1", "gift")
    assert loyalty.balances_of(connection, "c/1") == {"main": 700}
