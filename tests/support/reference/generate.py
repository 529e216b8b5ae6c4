"""Random small programmes and receipts in which promotions get in each other's way.

`a_programme(rng)` and `a_receipt(rng, programme)`, with a seeded `random.Random`. Few articles, few
categories, awkward prices and percents; floors, flags, coupons, balances, usage and claims. The
documents keep to section 11. Receipts for a programme with a `best` group stay small enough for
the exhaustive search of the reference. `wide` mixes more: several results of one promotion in
`best`, several promotions on a counter, more groups, lines and pieces, claims with a cost, more
accounts. Without it a seed gives for ever what it gave first, so failed seeds can be kept.
"""

from __future__ import annotations

import random
from typing import Any

from . import generate_results as results

Doc = dict[str, Any]

ARTICLES: dict[str, Doc] = {
    "milk": {"category": "food/dairy/milk", "brand": "Prosto"},
    "kefir": {"category": "food/dairy", "brand": "Acme"},
    "bread": {"category": "food/bakery", "brand": "Acme", "attrs": {"fresh": "2"}},
    "cup": {"category": "home"},
    "soap": {"category": "home/bath", "brand": "Prosto", "attrs": {"season": "SS26"}},
}
PRICES = ["100.00", "33.33", "33.33", "99.99", "0.99", "45.45", "1000.00", "66.67", "10.00", "0.01"]
LEVELS = ["Gold", "Silver"]


def maybe(rng: random.Random, chance: float) -> bool:
    return rng.random() < chance


def a_filter(rng: random.Random, depth: int = 1) -> Doc:
    """A filter; often empty or one key."""
    choice = rng.random()
    if choice < 0.25:
        return {}
    keys: Doc = {}
    for _ in range(1 if choice < 0.85 else 2):
        keys |= rng.choice(
            [
                {"sku": rng.sample(sorted(ARTICLES), rng.randint(1, 3))},
                {"sku": rng.sample(sorted(ARTICLES), 2)},
                {"category": [rng.choice(["food", "food/dairy", "home", "food/bakery"])]},
                {"category": [rng.choice(["food", "home"])]},
                {"brand": [rng.choice(["Acme", "Prosto"])]},
                {"list": ["picked"]},
                {"price": rng.choice([["30.00", None], [None, "99.99"], ["33.33", "100.00"]])},
                {"discounted": maybe(rng, 0.3)},
                {"favourite": maybe(rng, 0.7)},
                {"attrs": rng.choice([{"season": ["SS26"]}, {"fresh": {"to": "3"}}])},
                {"flags": ["excise_alcohol"]},
            ]
        )
    if depth and maybe(rng, 0.15):
        keys["exclude"] = a_filter(rng, depth - 1) or {"sku": ["cup"]}
    return keys


def a_leaf(rng: random.Random, ids: list[str]) -> Doc:
    """One leaf of a condition."""
    goods: Doc = {"filter": a_filter(rng)} if maybe(rng, 0.6) else {}
    customer: Doc = rng.choice(
        [
            {"identified": maybe(rng, 0.7)},
            {"segment": ["young"]},
            {"not_segment": ["young"]},
            {"level": ["Gold"]},
            {"age": [18, None]},
            {"registered_days": [None, 30]},
            {"last_purchase_days": [None, 10]},
            {"purchase_number": rng.choice([1, {"every": 2}])},
            {"spent": {"window": "30d", "from": "500.00", "with_current": maybe(rng, 0.5)}},
            {"control": False},
        ]
    )
    low = rng.choice(["50.00", "100.00", "199.98", "33.33"])
    total = goods | {"from": low}
    if maybe(rng, 0.3):
        total["base"] = rng.choice(["running", "list"])
    leaves: list[Doc] = [
        {"total": total},
        {"total": goods | {"from": None, "to": "300.00"}},
        {"quantity": goods | {"from": str(rng.randint(1, 4))}},
        {"quantity": goods | {"from": "3", "unit": "base"}},
        {"distinct": goods | {"from": str(rng.randint(1, 3))}},
        {"any_line": goods | {"qty": [str(rng.randint(1, 3)), None]}},
        {"customer": customer},
        {"customer": customer},
        {"birthday": {"before": 3, "after": 3, "of": rng.choice(["self", "child"])}},
        {"coupon": [rng.choice(["WELCOME", "C-1"])]},
        {"payment": rng.choice([{"type": ["card"]}, {"bin": ["2200"], "from": "10.00"}])},
        {"counter": {"id": "coffee", "from": 3}},
        {"counter": {"id": "coffee", "from": 5, "with_current": a_filter(rng)}},
        {"counter": {"id": "cup", "every": 3}},
        {"points": {"account": "main", "from": "50"}},
        {"chips": {"account": "cats", "from": "3", "to": None}},
        {"store": [rng.choice([{"group": "north"}, "S1", "S9"])]},
        {"channel": ["pos", "sco"]},
        {"online": True},
    ]
    if ids:
        leaves += [{rng.choice(["applied", "not_applied"]): [rng.choice(ids)]}] * 4
    return rng.choice(leaves)


def a_condition(rng: random.Random, ids: list[str]) -> Doc:
    shape = rng.random()
    if shape < 0.7:
        return a_leaf(rng, ids)
    if shape < 0.8:
        return {"not": a_leaf(rng, ids)}
    return {rng.choice(["all", "any"]): [a_leaf(rng, ids), a_leaf(rng, ids)]}


def limits_of(rng: random.Random, *, goods: bool, money: bool) -> Doc:
    """Limits that bind often."""
    per = rng.choice(["day", "month", "lifetime"])
    found: Doc = {}
    kind = rng.random()
    if kind < 0.4:
        found["per_receipt"] = rng.randint(1, 3)
    elif kind < 0.5:
        found["per_customer"] = {"times": rng.randint(1, 2), "per": per}
    elif kind < 0.65 and goods:
        found["per_customer"] = {"qty": rng.randint(1, 4), "per": per}
    elif kind < 0.8 and money:
        found["per_customer"] = {"discount": rng.choice(["20.00", "33.33", "7.77"]), "per": per}
    elif kind < 0.9 and money:
        found["total"] = {"discount": rng.choice(["20.00", "55.55"])}
    else:
        found["total"] = {"times": 10}
    if maybe(rng, 0.2) and (goods or money):
        found["on_excess"] = rng.choice(["skip", "cut"])
    return found


def a_promotion(
    rng: random.Random, number: int, group: Doc, ids: list[str], taste: results.Taste
) -> Doc:
    """A promotion of one or two results."""
    competing = group["resolve"] in ("sum", "best")
    promo: Doc = {"id": f"P{number}", "name": f"P{number}", "group": group["id"]}
    promo["priority"] = rng.choice([10, 20, 20, 100])
    stages = rng.choices(
        ["goods", "receipt", "spend", "round", "accrue", "inform"], [60, 15, 5, 5, 10, 5], k=2
    )
    wide = taste.wide
    then = [results.a_result(rng, stages[0], a_filter, taste)]
    both = wide or not (group["resolve"] == "best" and stages == ["goods", "goods"])
    if maybe(rng, 0.25) and both:
        then.append(results.a_result(rng, stages[1], a_filter, taste))
    if wide and maybe(rng, 0.2):
        then.append(results.a_result(rng, "goods", a_filter, taste))
    promo["then"] = then
    if maybe(rng, 0.35):
        promo["when"] = a_condition(rng, ids)
    for flag, chance in (
        ("stack", 0.12),
        ("closes", 0.12),
        ("forbid_spend", 0.1),
        ("forbid_accrual", 0.1),
        ("ignore_floor", 0.15),
        ("ignore_soft", 0.15),
        ("on_claim", 0.08),
    ):
        if maybe(rng, chance):
            promo[flag] = True
    if maybe(rng, 0.15):
        promo["only_one_of"] = "family"
    if maybe(rng, 0.1):
        promo["hint"] = "one more"
    if maybe(rng, 0.05):
        promo["active"] = rng.choice(
            [
                {"weekdays": [1, 2]},
                {"hours": [["22:00", "02:00"]], "weekdays": [7]},
                {"from": "2026-11-01", "to": "2026-11-23"},
                {"from": "2026-11-23T12:00:00+03:00"},
            ]
        )
    kinds = {results.STAGES[r["do"]] for r in then}
    if maybe(rng, 0.25):
        goods, money = "goods" in kinds, bool(kinds & {"goods", "receipt", "round"})
        promo["limits"] = limits_of(rng, goods=goods, money=money)
    if not competing and maybe(rng, 0.06):
        promo["cost"] = {"account": "main", "points": rng.choice(["50", "30.5"])}
    if wide and not competing and maybe(rng, 0.12):
        account = rng.choice(["main", "bonus", "gold"])
        promo["cost"] = {"account": account, "points": rng.choice(["50", "12.5", "300"])}
        promo["on_claim"] = maybe(rng, 0.7)
    if wide and maybe(rng, 0.1):
        promo["only_one_of"] = "second family"
    return promo


def a_programme(rng: random.Random, *, wide: bool = False) -> Doc:
    """A valid programme of one to five promotions in one or two groups; up to eight, `wide`."""
    names = ["main", "second"][: rng.choice([1, 1, 2])]
    if wide and maybe(rng, 0.4):
        names.append("third")
    groups = [{"id": n, "resolve": rng.choice(["all", "sum", "first", "best"])} for n in names]
    promotions: list[Doc] = []
    taste = results.Taste(wide)
    most = rng.choice([1, 2, 2, 3, 3, 4, 5]) + (rng.randint(0, 3) if wide else 0)
    for number in range(1, most + 1):
        ids = [p["id"] for p in promotions]
        promotions.append(a_promotion(rng, number, rng.choice(groups), ids, taste))
    programme: Doc = {
        "programme": "random",
        "version": 1,
        "currency": "RUB",
        "timezone": "Europe/Moscow",
        "groups": groups,
        "accounts": [{"id": "main"}, {"id": "bonus", "rate": "0.10", "precision": "1"}],
        "chips": ["cats"],
        "store_groups": {"north": ["S1", "S2"]},
        "product_lists": {"picked": {"sku": rng.sample(sorted(ARTICLES), 2)}},
        "promotions": promotions,
    }
    if maybe(rng, 0.2):
        programme["max_discount"] = rng.choice(["50", "33.3333", "80"])
    if maybe(rng, 0.15):
        programme["spend_as"] = "payment"
    if maybe(rng, 0.1):
        programme["hints"] = {"pieces": 1, "percent": "33.3333"}
    if wide:
        programme["accounts"].append({"id": "gold", "rate": "0.33", "precision": "0.1"})
        programme["chips"].append("dogs")
        listed = a_filter(rng, 0) or {"brand": ["Prosto"]}
        for key in ("list", "favourite", "discounted"):
            listed.pop(key, None)
        programme["product_lists"]["picked"] = listed
        programme["store_groups"]["north"] = rng.sample(["S1", "S2", "S3"], 2)
    return programme


def a_line(rng: random.Random, number: int, most: int) -> Doc:
    sku = rng.choice(sorted(ARTICLES))
    line: Doc = {"line": number, "sku": sku, **ARTICLES[sku], "price": rng.choice(PRICES)}
    if maybe(rng, 0.15):
        line |= {"qty": rng.choice(["0.532", "1.337", "2"]), "weighed": True}
    else:
        line["qty"] = str(rng.randint(1, most))
    if maybe(rng, 0.12):
        line["flags"] = [rng.choice(["tobacco", "gift_card", "no_discount", "excise_alcohol"])]
    price = int(line["price"].replace(".", ""))
    if maybe(rng, 0.2):
        low = price * rng.choice([5, 8, 9]) // 10
        line["min_price"] = f"{low // 100}.{low % 100:02d}"
    if maybe(rng, 0.2):
        line["max_discount"] = rng.choice(["10", "12.5", "33.3333", "40"])
    if maybe(rng, 0.12):
        line["soft"] = {"max_discount": rng.choice(["5", "15"])}
    if maybe(rng, 0.2):
        low = price * 8 // 10
        line["prices"] = {"card": f"{low // 100}.{low % 100:02d}"}
    if maybe(rng, 0.1):
        line["base_qty"] = "6"
    return line


def a_wide_line(rng: random.Random, number: int, most: int) -> Doc:
    """A line that may be of any price and hold many pieces."""
    line = a_line(rng, number, most)
    if maybe(rng, 0.4):
        kopecks = rng.randint(1, 20_000)
        line["price"] = f"{kopecks // 100}.{kopecks % 100:02d}"
        line.pop("min_price", None)
    if most > 4 and "weighed" not in line and maybe(rng, 0.2):
        line["qty"] = str(rng.randint(7, 40))
    if maybe(rng, 0.1):
        line["soft"] = {"min_price": line["price"]}
    return line


def a_customer(rng: random.Random, programme: Doc) -> Doc | None:
    if maybe(rng, 0.15):
        return None
    customer: Doc = {
        "id": "c1",
        "points": {"main": rng.choice(["150.00", "33.33", "1000"]), "bonus": "777"},
        "chips": {"cats": rng.randint(0, 12)},
        "counters": {"coffee": rng.randint(0, 6), "cup": rng.randint(0, 3)},
    }
    extra: Doc = {
        "segments": ["young"],
        "level": rng.choice(LEVELS),
        "birthday": rng.choice(["1990-11-25", "2020-02-29", "1961-11-23"]),
        "children": ["2020-11-21"],
        "registered": "2026-11-09",
        "purchases": rng.randint(0, 3),
        "last_purchase": "2026-11-20",
        "spent": {"30d": "450.00"},
        "favourites": ["milk", "cup"],
        "control": maybe(rng, 0.3),
        "points_today": {"main": rng.choice(["5.00", "20.00"])},
    }
    customer |= {k: v for k, v in extra.items() if maybe(rng, 0.5)}
    usage: Doc = {}
    for promo in programme["promotions"]:
        limit = (promo.get("limits") or {}).get("per_customer")
        if limit and maybe(rng, 0.6):
            per = limit["per"]
            usage[promo["id"]] = {
                per: rng.randint(0, 1),
                f"qty_{per}": str(rng.randint(0, 2)),
                f"discount_{per}": rng.choice(["5.00", "0.00"]),
            }
    return customer | ({"usage": usage} if usage else {})


def a_receipt(rng: random.Random, programme: Doc, *, wide: bool = False) -> Doc:
    """A receipt of one to five lines for this programme; up to ten, `wide`."""
    small = any(g["resolve"] == "best" for g in programme["groups"])
    number = rng.randint(1, 4 if small else 5)
    if wide:
        number = rng.randint(1, 6 if small else 10)
    line = a_wide_line if wide else a_line
    receipt: Doc = {
        "receipt_id": "r-1",
        "store": rng.choice(["S1", "S3"]),
        "register": "R1",
        "time": rng.choice(["2026-11-23T12:00:00+03:00", "2026-11-23T01:30:00+03:00"]),
        "customer": a_customer(rng, programme),
        "lines": [
            line(rng, i, rng.choice([2, 3, 4]) if small else 6) for i in range(1, number + 1)
        ],
    }
    if maybe(rng, 0.4):
        coupon = {"code": rng.choice(["c-1", "x"]), "series": "WELCOME"}
        receipt["coupons"] = [coupon | ({"state": "used"} if maybe(rng, 0.2) else {})]
    if maybe(rng, 0.3):
        receipt["payments"] = [{"type": "card", "bin": "220012", "amount": "500.00"}]
    if maybe(rng, 0.6):
        points = rng.choice(["max", "max", "25.00", "100"])
        receipt["spend"] = {"account": rng.choice(["main", "main", "bonus"]), "points": points}
    if maybe(rng, 0.2):
        receipt["chips"] = {"cats": rng.randint(1, 10)}
    if maybe(rng, 0.5):
        receipt["manual"] = {"percent": rng.choice(["5", "12.5", "30"]), "permission": "senior"}
        if maybe(rng, 0.6):
            receipt["manual"]["lines"] = sorted(rng.sample(range(1, number + 1), 1))
    if maybe(rng, 0.6):
        receipt["external"] = {"partner": {"amount": rng.choice(["50.00", "3.33"])}}
    claims = {p["id"]: rng.randint(1, 3) for p in programme["promotions"] if p.get("on_claim")}
    if claims and maybe(rng, 0.85):
        receipt["claims"] = claims
    usage: Doc = {}
    for promo in programme["promotions"]:
        if (promo.get("limits") or {}).get("total") and maybe(rng, 0.7):
            usage[promo["id"]] = {"total": rng.choice([9, 10]), "discount_total": "10.00"}
    if usage:
        receipt["usage"] = usage
    if maybe(rng, 0.1):
        receipt["online"] = False
    if wide:
        if receipt["customer"] is not None:
            receipt["customer"]["points"]["gold"] = "99.9"
            receipt["customer"]["chips"]["dogs"] = rng.randint(0, 9)
        if maybe(rng, 0.3):
            receipt["spend"] = {"account": "gold", "points": rng.choice(["max", "33.3"])}
        rng.shuffle(receipt["lines"])
    return receipt
