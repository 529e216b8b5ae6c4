"""Personal coupons: a code of one customer's own, and the right to use it once.

The right is 1 of the asset ``coupon:<CODE>`` of the customer. It is lent to the customer's home
store like everything else of theirs, so the code works there without the line, and nowhere else at
the same time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import msgspec

from central.accounts import lending
from central.accounts import store as ledger
from central.accounts.books import Purse, transfer_id_of
from central.accounts.needs import Needs
from central.accounts.service import lend_home
from central.coupons import store
from central.coupons.policy import CODE_CHARS_MAX, RANDOM_BYTES, make_code
from central.customers.store import known_customers
from central.database.pool import Connection, Pool
from central.database.retry import in_transaction
from shared.clock import Clock
from shared.errors import InputError
from shared.ids import Chance
from shared.jsonlines import read_rows, wrong_line
from shared.limits import IDENTIFIER_CHARS_MAX
from shared.wire.assets import AssetKind, asset_of
from shared.wire.feed import CouponEntry

COUPONS_PER_FILE_MAX: Final = 100_000
_CHUNK: Final = 500
"""Coupons a transaction: a long one would hold back every reader of the feed."""
_Name = Annotated[
    str, msgspec.Meta(min_length=1, max_length=IDENTIFIER_CHARS_MAX, pattern=r"^[^\x00]+$")
]
_Code = Annotated[str, msgspec.Meta(min_length=1, max_length=CODE_CHARS_MAX, pattern=r"^[^\x00]+$")]


class IssueRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line: who gets a coupon; without ``code`` one is made that nobody can guess."""

    customer_id: _Name
    code: _Code | None = None


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """What all coupons of a file have in common; both days are inclusive, None is open."""

    name: _Name
    valid_from: date | None = None
    valid_to: date | None = None


async def issue_coupons(
    pool: Pool, clock: Clock, chance: Chance, series: Series, path: Path
) -> AsyncIterator[list[CouponEntry]]:
    """Issue a file's coupons, some hundred in one transaction; each list is durable when it comes.

    The same file again issues nothing twice where its lines name their codes.

    Raises:
        InputError: a line is not what it should be, its customer is unknown, or its code is taken.
            Nothing of the file was issued then.
        OSError: the file cannot be read.
    """
    if series.valid_from and series.valid_to and series.valid_from > series.valid_to:
        raise InputError("the last day is before the first", code="bad_coupons")
    rows = await asyncio.to_thread(
        lambda: list(read_rows(path, IssueRow, rows_max=COUPONS_PER_FILE_MAX, check=_checked))
    )
    wanted = await _new_ones(pool, series, rows, path)
    waiting = iter(wanted)
    while chunk := list(islice(waiting, _CHUNK)):
        made = [
            entry if entry.code else msgspec.structs.replace(entry, code=_made(chance))
            for entry in chunk
        ]
        await in_transaction(pool, partial(_issue, coupons=made, now_ms=clock.now_ms()))
        yield made


async def _new_ones(
    pool: Pool, series: Series, rows: list[tuple[int, IssueRow]], path: Path
) -> list[CouponEntry]:
    """What is to be issued, looked at as a whole before anything is."""
    lines: dict[str, int] = {}
    wanted: list[tuple[int, CouponEntry]] = []
    for line, row in rows:
        if row.code is not None and (first := lines.setdefault(row.code, line)) != line:
            raise wrong_line(path, line, f"this code stands in line {first} too")
        entry = CouponEntry(
            code=row.code or "",
            series=series.name,
            valid_from_date=series.valid_from.isoformat() if series.valid_from else None,
            valid_to_date=series.valid_to.isoformat() if series.valid_to else None,
            customer_id=row.customer_id,
        )
        wanted.append((line, entry))
    found: list[CouponEntry] = []
    waiting = iter(wanted)
    async with pool.connection() as connection:
        while chunk := list(islice(waiting, _CHUNK)):
            ids = sorted({row.customer_id or "" for _, row in chunk})
            members = await known_customers(connection, ids)
            given = [row.code for _, row in chunk if row.code]
            known = await store.known_coupons(connection, given)
            before = await store.issued_before(connection, [_cause(code) for code in given])
            for line, entry in chunk:
                if entry.customer_id not in members:
                    raise wrong_line(path, line, "there is no such customer")
                taken = known.get(entry.code) if entry.code else None
                gone = entry.code and taken is None and _cause(entry.code) in before
                if gone or (taken is not None and taken != entry):
                    raise wrong_line(path, line, "this code is taken")
                if taken is None:
                    found.append(entry)
    return found


async def _issue(connection: Connection, coupons: list[CouponEntry], *, now_ms: int) -> None:
    await store.add_personal(connection, coupons)
    causes = {coupon.code: _cause(coupon.code) for coupon in coupons}
    purses = {
        coupon.code: Purse(coupon.customer_id or "", asset_of(AssetKind.COUPON, coupon.code))
        for coupon in coupons
    }
    needs = Needs(purses=set(purses.values()), causes=set(causes.values()))
    books = await ledger.load(connection, needs)
    for coupon in coupons:
        purse = purses[coupon.code]
        lending.fund(
            books,
            purse.owner,
            purse.asset,
            1,
            cause=causes[coupon.code],
            expires_on=coupon.valid_to_date,
            reason="coupon.issued",
        )
    await lend_home(connection, books, set(purses.values()), now_ms=now_ms)
    await ledger.save(connection, books, now_ms=now_ms)


def _checked(row: IssueRow) -> IssueRow:
    if row.code is None:
        return row
    code = row.code.strip().upper()
    if not 0 < len(code) <= CODE_CHARS_MAX or not code.isprintable():
        raise InputError(f"a code has 1 to {CODE_CHARS_MAX} printable characters")
    return msgspec.structs.replace(row, code=code)


def _cause(code: str) -> bytes:
    return transfer_id_of("coupon.issued", code)


def _made(chance: Chance) -> str:
    return make_code(chance.token_bytes(RANDOM_BYTES))
