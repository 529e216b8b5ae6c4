"""The demo's programme document: cashback, a dozen promotions, and the panel's own coupons."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from installer.demo.dataset import CURRENCY, FIRST_DAY, LAST_DAY, TIMEZONE, Coupon, Week

VERSION: Final = 1
ACCOUNT: Final = "main"
COUPON_VALUES: Final = ("0.50", "0.75", "1.00", "1.50")
"""The panel does not tell what a coupon is worth; its last digits choose one of these."""
_FUEL: Final = ["fuel", "miscellaneous"]


def programme_of(week: Week) -> dict[str, Any]:
    """The document to publish, as JSON values."""
    lists = {_list_id(coupon): {"sku": list(coupon.skus)} for coupon in week.coupons if coupon.skus}
    return {
        "programme": "panel",
        "version": VERSION,
        "currency": CURRENCY,
        "timezone": TIMEZONE,
        "max_discount": "60",
        "groups": [
            {"id": "shelf", "resolve": "all"},
            {"id": "coupons", "resolve": "all"},
            {"id": "basket", "resolve": "all"},
            {"id": "points", "resolve": "all"},
        ],
        "accounts": [{"id": ACCOUNT, "rate": "1.00", "precision": "0.01"}],
        "product_lists": lists,
        "promotions": [
            *_shelf(week),
            *(_coupon(coupon) for coupon in week.coupons),
            *_basket(),
            *_points(),
        ],
    }


def _shelf(week: Week) -> list[dict[str, Any]]:
    active = {"from": FIRST_DAY.isoformat(), "to": LAST_DAY.isoformat()}
    return [
        {
            "id": "prices-of-the-week",
            "name": "Prices of the week",
            "group": "shelf",
            "priority": 10,
            "active": active,
            "then": [
                {
                    "do": "set_price",
                    "filter": {"sku": [best.sku]},
                    "price": _money(best.price_minor * 85 // 100),
                }
                for best in week.best_sellers
            ],
        },
        {
            "id": "produce-weekend",
            "name": "10% off fresh produce at the weekend",
            "group": "shelf",
            "active": active | {"weekdays": [6, 7]},
            "then": [
                {"do": "discount_goods", "filter": {"category": ["produce"]}, "percent": "10"}
            ],
        },
        {
            "id": "bakery-evening",
            "name": "30% off bakery after seven",
            "group": "shelf",
            "active": {"hours": [["19:00", "24:00"]]},
            "then": [{"do": "discount_goods", "filter": {"category": ["pastry"]}, "percent": "30"}],
        },
        {
            "id": "pizza-2-plus-1",
            "name": "Frozen pizza: the third is free",
            "group": "shelf",
            # Free is more than the programme's max_discount lets a promotion give.
            "ignore_floor": True,
            "then": [
                {
                    "do": "nth",
                    "filter": {"category": ["grocery/frozen-pizza"]},
                    "every": 3,
                    "grouping": "cheapest",
                }
            ],
        },
        {
            "id": "yogurt-second-half",
            "name": "Every second yogurt at half price",
            "group": "shelf",
            "then": [
                {
                    "do": "nth",
                    "filter": {"category": ["grocery/yogurt"]},
                    "every": 2,
                    "percent": "50",
                }
            ],
        },
        {
            "id": "drinks-three",
            "name": "From three soft drinks, 30 cents off each",
            "group": "shelf",
            "when": {"quantity": {"filter": {"category": ["grocery/soft-drinks"]}, "from": "3"}},
            "then": [
                {
                    "do": "discount_goods",
                    "filter": {"category": ["grocery/soft-drinks"]},
                    "amount_each": "0.30",
                    "max_qty": "12",
                }
            ],
        },
        {
            "id": "meat-members",
            "name": "8% off meat for gold and silver members",
            "group": "shelf",
            "when": {"customer": {"level": ["gold", "silver"]}},
            "then": [
                {
                    "do": "discount_goods",
                    "filter": {"category": ["meat", "meat-pckgd"]},
                    "percent": "8",
                }
            ],
        },
    ]


def _coupon(coupon: Coupon) -> dict[str, Any]:
    return {
        "id": f"coupon-{coupon.series}-{coupon.code}",
        "name": f"Coupon {coupon.code} of {coupon.series}",
        "group": "coupons",
        "active": {"from": coupon.valid_from.isoformat(), "to": coupon.valid_to.isoformat()},
        # The code names the coupon; the segment is the mailing list of its campaign.
        "when": {
            "all": [{"coupon": [coupon.code]}, {"customer": {"segment": [coupon.series]}}],
        },
        "then": [
            {
                "do": "discount_goods",
                "filter": {"list": [_list_id(coupon)]},
                "amount_each": COUPON_VALUES[int(coupon.code) % len(COUPON_VALUES)],
                "max_qty": "1",
                "choose": "dearest",
            }
        ],
    }


def _basket() -> list[dict[str, Any]]:
    goods = {"exclude": {"category": _FUEL}}
    return [
        {
            "id": "basket-50",
            "name": "2 dollars off from 50",
            "group": "basket",
            "when": {"total": {"filter": goods, "from": "50.00", "to": "99.99"}},
            "then": [{"do": "discount_receipt", "filter": goods, "amount": "2.00"}],
        },
        {
            "id": "basket-100",
            "name": "5% off from 100 dollars",
            "group": "basket",
            "when": {"total": {"filter": goods, "from": "100.00"}},
            "then": [{"do": "discount_receipt", "filter": goods, "percent": "5", "cap": "15.00"}],
        },
    ]


def _points() -> list[dict[str, Any]]:
    goods = {"exclude": {"category": _FUEL}}

    def cashback(ident: str, name: str, percent: str, **more: Any) -> dict[str, Any]:
        return {
            "id": ident,
            "name": name,
            "group": "points",
            **more,
            "then": [
                {"do": "accrue_points", "account": ACCOUNT, "percent": percent, "filter": goods}
            ],
        }

    return [
        {
            "id": "pay-with-points",
            "name": "Pay up to 30% with points",
            "group": "points",
            "then": [
                {
                    "do": "spend_points",
                    "account": ACCOUNT,
                    "filter": goods,
                    "max_percent": "30",
                }
            ],
        },
        cashback(
            "base-cashback", "1% back", "1", when={"customer": {"identified": True}}, priority=10
        ),
        cashback("gold-cashback", "Gold: 2% more", "2", when={"customer": {"level": ["gold"]}}),
        cashback(
            "silver-cashback", "Silver: 1% more", "1", when={"customer": {"level": ["silver"]}}
        ),
        cashback(
            "tuesday-points",
            "1% more on Tuesday",
            "1",
            active={"weekdays": [2]},
            when={"customer": {"identified": True}},
        ),
    ]


def _list_id(coupon: Coupon) -> str:
    return f"goods-{coupon.series}-{coupon.code}"


def _money(minor: int) -> str:
    return str(Decimal(minor).scaleb(-2))
