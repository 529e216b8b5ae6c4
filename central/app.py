"""Wire central together: the only place that knows every room."""

from __future__ import annotations

import asyncio
import base64
import gc
import re
import signal
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec
from aiohttp import web

from central import config as files
from central.accounts import service as accounts
from central.accounts.audit import audit
from central.accounts.books import Purse
from central.catalogue.store import put_products
from central.config import CentralConfig
from central.coupons.store import put_coupons
from central.customers.store import put_customers
from central.database.pool import Connection, Pool, open_pool
from central.database.retry import in_transaction
from central.fleet.store import store_known
from central.gift_cards import store as gift_cards
from central.gift_cards.pins import Pins
from central.gift_cards.service import GiftCards
from central.jobs.schedule import Jobs
from central.members.finding import PhoneOf, hash_phones, put_phones
from central.members.keys import MemberSecret
from central.members.registering import Registering
from central.processes import Part
from central.publishing.replay import Replay
from central.publishing.service import Publishing
from central.receipts import store as receipts
from central.uplink.admission import Admission, Bounds
from central.uplink.enrol import Enrolment
from central.uplink.files import Files
from central.uplink.ingest import Ingest
from central.uplink.members import Members
from central.uplink.server import Uplink
from central.web.app import WebSettings, make_web_app
from shared.crypto.phones import plain_phone
from shared.crypto.signing import Signer
from shared.crypto.tags import card_tag
from shared.errors import InputError, NotFoundError
from shared.limits import IDENTIFIER_CHARS_MAX
from shared.listening import (
    CONNECTIONS_MAX,
    PatientSite,
    connections_of_this_process,
    patiently,
)
from shared.sync_file import central_key, public_key_of
from shared.system import SystemChance, SystemClock
from shared.unreadable import UNREADABLE
from shared.wire.assets import points_asset
from shared.wire.enrol import TrustedKey
from shared.wire.feed import CouponEntry, CustomerEntry, ProductEntry

UPLINK_CONNECTIONS: Final = 8
INGEST_CONNECTIONS: Final = 8
"""Batches worked on at a time; more would only wait for each other's cores and disk."""
COLLECT_AFTER: Final = 100_000
"""Objects: a batch of records is made of so many, and none of them is garbage in a circle."""
IMPORT_CHUNK: Final = 500
"""Rows a transaction: a long one would hold back every reader of the feed."""
_STOP_GRACE_S: Final = 2.0
_DECIMAL = re.compile(r"(\d{1,12})(?:\.(\d+))?")
_T = TypeVar("_T", bound=msgspec.Struct)
_E = TypeVar("_E")


Name = Annotated[
    str, msgspec.Meta(min_length=1, max_length=IDENTIFIER_CHARS_MAX, pattern=r"^[^\x00]+$")
]
"""What things are called by programs; PostgreSQL knows no NUL."""
Words = Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=r"^[^\x00]+$")]
"""What things are called by people."""


class CustomerRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of customers.jsonl; points are decimal strings by account."""

    customer_id: Name
    cards: list[Name] = []
    home_store: Name | None = None
    segments: list[Name] = []
    level: Name | None = None
    points: dict[Name, str] = {}
    phone: Name | None = None


class ProductRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of products.jsonl; ``min_price`` and ``max_discount`` are decimal strings."""

    sku: Name
    name: Words
    category: Words | None = None
    brand: Words | None = None
    attributes: dict[Name, Words] = {}
    flags: list[Name] = []
    weighed: bool = False
    min_price: str | None = None
    max_discount: str | None = None


class CouponRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of coupons.jsonl; dates are ISO, inclusive."""

    code: Name
    series: Name
    valid_from: date | None = None
    valid_to: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Central:
    """Central's services over one database."""

    pool: Pool
    clock: SystemClock
    chance: SystemChance
    publishing: Publishing
    replay: Replay
    enrolment: Enrolment
    signer: Signer
    secret: MemberSecret


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
                file_key=public_key_of(central_key(signer)),
            ),
            signer=signer,
            secret=MemberSecret(files.members_key(folder, chance)),
        )


@asynccontextmanager
async def open_pins(folder: Path) -> AsyncIterator[Pins]:
    """What makes tags and hashes of this folder's gift cards."""
    pins = Pins(files.gift_cards_key(folder, SystemChance()))
    try:
        yield pins
    finally:
        pins.close()


async def serve(folder: Path, config: CentralConfig, part: Part = Part.WHOLE) -> None:
    """Run the listeners and the timers until SIGTERM or SIGINT, or a part of them."""
    stop = asyncio.Event()
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # Pools apart: neither a slow page nor a storm of records keeps the others from the database.
    async with (
        open_central(folder, config) as central,
        open_pins(folder) as pins,
        open_pool(config.database_url, size_max=UPLINK_CONNECTIONS) as uplink_pool,
        open_pool(config.database_url, size_max=INGEST_CONNECTIONS) as ingest_pool,
    ):
        registering = Registering(central.pool, central.clock, central.secret)
        jobs = Jobs(central.pool, central.clock, registering)
        ingest = Ingest(ingest_pool, central.clock)
        uplink = Uplink(
            uplink_pool,
            central.clock,
            central.chance,
            central.enrolment.over(uplink_pool),
            ingest,
            Admission(Bounds(turns=INGEST_CONNECTIONS)),
            central.signer,
            GiftCards(uplink_pool, central.clock, pins),
            Members(uplink_pool, central.clock, central.secret),
        )
        site = make_web_app(
            pool=central.pool,
            replay=central.replay,
            clock=central.clock,
            chance=central.chance,
            settings=WebSettings(),
            files=Files(central.pool, central.clock, central.chance, central.signer, ingest),
        )
        tls = None if config.uplink_insecure else _tls(folder)
        runners: list[web.AppRunner] = []
        try:
            told = ["ready"]
            share = part is not Part.WHOLE
            if part is not Part.UPLINK:
                web_at = (config.web_host, config.web_port)
                port = await _listen(runners, site, web_at, None, CONNECTIONS_MAX, share=share)
                told.append(f"web http://{config.web_host}:{port}")
            if part is not Part.OFFICE:
                uplink_at = (config.uplink_host, config.uplink_port)
                limit = connections_of_this_process() - CONNECTIONS_MAX
                agents = uplink.application()
                port = await _listen(runners, agents, uplink_at, tls, limit, share=share)
                scheme = "http" if tls is None else "https"
                told.append(f"uplink {scheme}://{config.uplink_host}:{port}")
            if part is not Part.UPLINK:
                jobs.start()
            print(*told, flush=True)  # noqa: T201 (the line that whoever started us waits for)
            await stop.wait()
            if part is not Part.UPLINK:
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
        for entries in read_products(products):
            async with central.pool.connection() as connection:
                await put_products(connection, entries)
            counts["products"] += len(entries)
    if coupons is not None:
        counts["coupons"] = 0
        for series in read_coupons(coupons):
            async with central.pool.connection() as connection:
                await put_coupons(connection, series)
            counts["coupons"] += len(series)
    if customers is not None:
        counts["customers"] = 0
        for members in read_members(customers):
            await _import_customers(central, members)
            counts["customers"] += len(members)
    return counts


async def verify(central: Central) -> dict[str, Any]:
    """Everything that must be zero, with the sums beside it; ``ok`` when all of it is."""
    async with central.pool.connection() as connection:
        found = await audit(connection) | await receipts.audit(connection)
        found |= await gift_cards.audit(connection)
        found["different_answers"] = await central.replay.differences(connection)
    zeros = (
        "ledger_sum_centi",
        "negative_accounts",
        "unbalanced_accounts",
        "wrong_leases",
        "drift",
        "wrong_sums",
        "counted_twice",
        "wrong_gift_cards",
        "different_answers",
    )
    return {"ok": not any(found[key] for key in zeros), **found}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member to be taken in, with the home store and the points to begin with."""

    entry: CustomerEntry
    home_store: str | None
    points_centi: dict[str, int]
    phone: str | None = None


def read_products(path: Path) -> Iterable[list[ProductEntry]]:
    """Chunks of a file of products."""
    return _chunks(path, ProductRow, _product)


def read_coupons(path: Path) -> Iterable[list[CouponEntry]]:
    """Chunks of a file of coupons."""
    return _chunks(path, CouponRow, _coupon)


def read_members(path: Path) -> Iterable[list[Member]]:
    """Chunks of a file of customers."""
    return _chunks(path, CustomerRow, _member)


async def _import_customers(central: Central, members: list[Member]) -> None:
    opening: dict[Purse, int] = {}
    for each in members:
        for account, points_centi in each.points_centi.items():
            opening.setdefault(Purse(each.entry.customer_id, points_asset(account)), points_centi)
    # Before the transaction: a tenth of a second each.
    phones = await hash_phones(
        central.secret,
        [
            PhoneOf(customer_id=each.entry.customer_id, phone=each.phone)
            for each in members
            if each.phone is not None
        ],
    )

    async def work(connection: Connection) -> None:
        for store_id in sorted({each.home_store for each in members if each.home_store}):
            if not await store_known(connection, store_id):
                raise NotFoundError(
                    f"there is no store {store_id}", hint="Add it with `store-add` first."
                )
        await put_customers(connection, [(each.entry, each.home_store) for each in members])
        await put_phones(connection, phones)
        await accounts.open_balances(connection, opening, now_ms=central.clock.now_ms())

    await in_transaction(central.pool, work)


def _member(row: CustomerRow) -> Member:
    return Member(
        entry=CustomerEntry(
            customer_id=row.customer_id,
            card_tags=[card_tag(card) for card in row.cards],
            segments=row.segments,
            level=row.level,
        ),
        home_store=row.home_store,
        points_centi={account: _scaled(points, 2) for account, points in row.points.items()},
        phone=None if row.phone is None else plain_phone(row.phone),
    )


def _coupon(row: CouponRow) -> CouponEntry:
    return CouponEntry(
        code=row.code.strip().upper(),
        series=row.series,
        valid_from_date=row.valid_from.isoformat() if row.valid_from else None,
        valid_to_date=row.valid_to.isoformat() if row.valid_to else None,
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


def _chunks(path: Path, kind: type[_T], convert: Callable[[_T], _E]) -> Iterable[list[_E]]:
    with path.open("rb") as file:
        numbered = enumerate(file, start=1)
        while lines := list(islice(numbered, IMPORT_CHUNK)):
            yield [_row(path, number, line, kind, convert) for number, line in lines]


def _row(path: Path, number: int, line: bytes, kind: type[_T], convert: Callable[[_T], _E]) -> _E:
    try:
        return convert(msgspec.json.decode(line, type=kind))
    except (InputError, *UNREADABLE) as error:
        raise InputError(
            f"{path.name}, line {number}: {error}",
            hint="The chunks of lines before it are in; correct the line and import again.",
        ) from error


async def _listen(
    runners: list[web.AppRunner],
    app: web.Application,
    address: tuple[str, int],
    tls: ssl.SSLContext | None,
    connections_max: int,
    *,
    share: bool,
) -> int:
    runner = patiently(app, stop_grace_s=_STOP_GRACE_S)
    runners.append(runner)
    await runner.setup()
    site = PatientSite(runner, *address, tls=tls, connections_max=connections_max, reuse_port=share)
    await site.start()
    return int(runner.addresses[0][1])


def _tls(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(folder / files.SERVER_CERTIFICATE_FILE, folder / files.SERVER_KEY_FILE)
    return context
