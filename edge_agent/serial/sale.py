"""The commands of a sale: the receipt that is open on one line, and what becomes of it.

What an HTTP till keeps and sends whole, this keeps for it. It is in memory only: a till that finds
it gone (``no_receipt``, after the agent's restart) rings the receipt up again; a sale that was made
is found by its id all the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import apsw
import msgspec

from edge_agent.catalogue.store import products_of
from edge_agent.checkout.knowledge import points_spendable
from edge_agent.checkout.service import Priced
from edge_agent.checkout.store import Recorded
from edge_agent.loyalty.store import balances_of
from edge_agent.serial.barcodes.layout import as_latin
from edge_agent.serial.basket import Basket
from edge_agent.serial.customers import Customers
from edge_agent.serial.display import Picture, item_picture, total_picture
from edge_agent.serial.places import zone_of
from edge_agent.serial.replies import (
    answer_lines,
    hint_lines,
    incident_lines,
    notice_lines,
    sums,
)
from edge_agent.serial.services import Services
from edge_agent.serial.texts import DISCOUNT, THANKS, TO_PAY, chosen
from edge_agent.serial_settings import CodeSettings, Language
from shared.errors import ConflictError, InputError, NotFoundError
from shared.money import format_centi, format_minor
from shared.wire.answer import Answer
from shared.wire.feed import CustomerEntry
from shared.wire.members import MemberFound
from shared.wire.receipt_json import scaled_integer

ITEM_FIELDS_MAX: Final = 10
PAYMENT_FIELDS_MAX: Final = 20
Lines = list[list[str]]


class Sale:
    """At most one open receipt; ``show`` puts a picture on the customer display, if there is."""

    def __init__(
        self,
        services: Services,
        *,
        register: str,
        codes: CodeSettings,
        language: Language,
        show: Callable[[Picture], None] | None,
    ) -> None:
        self._services = services
        self._register = register
        self._customers = Customers(services, register=register, prefixes=codes.card_prefixes)
        self._language: Language = language
        self._show_picture = show
        self._basket: Basket | None = None
        self._frozen = False

    def commands(self) -> dict[str, tuple[int, int, Callable[[list[str]], Awaitable[Lines]]]]:
        """By name: how many fields at least and at most, and what is done."""
        return {
            "OPEN": (1, 2, self._open),
            "ITEM": (4, ITEM_FIELDS_MAX, self._item),
            "VOID": (1, 1, self._void),
            "IDENT": (1, 1, self._identify),
            "COUPON": (1, 2, self._coupon),
            "SPEND": (1, 2, self._spend),
            "PAY": (1, PAYMENT_FIELDS_MAX, self._pay),
            "CALC": (1, 3, self._calculate),
            "HINT": (1, 3, self._hint),
            "SUBT": (1, 3, self._subtotal),
            "COMMIT": (2, 2, self._commit),
            "CANCEL": (1, 1, self._cancel),
            "LOOK": (1, 1, self._look),
            **self._customers.commands(),
        }

    def forget(self) -> None:
        """The till has started anew and does not know what it rang up."""
        self._basket = None
        self._frozen = False

    async def _open(self, fields: list[str]) -> Lines:
        """Begin a receipt, or begin the open one again from nothing."""
        receipt_id = fields[0]
        if self._frozen and self._basket is not None and self._basket.receipt_id != receipt_id:
            raise ConflictError("points are set aside for another receipt", code="receipt_open")
        zone = await zone_of(self._services)
        told = fields[1] if len(fields) > 1 else ""
        self._basket = Basket(
            receipt_id=receipt_id,
            store=self._services.store_id,
            register=self._register,
            time=zone.time(told, self._services.clock),
        )
        self._frozen = False
        return [[receipt_id]]

    async def _item(self, fields: list[str]) -> Lines:
        basket = self._open_basket()
        number, sku, qty, price, *more = fields
        basket.put_line(number, sku, qty, price, dict(_pair(each) for each in more))
        await self._show_item(sku, qty, price, basket.list_minor)
        return [_state(basket)]

    async def _void(self, fields: list[str]) -> Lines:
        basket = self._open_basket()
        basket.void_line(fields[0])
        return [_state(basket)]

    async def _identify(self, fields: list[str]) -> Lines:
        """Whose receipt it is: known here, unknown here (the sale goes on), or blocked."""
        if not fields[0]:
            self._open_basket().set_customer(None)
            return [["none"]]
        shown = await self._customers.find(as_latin(fields[0]))
        if shown.several:
            return [["several"], *(_choice(each) for each in shown.several)]
        if self._basket is not None:
            self._basket.set_customer(shown.customer)
        return [["unknown"]] if shown.entry is None else await self._member(shown.entry)

    async def _member(self, entry: CustomerEntry) -> Lines:
        first = [entry.customer_id, entry.level or "", entry.card_category or ""]
        if entry.blocked:
            return [["blocked", *first]]
        elsewhere = await self._services.desk.elsewhere(entry.customer_id)
        receipt_id = "" if self._basket is None else self._basket.receipt_id

        def points(reader: apsw.Connection) -> Lines:
            standing = self._services.desk.standing(reader)
            spendable = points_spendable(reader, entry.customer_id, standing, elsewhere, receipt_id)
            return _points(balances_of(reader, entry.customer_id), spendable)

        return [["known", *first], *await self._services.reader.run(points)]

    async def _coupon(self, fields: list[str]) -> Lines:
        basket = self._open_basket()
        code, *how = fields
        if how and how != ["-"]:
            raise InputError("a coupon is shown, or taken back with -", code="wrong_fields")
        if how:
            basket.drop_coupon(code)
        else:
            basket.put_coupon(code)
        return [_state(basket)]

    async def _spend(self, fields: list[str]) -> Lines:
        """An empty account: nothing is to be spent."""
        basket = self._open_basket()
        account, *points = fields
        basket.set_spend(account, points[0] if points else "max")
        return [_state(basket)]

    async def _pay(self, fields: list[str]) -> Lines:
        """``type``, ``type:amount`` or ``type:amount:bin``, one field a payment."""
        basket = self._open_basket()
        payments: list[dict[str, str]] = []
        for each in fields:
            parts = each.split(":", 2)
            names = ("type", "amount", "bin")
            payments.append({k: v for k, v in zip(names, parts, strict=False) if v})
        basket.set_payments(payments if fields != [""] else [])
        return [_state(basket)]

    async def _calculate(self, fields: list[str]) -> Lines:
        """Price what is rung up so far; nothing is set aside."""
        basket = self._checked(fields)
        return _priced(await self._price(basket))

    async def _hint(self, fields: list[str]) -> Lines:
        """What goods a promotion still lacks; for the cashier to say while scanning."""
        basket = self._checked(fields)
        body = msgspec.json.encode(basket.to_json())
        priced = await self._services.checkout.calculate(body, trace=False, hints=True)
        return [[basket.receipt_id], *hint_lines(priced.answer.hints)]

    async def _subtotal(self, fields: list[str]) -> Lines:
        """Price it and set its points aside: now the customer pays."""
        basket = self._checked(fields)
        priced = await self._price(basket)
        await self._services.checkout.freeze(basket.receipt_id, _commit_body(basket, None))
        self._frozen = True
        return _priced(priced)

    async def _commit(self, fields: list[str]) -> Lines:
        """The sale was made. A repeat, and a till that started again, get the first answer."""
        receipt_id, told = fields
        to_pay_minor = scaled_integer(told, 2)
        if to_pay_minor is None or to_pay_minor < 0:
            raise InputError("money with two decimals is expected", code="number")
        basket = self._basket
        if basket is None or basket.receipt_id != receipt_id:
            return _recorded(await self._made(receipt_id, to_pay_minor))
        recorded = await self._services.checkout.commit(
            receipt_id, _commit_body(basket, format_minor(to_pay_minor))
        )
        self.forget()
        self._services.on_sale()
        self._show(Picture(upper=chosen(THANKS, self._language)))
        return _recorded(recorded)

    async def _made(self, receipt_id: str, to_pay_minor: int) -> Recorded:
        """The sale that was recorded before, if the till means the same one."""
        found = None
        try:
            found = await self._services.checkout.get(receipt_id)
        except NotFoundError as error:
            code = "no_receipt" if self._basket is None else "other_receipt"
            raise ConflictError("this receipt is not open", code=code) from error
        if found is None:
            raise ConflictError("this receipt was cancelled", code="receipt_cancelled")
        fact = found.fact
        told = f"till {format_minor(to_pay_minor)},"
        if fact.answer.total.to_pay_minor != to_pay_minor and not any(
            each.code == "to_pay_differs" and each.detail.startswith(told)
            for each in fact.incidents
        ):
            raise ConflictError("recorded with another sum", code="receipt_changed")
        return found

    async def _cancel(self, fields: list[str]) -> Lines:
        receipt_id = fields[0]
        await self._services.checkout.cancel(receipt_id)
        if self._basket is not None and self._basket.receipt_id == receipt_id:
            self.forget()
            self._show(Picture())
        return [[receipt_id]]

    async def _look(self, fields: list[str]) -> Lines:
        """What became of a receipt."""
        recorded = await self._services.checkout.get(fields[0])
        if recorded is None:
            return [["cancelled", fields[0]]]
        first, *more = _recorded(recorded)
        return [["committed", *first], *more]

    def _show(self, picture: Picture) -> None:
        if self._show_picture is not None:
            self._show_picture(picture)

    def _open_basket(self) -> Basket:
        if self._basket is None:
            raise ConflictError("no receipt is open", code="no_receipt")
        return self._basket

    def _checked(self, fields: list[str]) -> Basket:
        """The open receipt, if it is the one that the till has in mind: id, lines, list sum."""
        receipt_id, *told = fields
        basket = self._open_basket()
        if basket.receipt_id != receipt_id:
            raise ConflictError("another receipt is open", code="other_receipt")
        ours = [str(basket.line_count), format_minor(basket.list_minor)]
        if any(here != there for here, there in zip(ours, told, strict=False) if there):
            raise ConflictError("the till has other lines than the agent", code="basket_differs")
        return basket

    async def _price(self, basket: Basket) -> Priced:
        body = msgspec.json.encode(basket.to_json())
        priced = await self._services.checkout.calculate(body, trace=False)
        basket.calculation_id = priced.calculation_id
        total = priced.answer.total
        words = (chosen(TO_PAY, self._language), chosen(DISCOUNT, self._language))
        self._show(total_picture(*words, total.to_pay_minor, total.list_minor - total.to_pay_minor))
        return priced

    async def _show_item(self, sku: str, qty: str, price: str, sum_minor: int) -> None:
        if self._show_picture is None:
            return

        def name(reader: apsw.Connection) -> str:
            known = products_of(reader, [sku]).get(sku)
            return sku if known is None else known.name

        quantity_milli, price_minor = scaled_integer(qty, 3), scaled_integer(price, 2)
        assert quantity_milli is not None, "the basket has read it"
        assert price_minor is not None, "the basket has read it"
        found = await self._services.reader.run(name)
        self._show(item_picture(found, quantity_milli, price_minor, sum_minor))


def _commit_body(basket: Basket, to_pay: str | None) -> bytes:
    body: dict[str, Any] = {"receipt": basket.to_json()}
    if basket.calculation_id is not None:
        body["calculation_id"] = basket.calculation_id
    if to_pay is not None:
        body["to_pay"] = to_pay
    return msgspec.json.encode(body)


def _state(basket: Basket) -> list[str]:
    return [str(basket.line_count), format_minor(basket.list_minor)]


def _priced(priced: Priced) -> Lines:
    answer: Answer = priced.answer
    first = [answer.receipt_id, *sums(answer), str(priced.bundle_version)]
    return [first, *answer_lines(answer), *notice_lines(priced.notices)]


def _recorded(recorded: Recorded) -> Lines:
    fact = recorded.fact
    first = [fact.receipt_id, *sums(fact.answer), str(fact.bundle_version)]
    return [first, *answer_lines(fact.answer), *incident_lines(fact.incidents)]


def _points(balances: dict[str, int], spendable: dict[str, int]) -> Lines:
    return [
        ["B", name, format_centi(balances.get(name, 0)), format_centi(spendable.get(name, 0))]
        for name in sorted({*balances, *spendable})
    ]


def _choice(found: MemberFound) -> list[str]:
    """One of several members, for the cashier to choose from."""
    entry = found.entry
    return ["M", entry.customer_id, entry.level or "", found.phone_end or ""]


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InputError("more of an item is key=value", code="wrong_fields")
    return key, value
