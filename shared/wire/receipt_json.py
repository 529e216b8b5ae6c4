"""The receipt as tills send it: JSON with decimals, read by their text, every error found.

Numbers never pass a binary float: JSON numbers are parsed as ``Decimal`` from their own text.
Unknown keys are refused, since a misspelt key would silently change a price.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

from shared import limits
from shared.errors import InputError
from shared.money import format_centi, format_minor
from shared.quantity import format_quantity
from shared.wire.problem import Finding
from shared.wire.receipt import (
    Coupon,
    Customer,
    Manual,
    Payment,
    Receipt,
    ReceiptLine,
    Soft,
    SpendRequest,
    Usage,
)

T = TypeVar("T")
_MISSING: Final = object()
_CHANNELS: Final = frozenset({"pos", "sco", "selfscan", "online"})
_COUPON_STATES: Final = frozenset({"valid", "used", "expired", "reserved", "unknown"})
_PERIODS: Final = frozenset({"day", "week", "month", "year", "lifetime", "total"})
_FINDINGS_MAX: Final = 1000
"""A receipt that is wrong throughout needs no longer list."""
_LINE_KEYS: Final = frozenset({"line", "sku", "qty", "price"})
_PLAIN_KEYS: Final = _LINE_KEYS | {"weighed"}
_DECIMALS_REMEMBERED: Final = 8_192
"""About a megabyte."""
_SHORT_CHARS: Final = 16
"""Longer texts are no ordinary price, and whoever sends them could fill the memory."""


class ReceiptError(InputError):
    """The receipt breaks its format; ``findings`` tell every place."""

    code = "receipt"

    def __init__(self, findings: list[Finding]) -> None:
        first = findings[0]
        super().__init__(first.detail, pointer=first.pointer, hint=first.hint)
        self.findings = findings


class _DuplicateKeyError(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _DuplicateKeyError
    return value


def _no_constant(text: str) -> Any:
    raise ValueError(text)


def parse_json(data: bytes | str) -> Any:
    """The JSON value with numbers as int or ``Decimal`` by their text.

    Raises:
        ReceiptError: it is not JSON, a key stands twice, or a number is no JSON number.
    """
    try:
        return json.loads(
            data, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_object
        )
    except _DuplicateKeyError as error:
        raise ReceiptError(
            [Finding(code="json", detail="A key stands twice in one object.", pointer="")]
        ) from error
    except (ValueError, RecursionError) as error:
        raise ReceiptError(
            [Finding(code="json", detail="The body is not JSON.", pointer="")]
        ) from error


def decode_receipt(data: bytes | Mapping[str, Any]) -> Receipt:
    """The receipt of this JSON (bytes, or what ``parse_json`` gave).

    Raises:
        ReceiptError: with every fault found, a JSON pointer each.
    """
    raw = parse_json(data) if isinstance(data, bytes) else data
    findings: list[Finding] = []
    receipt = _receipt(_Reader(raw, "", findings))
    if findings:
        raise ReceiptError(findings[:_FINDINGS_MAX])
    return receipt


class _Reader:
    """Takes keys out of one JSON object and notes what is wrong with them."""

    def __init__(self, raw: Any, pointer: str, findings: list[Finding]) -> None:
        self.pointer = pointer
        self.findings = findings
        self.raw: dict[str, Any] = {}
        self.seen: set[str] = set()
        if isinstance(raw, Mapping):
            self.raw = dict(raw)
        else:
            self.fault("type", "", f"An object is expected, {_shown(raw)} was found.")

    def fault(self, code: str, at: str, detail: str) -> None:
        """Note one finding at a place inside this object."""
        self.findings.append(Finding(code=code, detail=detail, pointer=self.pointer + at))

    def take(self, key: str) -> Any:
        """The raw value; null counts as missing."""
        self.seen.add(key)
        value = self.raw.get(key, _MISSING)
        return _MISSING if value is None else value

    def finish(self) -> None:
        """Refuse the keys that nobody asked for."""
        for key in self.raw:
            if key not in self.seen:
                self.fault("unknown_key", f"/{_escape(key)}", f"{_shown(key)} is not a known key.")

    def text(self, key: str, default: str | None = None, *, required: bool = False) -> str | None:
        value = self.take(key)
        if value is _MISSING:
            if required:
                self.fault("missing", f"/{key}", f"{key} is required.")
            return default
        if (
            isinstance(value, str)
            and len(value) <= limits.IDENTIFIER_CHARS_MAX
            and (value or not required)
        ):
            return value
        self.fault("type", f"/{key}", f"A text is expected, {_shown(value)} was found.")
        return default

    def choice(self, key: str, allowed: frozenset[str], default: str) -> str:
        value = self.text(key, default) or ""
        if value not in allowed:
            wanted = ", ".join(sorted(allowed))
            self.fault("value", f"/{key}", f"One of {wanted} is expected, {_shown(value)} found.")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.take(key)
        if value is _MISSING:
            return default
        if isinstance(value, bool):
            return value
        self.fault("type", f"/{key}", f"true or false is expected, {_shown(value)} was found.")
        return default

    def whole(self, key: str, *, low: int = 0) -> int | None:
        value = self.take(key)
        return None if value is _MISSING else self.as_whole(value, f"/{key}", low)

    def as_whole(self, value: Any, at: str, low: int = 0) -> int | None:
        number = value if isinstance(value, int) else scaled_integer(value, 0)
        if number is not None and not isinstance(value, bool) and low <= number < 2**62:
            return number
        self.fault("number", at, f"A whole number is expected, {_shown(value)} was found.")
        return None

    def scaled(self, key: str, decimals: int, high: int) -> int | None:
        """A decimal at ``key`` times 10^decimals, from 0 to ``high``; None if missing or wrong."""
        value = self.take(key)
        return None if value is _MISSING else self.as_scaled(value, f"/{key}", decimals, high)

    def as_scaled(
        self, value: Any, at: str, decimals: int, high: int, *, low: int = 0
    ) -> int | None:
        number = scaled_integer(value, decimals)
        if number is None:
            self.fault(
                "number",
                at,
                f"A decimal with at most {decimals} decimals is expected, {_shown(value)} found.",
            )
            return None
        if not low <= number <= high:
            self.fault("range", at, f"{_shown(value)} is out of bounds.")
            return None
        return number

    def money(self, key: str) -> int | None:
        return self.scaled(key, 2, limits.PRICE_MINOR_MAX)

    def percent(self, key: str) -> int | None:
        return self.scaled(key, 4, 1_000_000)

    def texts(self, key: str) -> list[str]:
        found = []
        for index, value in enumerate(self.array(key)):
            if isinstance(value, str):
                found.append(value)
            else:
                self.fault("type", f"/{key}/{index}", f"A text is expected, {_shown(value)} found.")
        return found

    def array(self, key: str) -> list[Any]:
        value = self.take(key)
        if value is _MISSING:
            return []
        if isinstance(value, list):
            return value
        self.fault("type", f"/{key}", f"A list is expected, {_shown(value)} was found.")
        return []

    def inner(self, key: str) -> _Reader | None:
        value = self.take(key)
        if value is _MISSING:
            return None
        return _Reader(value, f"{self.pointer}/{key}", self.findings)

    def each(self, key: str, read: Callable[[_Reader], T]) -> list[T]:
        return [
            read(_Reader(value, f"{self.pointer}/{key}/{index}", self.findings))
            for index, value in enumerate(self.array(key))
        ]

    def scaled_map(
        self, key: str, decimals: int, high: int = 2**62, *, low: int = 0
    ) -> dict[str, int]:
        inner = self.inner(key)
        found: dict[str, int] = {}
        for name, value in inner.raw.items() if inner is not None else ():
            assert inner is not None, "there is something to walk over"
            if decimals:
                number = inner.as_scaled(value, f"/{_escape(name)}", decimals, high, low=low)
            else:
                number = inner.as_whole(value, f"/{_escape(name)}")
            if number is not None:
                found[name] = number
        return found

    def text_map(self, key: str) -> dict[str, str]:
        inner = self.inner(key)
        found: dict[str, str] = {}
        for name, value in inner.raw.items() if inner is not None else ():
            assert inner is not None, "there is something to walk over"
            if isinstance(value, str):
                found[name] = value
            elif isinstance(value, bool):
                found[name] = "true" if value else "false"
            elif isinstance(value, (int, Decimal)):
                found[name] = str(value)
            else:
                inner.fault("type", f"/{_escape(name)}", f"A text is expected, {_shown(value)}.")
        return found

    def day(self, key: str) -> str | None:
        value = self.text(key)
        if value is not None:
            self.check_day(value, f"/{key}")
        return value

    def check_day(self, value: str, at: str) -> None:
        try:
            date.fromisoformat(value[:10])
            if len(value) > 10:
                datetime.fromisoformat(value)
        except ValueError:
            self.fault("date", at, f"A date is expected, {_shown(value)} was found.")


def scaled_integer(value: Any, decimals: int) -> int | None:
    """A decimal string or JSON number times 10^decimals; None: not a decimal of that kind."""
    if type(value) is str and len(value) <= _SHORT_CHARS:
        return _scaled_short(value, decimals)
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        return None
    return _scaled_text(str(value), decimals)


def _scaled_text(text: str, decimals: int) -> int | None:
    sign = -1 if text.startswith("-") else 1
    whole, dot, fraction = text.removeprefix("-").partition(".")
    if not (whole.isascii() and whole.isdigit()) or len(whole) > 15:
        return None
    if dot and not (fraction.isascii() and fraction.isdigit()):
        return None
    if len(fraction) > decimals:
        return None
    return sign * int(whole + fraction.ljust(decimals, "0"))


_scaled_short = lru_cache(_DECIMALS_REMEMBERED)(_scaled_text)
"""Quantities and prices come again and again."""


def _shown(value: Any) -> str:
    return repr(str(value) if isinstance(value, Decimal) else value)[:80]


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _receipt(at: _Reader) -> Receipt:
    lines = [
        _plain_line(value) or _line(_Reader(value, f"/lines/{index}", at.findings))
        for index, value in enumerate(at.array("lines"))
    ]
    if at.raw.get("lines") is None:
        at.fault("missing", "/lines", "lines is required.")
    if len(lines) > limits.RECEIPT_LINES_MAX:
        at.fault("range", "/lines", f"At most {limits.RECEIPT_LINES_MAX} lines are priced.")
    numbers: set[int] = set()
    for index, line in enumerate(lines):
        if line.line in numbers:
            at.fault("duplicate", f"/lines/{index}/line", f"Line {line.line} stands twice.")
        numbers.add(line.line)
    time = at.text("time", "", required=True) or ""
    if time:
        _check_time(at, time)
    customer, spend, manual = at.inner("customer"), at.inner("spend"), at.inner("manual")
    coupons = at.each("coupons", _coupon)
    if len(coupons) > limits.RECEIPT_COUPONS_MAX:
        at.fault("range", "/coupons", f"At most {limits.RECEIPT_COUPONS_MAX} coupons are read.")
    receipt = Receipt(
        receipt_id=at.text("receipt_id", "") or "",
        store=at.text("store", "", required=True) or "",
        register=at.text("register", "") or "",
        time=time,
        channel=at.choice("channel", _CHANNELS, "pos"),
        online=at.flag("online", default=True),
        customer=_customer(customer) if customer is not None else None,
        coupons=coupons,
        payments=at.each("payments", _payment),
        spend=_spend(spend) if spend is not None else None,
        chips=at.scaled_map("chips", 0),
        manual=_manual(manual) if manual is not None else None,
        external_minor=_external(at),
        claims=at.scaled_map("claims", 0),
        usage=_usages(at),
        lines=lines,
    )
    at.finish()
    return receipt


def _check_time(at: _Reader, time: str) -> None:
    try:
        known = datetime.fromisoformat(time).tzinfo is not None
    except ValueError:
        known = False
    if not known:
        at.fault("time", "/time", f"A time with its offset is expected, {_shown(time)} found.")


def _plain_line(raw: Any) -> ReceiptLine | None:
    """A faultless line of nothing but what every till sends; None: ``_line`` reads it with care.

    Most of the time that reading a receipt took went to keys that no line has.
    """
    if type(raw) is not dict or not _PLAIN_KEYS >= raw.keys() >= _LINE_KEYS:
        return None
    number, sku, weighed = raw["line"], raw["sku"], raw.get("weighed", False)
    quantity, price = scaled_integer(raw["qty"], 3), scaled_integer(raw["price"], 2)
    if (
        type(number) is int
        and 1 <= number < 2**62
        and type(sku) is str
        and 0 < len(sku) <= limits.IDENTIFIER_CHARS_MAX
        and quantity is not None
        and 0 < quantity <= limits.QUANTITY_MILLI_MAX
        and price is not None
        and 0 <= price <= limits.PRICE_MINOR_MAX
        and type(weighed) is bool
    ):
        return ReceiptLine(
            line=number, sku=sku, quantity_milli=quantity, price_minor=price, weighed=weighed
        )
    return None


def _line(at: _Reader) -> ReceiptLine:
    number = at.whole("line", low=1)
    if number is None and at.raw.get("line") is None:
        at.fault("missing", "/line", "line is required.")
    quantity = at.scaled("qty", 3, limits.QUANTITY_MILLI_MAX)
    if at.raw.get("qty") is None:
        at.fault("missing", "/qty", "qty is required.")
    elif quantity == 0:
        at.fault("range", "/qty", "qty is above zero.")
    price = at.money("price")
    if at.raw.get("price") is None:
        at.fault("missing", "/price", "price is required.")
    soft = at.inner("soft")
    base = at.scaled("base_qty", 3, limits.QUANTITY_MILLI_MAX)
    line = ReceiptLine(
        line=number or 0,
        sku=at.text("sku", "", required=True) or "",
        quantity_milli=quantity or 1000,
        price_minor=price or 0,
        category=at.text("category"),
        brand=at.text("brand"),
        attributes=at.text_map("attrs"),
        flags=at.texts("flags"),
        weighed=at.flag("weighed", default=False),
        min_price_minor=at.money("min_price"),
        max_discount_ppm=at.percent("max_discount"),
        soft=_soft(soft) if soft is not None else None,
        prices_minor=at.scaled_map("prices", 2, limits.PRICE_MINOR_MAX),
        base_quantity_milli=1000 if base is None else base,
    )
    at.finish()
    return line


def _soft(at: _Reader) -> Soft:
    soft = Soft(min_price_minor=at.money("min_price"), max_discount_ppm=at.percent("max_discount"))
    at.finish()
    return soft


def _coupon(at: _Reader) -> Coupon:
    coupon = Coupon(
        code=at.text("code", "") or "",
        series=at.text("series"),
        state=at.choice("state", _COUPON_STATES, "valid"),
    )
    at.finish()
    return coupon


def _payment(at: _Reader) -> Payment:
    payment = Payment(
        type=at.text("type", "", required=True) or "",
        bin=at.text("bin", "") or "",
        amount_minor=at.money("amount"),
    )
    at.finish()
    return payment


def _spend(at: _Reader) -> SpendRequest:
    account = at.text("account", "", required=True) or ""
    points = None if at.raw.get("points") == "max" else at.scaled("points", 2, 2**62)
    if at.take("points") is _MISSING:
        at.fault("missing", "/points", 'points is required: a number or "max".')
    at.finish()
    return SpendRequest(account=account, points_centi=points)


def _manual(at: _Reader) -> Manual:
    lines = None
    if at.take("lines") is not _MISSING:
        numbers = [at.as_whole(n, f"/lines/{i}") for i, n in enumerate(at.array("lines"))]
        lines = [number for number in numbers if number is not None]
    percent = at.percent("percent")
    if at.raw.get("percent") is None:
        at.fault("missing", "/percent", "percent is required.")
    manual = Manual(percent_ppm=percent or 0, lines=lines, permission=at.text("permission"))
    at.finish()
    return manual


def _external(at: _Reader) -> dict[str, int]:
    services = at.inner("external")
    found: dict[str, int] = {}
    for name in services.raw if services is not None else ():
        assert services is not None, "there is something to walk over"
        service = services.inner(name)
        if service is not None:
            found[name] = service.money("amount") or 0
            service.finish()
    return found


def _usages(at: _Reader) -> dict[str, Usage]:
    promotions = at.inner("usage")
    found: dict[str, Usage] = {}
    for name in promotions.raw if promotions is not None else ():
        assert promotions is not None, "there is something to walk over"
        usage = promotions.inner(name)
        if usage is not None:
            found[name] = _usage(usage)
    return found


def _usage(at: _Reader) -> Usage:
    times: dict[str, int] = {}
    quantities: dict[str, int] = {}
    discounts: dict[str, int] = {}
    for key in at.raw:
        kind, _, period = key.rpartition("_")
        if period not in _PERIODS:
            continue
        if kind == "":
            number, into = at.whole(key), times
        elif kind == "qty":
            number, into = at.scaled(key, 3, 2**62), quantities
        elif kind == "discount":
            number, into = at.scaled(key, 2, 2**62), discounts
        else:
            continue
        if number is not None:
            into[period] = number
    at.finish()
    return Usage(times=times, quantity_milli=quantities, discount_minor=discounts)


def _customer(at: _Reader) -> Customer:
    children = at.texts("children")
    for index, child in enumerate(children):
        at.check_day(child, f"/children/{index}")
    customer = Customer(
        id=at.text("id"),
        segments=at.texts("segments"),
        level=at.text("level"),
        card_category=at.text("card_category"),
        gender=at.text("gender"),
        birthday=at.day("birthday"),
        children=children,
        registered=at.day("registered"),
        purchases=at.whole("purchases") or 0,
        last_purchase=at.day("last_purchase"),
        spent_minor=at.scaled_map("spent", 2),
        attributes=at.text_map("attributes"),
        favourites=at.texts("favourites"),
        organisation=at.text("organisation"),
        control=at.flag("control", default=False),
        # A balance may be below zero after goods were returned: the next earnings cover it.
        points_centi=at.scaled_map("points", 2, low=-(2**62)),
        chips=at.scaled_map("chips", 0),
        counters=at.scaled_map("counters", 0),
        points_today_centi=at.scaled_map("points_today", 2),
        usage=_usages(at),
    )
    at.finish()
    return customer


def receipt_to_json(receipt: Receipt) -> dict[str, Any]:
    """The receipt as tills write it; ``decode_receipt`` gives the same receipt again."""
    raw: dict[str, Any] = {
        "receipt_id": receipt.receipt_id,
        "store": receipt.store,
        "register": receipt.register,
        "time": receipt.time,
        "channel": receipt.channel,
        "online": receipt.online,
        "coupons": [msgspec.structs.asdict(coupon) for coupon in receipt.coupons],
        "payments": [_payment_to_json(payment) for payment in receipt.payments],
        "chips": receipt.chips,
        "external": {k: {"amount": format_minor(v)} for k, v in receipt.external_minor.items()},
        "claims": receipt.claims,
        "usage": {name: _usage_to_json(usage) for name, usage in receipt.usage.items()},
        "lines": [_line_to_json(line) for line in receipt.lines],
    }
    if receipt.customer is not None:
        raw["customer"] = _customer_to_json(receipt.customer)
    if receipt.spend is not None:
        points = receipt.spend.points_centi
        raw["spend"] = {
            "account": receipt.spend.account,
            "points": "max" if points is None else format_centi(points),
        }
    if receipt.manual is not None:
        raw["manual"] = {
            "lines": receipt.manual.lines,
            "percent": _percent(receipt.manual.percent_ppm),
            "permission": receipt.manual.permission,
        }
    return raw


def encode_receipt_json(receipt: Receipt) -> bytes:
    """``receipt_to_json`` as bytes."""
    return msgspec.json.encode(receipt_to_json(receipt))


def _percent(ppm: int) -> str:
    return f"{ppm // 10_000}.{ppm % 10_000:04d}"


def _payment_to_json(payment: Payment) -> dict[str, Any]:
    raw: dict[str, Any] = {"type": payment.type, "bin": payment.bin}
    if payment.amount_minor is not None:
        raw["amount"] = format_minor(payment.amount_minor)
    return raw


def _usage_to_json(usage: Usage) -> dict[str, Any]:
    return {
        **usage.times,
        **{f"qty_{k}": format_quantity(v) for k, v in usage.quantity_milli.items()},
        **{f"discount_{k}": format_minor(v) for k, v in usage.discount_minor.items()},
    }


def _floors_to_json(floors: ReceiptLine | Soft) -> dict[str, Any]:
    low, rate = floors.min_price_minor, floors.max_discount_ppm
    return {
        "min_price": None if low is None else format_minor(low),
        "max_discount": None if rate is None else _percent(rate),
    }


def _line_to_json(line: ReceiptLine) -> dict[str, Any]:
    return {
        "line": line.line,
        "sku": line.sku,
        "qty": format_quantity(line.quantity_milli),
        "price": format_minor(line.price_minor),
        "category": line.category,
        "brand": line.brand,
        "attrs": line.attributes,
        "flags": line.flags,
        "weighed": line.weighed,
        **_floors_to_json(line),
        "soft": None if line.soft is None else _floors_to_json(line.soft),
        "prices": {name: format_minor(price) for name, price in line.prices_minor.items()},
        "base_qty": format_quantity(line.base_quantity_milli),
    }


def _customer_to_json(customer: Customer) -> dict[str, Any]:
    return {
        "id": customer.id,
        "segments": customer.segments,
        "level": customer.level,
        "card_category": customer.card_category,
        "gender": customer.gender,
        "birthday": customer.birthday,
        "children": customer.children,
        "registered": customer.registered,
        "purchases": customer.purchases,
        "last_purchase": customer.last_purchase,
        "spent": {name: format_minor(value) for name, value in customer.spent_minor.items()},
        "attributes": customer.attributes,
        "favourites": customer.favourites,
        "organisation": customer.organisation,
        "control": customer.control,
        "points": {name: format_centi(value) for name, value in customer.points_centi.items()},
        "chips": customer.chips,
        "counters": customer.counters,
        "points_today": {k: format_centi(v) for k, v in customer.points_today_centi.items()},
        "usage": {name: _usage_to_json(usage) for name, usage in customer.usage.items()},
    }
