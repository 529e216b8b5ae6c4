"""Goods that come back without a receipt: what they cost now, bounded, and no points.

Nobody can say what was paid for them, so the chain says what it gives: what a holder of a card pays
today, or the lowest price at which this shop has sold the article lately, if that is less. A sum
and a cashier's right bound it. A return that was made is a fact all the same: what was not allowed
about it becomes an incident.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import apsw
import msgspec

from edge_agent.config import ReturnSettings
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.returns.policy import money_differs
from edge_agent.returns.store import RecordedReturn, put_return, recorded_before
from shared.clock import Clock
from shared.engine.refund import sold_quantities
from shared.errors import ForbiddenError, InputError, UnavailableError
from shared.ids import Chance
from shared.limits import IDENTIFIER_CHARS_MAX
from shared.money import divide_half_up, format_minor
from shared.quantity import QUANTITY_SCALE
from shared.sqlfile import load_queries
from shared.wire.answer import Answer
from shared.wire.facts import GoodsReturned, Incident, ReceiptCommitted, ReceiptReturned
from shared.wire.goods_json import GoodsRequest, decode_goods
from shared.wire.problem import Finding
from shared.wire.reading import parse_json
from shared.wire.receipt import ReceiptLine
from shared.wire.receipt_json import ReceiptError, decode_receipt
from shared.wire.refund_json import LineReturned, Refund, RefundLine

SALES_LOOKED_AT_MAX: Final = 2_000
"""The latest that hold an article: a fast seller's fall within the days all the same."""
RECORD_UID_BYTES: Final = 16
_DAY_MS: Final = 24 * 3_600_000
_QUERIES: Final = load_queries("edge_agent.returns", "without_receipt.sql")
_SALE: Final = msgspec.msgpack.Decoder(ReceiptCommitted)
Price = Callable[[bytes], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowest:
    """The lowest price of an article: so much was paid for so much of it."""

    paid_minor: int
    quantity_milli: int

    def of(self, quantity_milli: int) -> int:
        """What this quantity would have cost."""
        return divide_half_up(self.paid_minor * quantity_milli, self.quantity_milli)


class WithoutReceipt:
    """Takes goods back of which no sale is known."""

    def __init__(
        self,
        *,
        settings: ReturnSettings,
        price: Price,
        writer: Writer,
        reader: Reader,
        store_id: str,
        clock: Clock,
        chance: Chance,
    ) -> None:
        """``price``: what a receipt in JSON costs now."""
        self._settings = settings
        self._price = price
        self._writer = writer
        self._reader = reader
        self._store_id = store_id
        self._clock = clock
        self._chance = chance

    async def calculate(self, body: bytes) -> list[GoodsReturned]:
        """What is given for these goods; nothing is recorded.

        Raises:
            InputError: the body breaks its format; ``over_limit``: the sum is above the setting.
            ForbiddenError: ``no_right``: the cashier may not.
            UnavailableError: no programme has arrived yet.
        """
        request = decode_goods(body, made=False)
        goods = await self._priced(body, _read(request, self._now()))
        if self._settings.right not in request.rights:
            raise ForbiddenError(
                f"without a receipt only a cashier with {self._settings.right!r} takes goods back",
                code="no_right",
                hint="Have somebody log in who may.",
                pointer="/cashier",
            )
        total_minor = _sum(goods)
        if total_minor > self._settings.limit_minor:
            raise InputError(
                f"{format_minor(total_minor)} is more than the {self._settings.limit} "
                "that are given without a receipt",
                code="over_limit",
                hint="Ask for the receipt, or head office to raise returns.limit in edge.toml.",
                pointer="/goods",
            )
        return goods

    async def commit(self, return_id: str, body: bytes) -> RecordedReturn:
        """Record durably what was given; a repeat gives the first answer.

        Raises:
            InputError: the body breaks its format.
            ConflictError: ``return_changed``.
            UnavailableError: the disk refuses.
        """
        if not 0 < len(return_id) <= IDENTIFIER_CHARS_MAX:
            raise InputError(f"an id has 1 to {IDENTIFIER_CHARS_MAX} characters", code="return_id")
        request = decode_goods(body, made=True)
        sha256 = _sha256_of(body)
        known = await self._reader.run(lambda reader: recorded_before(reader, return_id, sha256))
        if known is not None:
            return known
        lines = _read(request, self._now())
        try:
            goods = await self._priced(body, lines)
        except UnavailableError:  # no programme yet: the goods are back all the same
            goods = [_at_shelf(line) for line in lines]
        now_ms = self._clock.now_ms()
        fact = self._fact(return_id, request, goods, now_ms)
        record_uid = self._chance.token_bytes(RECORD_UID_BYTES)

        def work(connection: apsw.Connection) -> RecordedReturn:
            before = recorded_before(connection, return_id, sha256)
            if before is not None:
                return before
            return put_return(connection, fact, record_uid, body_sha256=sha256, now_ms=now_ms)

        return await self._writer.run(work)

    async def _priced(self, body: bytes, lines: Sequence[ReceiptLine]) -> list[GoodsReturned]:
        # The price of today, whenever the till says that the goods came.
        answer = await self._price(_receipt_json(body, self._now()))
        lowest = {}
        if self._settings.price == "lowest":
            since_ms = self._clock.now_ms() - self._settings.lowest_days * _DAY_MS
            lowest = await self._reader.run(
                lambda reader: {
                    sku: lowest_price(_sales(reader, sku, since_ms), sku)
                    for sku in {line.sku for line in lines}
                }
            )
        paid = {line.line: line.to_pay_minor for line in answer.lines}
        return [_given(line, paid[line.line], lowest.get(line.sku)) for line in lines]

    def _fact(
        self, return_id: str, request: GoodsRequest, goods: list[GoodsReturned], now_ms: int
    ) -> ReceiptReturned:
        money_minor = _sum(goods)
        return ReceiptReturned(
            return_id=return_id,
            store_id=self._store_id,
            register=request.register,
            business_date=datetime.fromisoformat(request.time).date().isoformat(),
            returned_at_ms=now_ms,
            sale_uid=None,
            sale_receipt_id="",
            customer_id=None,
            refund=Refund(
                receipt_id="",
                full=False,
                lines=[
                    RefundLine(
                        line=each.line,
                        quantity_milli=each.quantity_milli,
                        money_minor=each.money_minor,
                        points_spent_minor=0,
                    )
                    for each in goods
                ],
                money_minor=money_minor,
                points_spent_minor=0,
                returned=[
                    LineReturned(line=each.line, quantity_milli=each.quantity_milli)
                    for each in goods
                ],
            ),
            incidents=[
                *self._not_allowed(request, money_minor),
                *money_differs(request.money_told_minor, money_minor),
            ],
            goods=goods,
            cashier_id=request.cashier_id,
        )

    def _not_allowed(self, request: GoodsRequest, money_minor: int) -> list[Incident]:
        found = []
        if self._settings.right not in request.rights:
            found.append(
                Incident(code="no_right", detail=f"the cashier had no {self._settings.right!r}")
            )
        if money_minor > self._settings.limit_minor:
            found.append(
                Incident(
                    code="over_limit",
                    detail=f"{format_minor(money_minor)}, of which {self._settings.limit} may be "
                    "given without a receipt",
                )
            )
        return found

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC).isoformat(
            timespec="seconds"
        )


def lowest_price(sales: Iterable[ReceiptCommitted], sku: str) -> Lowest | None:
    """The lowest price of an article in these sales, points counted as money; None: never sold.

    What was given for nothing has no price.
    """
    found: Lowest | None = None
    for sale in sales:
        quantities = sold_quantities(sale.answer)
        skus = {line.line: line.sku for line in sale.receipt.lines}
        for line in sale.answer.lines:
            if skus.get(line.line) != sku or line.net_minor <= 0:
                continue
            quantity_milli = quantities[line.line]
            if (
                found is None
                or line.net_minor * found.quantity_milli < found.paid_minor * quantity_milli
            ):
                found = Lowest(paid_minor=line.net_minor, quantity_milli=quantity_milli)
    return found


def _given(line: ReceiptLine, carded_minor: int, lowest: Lowest | None) -> GoodsReturned:
    money_minor, basis = carded_minor, "card"
    if lowest is not None and lowest.of(line.quantity_milli) < carded_minor:
        money_minor, basis = lowest.of(line.quantity_milli), "lowest"
    return GoodsReturned(
        line=line.line,
        sku=line.sku,
        quantity_milli=line.quantity_milli,
        price_minor=line.price_minor,
        money_minor=money_minor,
        basis=basis,
    )


def _at_shelf(line: ReceiptLine) -> GoodsReturned:
    return GoodsReturned(
        line=line.line,
        sku=line.sku,
        quantity_milli=line.quantity_milli,
        price_minor=line.price_minor,
        money_minor=divide_half_up(line.price_minor * line.quantity_milli, QUANTITY_SCALE),
        basis="shelf",
    )


def _sum(goods: Sequence[GoodsReturned]) -> int:
    return sum(each.money_minor for each in goods)


def _sales(reader: apsw.Connection, sku: str, since_ms: int) -> list[ReceiptCommitted]:
    rows: list[Any] = reader.execute(
        _QUERIES["sold_since"], {"sku": sku, "since_ms": since_ms, "limit": SALES_LOOKED_AT_MAX}
    ).fetchall()
    return [_SALE.decode(fact) for (fact,) in rows]


def _receipt_json(body: bytes, now: str) -> bytes:
    # An empty customer is a known one: what anybody with a card would pay.
    lines = json.loads(body)["goods"]
    return json.dumps({"time": now, "customer": {}, "lines": lines}).encode()


def _read(request: GoodsRequest, now: str) -> list[ReceiptLine]:
    """The lines as they are read of a receipt; faults at the places where the request has them."""
    receipt = {"receipt_id": "-", "store": "-", "time": now, "lines": request.lines}
    try:
        return decode_receipt(receipt).lines
    except ReceiptError as error:
        raise ReceiptError(
            [
                Finding(
                    code=each.code,
                    detail=each.detail,
                    pointer=(each.pointer or "").replace("/lines", "/goods", 1),
                    hint=each.hint,
                )
                for each in error.findings
            ]
        ) from error


def _sha256_of(body: bytes) -> bytes:
    text = json.dumps(
        parse_json(body), sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=False
    )
    return hashlib.sha256(text.encode("utf-8")).digest()
