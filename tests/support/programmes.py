"""Programme documents for tests, as JSON values; a test adds its ``version``."""

from __future__ import annotations

from typing import Any, Final

TEA_AND_POINTS: Final[dict[str, Any]] = {
    "programme": "shops",
    "currency": "RUB",
    "timezone": "Europe/Moscow",
    "groups": [{"id": "shelf", "resolve": "all"}, {"id": "points", "resolve": "all"}],
    "accounts": [{"id": "main", "rate": "1.00", "precision": "0.01"}],
    "promotions": [
        {
            "id": "tea",
            "name": "Tea cheaper",
            "group": "shelf",
            "then": [{"do": "discount_goods", "filter": {"sku": ["tea"]}, "percent": "10"}],
        },
        {
            "id": "pay-with-points",
            "name": "Pay with points",
            "group": "points",
            "then": [{"do": "spend_points", "account": "main", "max_percent": "50"}],
        },
        {
            "id": "back",
            "name": "Three percent back",
            "group": "points",
            "when": {"customer": {"identified": True}},
            "then": [{"do": "accrue_points", "account": "main", "percent": "3"}],
        },
    ],
}
"""A tenth off tea; members pay up to a half with points and earn three percent."""
