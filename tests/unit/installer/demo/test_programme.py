"""The demo's document: complete and consistent in itself."""

from __future__ import annotations

import json

from installer.demo.dataset import load_week
from installer.demo.programme import programme_of

ALLOWED_RESULTS = {
    "discount_goods",
    "set_price",
    "nth",
    "discount_receipt",
    "accrue_points",
    "spend_points",
}


def test_document_refers_only_to_what_it_declares() -> None:
    """Groups, lists and accounts are declared; ids are unique; every kind of result is there."""
    document = programme_of(load_week(seed=1))
    promotions = document["promotions"]
    results = [result for promotion in promotions for result in promotion["then"]]

    ids = [promotion["id"] for promotion in promotions]
    lists = {name for result in results for name in result.get("filter", {}).get("list", [])}
    accounts = {result["account"] for result in results if "account" in result}

    assert len(ids) == len(set(ids))
    assert {promotion["group"] for promotion in promotions} <= {
        group["id"] for group in document["groups"]
    }
    assert lists == set(document["product_lists"])
    assert accounts == {account["id"] for account in document["accounts"]}
    assert {result["do"] for result in results} == ALLOWED_RESULTS


def test_own_promotions_and_the_panels_coupons_are_there() -> None:
    """A dozen promotions beside the coupons, and no float anywhere in the document."""
    document = programme_of(load_week(seed=1))
    own = [each for each in document["promotions"] if not each["id"].startswith("coupon-")]

    def refuse(text: str) -> float:
        raise AssertionError(text)

    json.loads(json.dumps(document), parse_float=refuse)
    assert len(own) >= 12
    assert len(document["promotions"]) - len(own) > 100
