"""The same receipts and percent promotions in other engines, where they are installed.

Each promotion takes a percent off ten articles of its own, and a receipt has 50 lines, so that
every engine comes to the same sums. Peers are optional: pip install '.[bench]'. Ours is compiled.
Prints a table and writes build/bench/peers.json.
"""

from __future__ import annotations

import importlib.util
import json
import random
import sys
import time
from pathlib import Path
from typing import Any, Final

from support.measuring import fastest_ms, prepare, report, tell, worker

Doc = dict[str, Any]

LINES: Final = 50
ARTICLES_EACH: Final = 10
SIZES: Final = {"kopilka": (100, 1_000), "zen": (100, 1_000), "oscar": (100,)}
REPEATS: Final = {"kopilka": 200, "zen": 5, "oscar": 2}
NEEDS: Final = {"kopilka": "shared", "zen": "zen", "oscar": "oscar"}
NAMES: Final = {"kopilka": "Kopilka", "zen": "zen-engine", "oscar": "django-oscar"}
_PERCENTS: Final = (5, 10, 20, 25)


def _sku(promotion: int, number: int) -> str:
    return f"sku-{promotion}-{number}"


def _percent(promotion: int) -> int:
    return _PERCENTS[promotion % len(_PERCENTS)]


def basket(promotions: int) -> list[tuple[str, int]]:
    """Articles and prices in whole units, of which every percent is exact."""
    rng = random.Random(1)
    return [
        (_sku(rng.randrange(promotions), rng.randrange(ARTICLES_EACH)), rng.randint(1, 90) * 10)
        for _ in range(LINES)
    ]


def kopilka(promotions: int) -> Any:
    """Our own engine, by the same path as in engine_pricing."""
    from rules_compiler.pipeline import compile_document
    from shared.engine.evaluate import evaluate
    from shared.engine.ready import Ready
    from shared.wire.receipt_json import decode_receipt

    programme: Doc = {
        "programme": "peers",
        "version": 1,
        "currency": "RUB",
        "timezone": "Europe/Moscow",
        "promotions": [
            {
                "id": f"p{number}",
                "name": f"p{number}",
                "then": [
                    {
                        "do": "discount_goods",
                        "filter": {"sku": [_sku(number, each) for each in range(ARTICLES_EACH)]},
                        "percent": str(_percent(number)),
                    }
                ],
            }
            for number in range(promotions)
        ],
    }
    program = compile_document(json.dumps(programme).encode()).program
    assert program is not None, "it is a valid programme"
    receipt: Doc = {
        "receipt_id": "r",
        "store": "S1",
        "register": "R1",
        "time": "2026-11-23T12:00:00+03:00",
        "lines": [
            {"line": line, "sku": sku, "qty": "1", "price": f"{price}.00"}
            for line, (sku, price) in enumerate(basket(promotions), start=1)
        ],
    }
    ready, decoded = Ready(program), decode_receipt(receipt)
    sums = evaluate(ready, decoded).total
    took_ms = fastest_ms(REPEATS["kopilka"], lambda: evaluate(ready, decoded))
    return {"ms": took_ms, "discount_minor": sums.discount_minor}


def zen(promotions: int) -> Any:
    """A decision table with a row a promotion, run for each line of the receipt."""
    from zen import ZenEngine

    rules = [
        {
            "_id": f"r{number}",
            "i": ", ".join(f'"{_sku(number, each)}"' for each in range(ARTICLES_EACH)),
            "o": str(_percent(number)),
        }
        for number in range(promotions)
    ]
    table = {
        "id": "table",
        "type": "decisionTableNode",
        "name": "promotions",
        "content": {
            "hitPolicy": "first",
            "inputs": [{"id": "i", "name": "sku", "type": "expression", "field": "sku"}],
            "outputs": [{"id": "o", "name": "percent", "type": "expression", "field": "percent"}],
            "rules": rules,
            "inputField": "lines",
            "outputPath": "lines",
            "executionMode": "loop",
            "passThrough": True,
        },
    }
    graph = {
        "nodes": [
            {"id": "in", "type": "inputNode", "name": "in"},
            table,
            {"id": "out", "type": "outputNode", "name": "out"},
        ],
        "edges": [
            {"id": "a", "sourceId": "in", "targetId": "table", "type": "edge"},
            {"id": "b", "sourceId": "table", "targetId": "out", "type": "edge"},
        ],
    }
    decision = ZenEngine().create_decision(json.dumps(graph))
    lines = [{"sku": sku, "price": price} for sku, price in basket(promotions)]
    given = decision.evaluate({"lines": lines})["result"]["lines"]
    discount = sum(
        int(line["percent"]) * price["price"] for line, price in zip(given, lines, strict=True)
    )
    took_ms = fastest_ms(REPEATS["zen"], lambda: decision.evaluate({"lines": lines}))
    return {"ms": took_ms, "discount_minor": discount}


def oscar(promotions: int) -> Any:
    """An offer a promotion, each with a range of ten products; applied to one basket."""
    _django()
    from decimal import Decimal

    from oscar.core.loading import get_class, get_model
    from oscar.test import factories

    condition_of, benefit_of = get_model("offer", "Condition"), get_model("offer", "Benefit")
    range_of, offer_of = get_model("offer", "Range"), get_model("offer", "ConditionalOffer")
    prices = dict(basket(promotions))
    lines = basket(promotions)
    products: dict[str, Any] = {}
    for number in range(promotions):
        goods = range_of.objects.create(name=f"range {number}")
        for each in range(ARTICLES_EACH):
            sku = _sku(number, each)
            product = factories.create_product(upc=sku, price=Decimal(1), num_in_stock=None)
            goods.add_product(product)
            if sku in prices:
                products[sku] = product
        offer_of.objects.create(
            name=f"offer {number}",
            offer_type="Site",
            condition=condition_of.objects.create(range=goods, type="Count", value=1),
            benefit=benefit_of.objects.create(
                range=goods, type="Percentage", value=Decimal(_percent(number))
            ),
        )
    strategy = get_class("partner.strategy", "Default")()
    applicator = get_class("offer.applicator", "Applicator")()

    def priced() -> tuple[int, float]:
        cart = get_model("basket", "Basket").objects.create()
        cart.strategy = strategy
        for sku, price in lines:
            record = products[sku].stockrecords.first()
            record.price = Decimal(price)
            record.save()
            cart.add_product(products[sku], 1)
        started_ns = time.perf_counter_ns()
        applicator.apply(cart)
        total = cart.total_discount
        return int(total * 100), (time.perf_counter_ns() - started_ns) / 1e6

    runs = [priced() for _ in range(REPEATS["oscar"])]
    return {"ms": min(took_ms for _, took_ms in runs), "discount_minor": runs[0][0]}


def _django() -> None:
    """A shop in memory with oscar's own applications and nothing else."""
    import django
    import oscar as oscar_package
    from django.conf import settings
    from django.core.management import call_command
    from oscar import defaults

    chosen = {name: getattr(defaults, name) for name in dir(defaults) if name.startswith("OSCAR_")}
    apps = Path(oscar_package.__file__).parent / "apps"
    inside = [path.parent.relative_to(apps).parts for path in sorted(apps.rglob("apps.py"))]
    settings.configure(
        **chosen,
        SECRET_KEY="of no use",  # noqa: S106
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.flatpages",
            "django.contrib.sessions",
            "django.contrib.sites",
            "oscar.config.Shop",
            *[f"oscar.apps.{'.'.join(parts)}.apps.{_config(parts)}" for parts in inside],
            "treebeard",
            "haystack",
        ],
        HAYSTACK_CONNECTIONS={
            "default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}
        },
        CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        SITE_ID=1,
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)


def _config(parts: tuple[str, ...]) -> str:
    # What belongs to the dashboard says so after its own name, in the class but not in the path.
    ordered = [*parts[1:], parts[0]] if parts[0] == "dashboard" else parts
    return "".join(part.capitalize() for part in ordered) + "Config"


ENGINES: Final = {"kopilka": kopilka, "zen": zen, "oscar": oscar}


def main() -> None:
    prepare()
    figures: dict[str, Any] = {}
    rows = []
    ours: dict[int, int] = {}
    for kind, sizes in SIZES.items():
        if importlib.util.find_spec(NEEDS[kind]) is None:
            figures[kind] = None
            rows.append([NAMES[kind], "", "not installed: pip install '.[bench]'", ""])
            continue
        figures[kind] = {}
        for size in sizes:
            found = worker(__file__, kind, size, compiled=True)
            if kind == "kopilka":
                ours[size] = found["discount_minor"]
            expected = ours.get(size) or sum(
                price * _percent(int(sku.split("-")[1])) for sku, price in basket(size)
            )
            assert found["discount_minor"] == expected, f"{kind} gives {found}, not {expected}"
            figures[kind][size] = {"ms": round(found["ms"], 3)}
            rows.append([NAMES[kind], f"{size:,}", f"{found['ms']:,.2f}", "equal"])
    report(
        "peers",
        f"A receipt of {LINES} lines under percent promotions, milliseconds",
        ["", "promotions", "fastest", "sums"],
        rows,
        figures,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        tell(ENGINES[sys.argv[2]](int(sys.argv[3])))
    else:
        main()
