"""Wire central together: the only place that knows every room."""

from __future__ import annotations

import asyncio
import base64
import re
import signal
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from central import config as files
from central.accounts import service as accounts
from central.accounts import store as ledger
from central.catalogue.store import put_products
from central.config import CentralConfig
from central.coupons.store import put_coupons
from central.customers.store import put_customers
from central.database.pool import Pool, open_pool
from central.jobs.schedule import Jobs
from central.publishing.replay import Replay
from central.publishing.service import Publishing
from central.receipts import store as receipts
from central.uplink.enrol import Enrolment
from central.uplink.ingest import Ingest
from central.uplink.server import Uplink
from central.web.app import WebSettings, make_web_app
from shared.crypto.signing import Signer
from shared.crypto.tags import card_tag
from shared.errors import InputError
from shared.system import SystemChance, SystemClock
from shared.wire.enrol import TrustedKey
from shared.wire.feed import CouponEntry, CustomerEntry, ProductEntry

IMPORT_CHUNK: Final = 500
"""Rows a transaction: a long one would hold back every reader of the feed."""
_DECIMAL = re.compile(r"(\d{1,12})(?:\.(\d+))?")
_T = TypeVar("_T", bound=msgspec.Struct)


class CustomerRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of customers.jsonl; points are decimal strings by account."""

    customer_id: str
    cards: list[str] = []
    home_store: str | None = None
    segments: list[str] = []
    level: str | None = None
    points: dict[str, str] = {}


class ProductRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of products.jsonl; ``min_price`` and ``max_discount`` are decimal strings."""

    sku: str
    name: str
    category: str | None = None
    brand: str | None = None
    attributes: dict[str, str] = {}
    flags: list[str] = []
    weighed: bool = False
    min_price: str | None = None
    max_discount: str | None = None


class CouponRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of coupons.jsonl; dates are ISO, inclusive."""

    code: str
    series: str
    valid_from: str | None = None
    valid_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Central:
    """Central's services over one database."""

    pool: Pool
    clock: SystemClock
    chance: SystemChance
    publishing: Publishing
    replay: Replay
    enrolment: Enrolment


@asynccontextmanager
async def open_central(folder: Path, config: CentralConfig) -> AsyncIterator[Central]:
    """The services of a folder, for a command or for the server."""
    signer = Signer(base64.b64decode((folder / files.SIGNING_KEY_FILE).read_bytes()))
    clock, chance = SystemClock(), SystemChance()
    async with open_pool(config.database_url) as pool:
        yield Central(
            pool=pool,
            clock=clock,
            chance=chance,
            publishing=Publishing(pool, clock, signer),
            replay=Replay(pool, signer),
            enrolment=Enrolment(
                pool,
                clock,
                chance,
                [TrustedKey(key_id=signer.key_id, public_key=signer.public_key)],
            ),
        )


async def serve(folder: Path, config: CentralConfig) -> None:
    """Run both listeners and the timers until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_central(folder, config) as central:
        jobs = Jobs(central.pool, central.clock)
        uplink = Uplink(
            central.pool, central.clock, central.enrolment, Ingest(central.pool, central.clock)
        )
        site = make_web_app(
            pool=central.pool,
            replay=central.replay,
            clock=central.clock,
            chance=central.chance,
            settings=WebSettings(),
        )
        tls = None if config.uplink_insecure else _tls(folder)
        runners: list[web.AppRunner] = []
        try:
            web_port = await _listen(runners, site, config.web_host, config.web_port, None)
            uplink_port = await _listen(
                runners, uplink.application(), config.uplink_host, config.uplink_port, tls
            )
            jobs.start()
            scheme = "http" if tls is None else "https"
            print(  # noqa: T201 (the line that whoever started us waits for)
                f"ready web http://{config.web_host}:{web_port}"
                f" uplink {scheme}://{config.uplink_host}:{uplink_port}",
                flush=True,
            )
            await stop.wait()
            jobs.stop()
        finally:
            for runner in runners:
                await runner.cleanup()


async def import_files(
    central: Central, *, customers: Path | None, products: Path | None, coupons: Path | None
) -> dict[str, int]:
    """Take JSON lines in; how many of each.

    Raises:
        InputError: a line is not what it should be; the chunks before it stay.
    """
    counts: dict[str, int] = {}
    if products is not None:
        counts["products"] = 0
        for chunk in _chunks(products, ProductRow):
            entries = [_product(row) for row in chunk]
            async with central.pool.connection() as connection:
                await put_products(connection, entries)
            counts["products"] += len(chunk)
    if coupons is not None:
        counts["coupons"] = 0
        for coupon_rows in _chunks(coupons, CouponRow):
            async with central.pool.connection() as connection:
                await put_coupons(
                    connection,
                    [
                        CouponEntry(
                            code=row.code.strip().upper(),
                            series=row.series,
                            valid_from_date=row.valid_from,
                            valid_to_date=row.valid_to,
                        )
                        for row in coupon_rows
                    ],
                )
            counts["coupons"] += len(coupon_rows)
    if customers is not None:
        counts["customers"] = 0
        for customer_rows in _chunks(customers, CustomerRow):
            await _import_customers(central, customer_rows)
            counts["customers"] += len(customer_rows)
    return counts


async def verify(central: Central) -> dict[str, Any]:
    """Everything that must be zero, with the sums beside it; ``ok`` when all of it is."""
    async with central.pool.connection() as connection:
        found = await ledger.audit(connection) | await receipts.audit(connection)
        found["different_answers"] = await central.replay.differences(connection)
    zeros = (
        "ledger_sum_centi",
        "negative_accounts",
        "unbalanced_accounts",
        "wrong_leases",
        "wrong_sums",
        "counted_twice",
        "different_answers",
    )
    return {"ok": not any(found[key] for key in zeros), **found}


async def _import_customers(central: Central, rows: list[CustomerRow]) -> None:
    async with central.pool.connection() as connection:
        await put_customers(
            connection,
            [
                (
                    CustomerEntry(
                        customer_id=row.customer_id,
                        card_tags=[card_tag(card) for card in row.cards],
                        segments=row.segments,
                        level=row.level,
                    ),
                    row.home_store,
                )
                for row in rows
            ],
        )
        for row in rows:
            for account, points in row.points.items():
                await accounts.open_balance(
                    connection,
                    row.customer_id,
                    account,
                    _scaled(points, 2),
                    now_ms=central.clock.now_ms(),
                )


def _product(row: ProductRow) -> ProductEntry:
    return ProductEntry(
        sku=row.sku,
        name=row.name,
        category=row.category,
        brand=row.brand,
        attributes=row.attributes,
        flags=row.flags,
        weighed=row.weighed,
        min_price_minor=None if row.min_price is None else _scaled(row.min_price, 2),
        max_discount_ppm=None if row.max_discount is None else _scaled(row.max_discount, 4),
    )


def _scaled(text: str, decimals: int) -> int:
    """A decimal text as an integer of its smallest unit, exactly."""
    found = _DECIMAL.fullmatch(text)
    if found is None or len(found[2] or "") > decimals:
        raise InputError(f"{text!r} is no decimal with at most {decimals} decimals")
    return int(found[1] + (found[2] or "").ljust(decimals, "0"))


def _chunks(path: Path, kind: type[_T]) -> Iterable[list[_T]]:
    with path.open("rb") as file:
        numbered = enumerate(file, start=1)
        while lines := list(islice(numbered, IMPORT_CHUNK)):
            yield [_row(path, number, line, kind) for number, line in lines]


def _row(path: Path, number: int, line: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name}, line {number}: {error}") from error


async def _listen(
    runners: list[web.AppRunner],
    app: web.Application,
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
) -> int:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    runners.append(runner)
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=tls).start()
    return int(runner.addresses[0][1])


def _tls(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(folder / files.SERVER_CERTIFICATE_FILE, folder / files.SERVER_KEY_FILE)
    return context
