"""Which receipts go into a bundle as golden ones, and what is taken out of them first.

A bundle travels to every shop, so a receipt in it must be nobody's: no id of receipt, customer or
coupon, and of what is known of a customer only what some promotion asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from central.database.pool import Connection, rows_of
from central.receipts.store import sale_of
from shared import limits
from shared.bundle.golden import BESIDE_RECEIPT_BYTES
from shared.engine.program import Birthday, CustomerIs, Program
from shared.sqlfile import load_queries
from shared.wire.receipt import Coupon, Customer, Receipt

RECEIPTS_MAX: Final = 50
"""Of the newest ones: a shop prices them all in some hundredths of a second."""
_QUERIES: Final = load_queries("central.publishing")


async def golden_receipts(connection: Connection, program: Program) -> list[Receipt]:
    """The newest receipts that head office has, as nobody's; as many as a bundle may carry."""
    asked = asked_by(program)
    golden: list[Receipt] = []
    left_bytes = limits.BUNDLE_GOLDEN_BYTES_MAX
    for row in await rows_of(connection, _QUERIES["newest"], {"limit": RECEIPTS_MAX}):
        receipt, _ = sale_of(row)
        stripped = nobodys(receipt, f"golden-{len(golden) + 1}", asked)
        size = len(msgspec.msgpack.encode(stripped)) + BESIDE_RECEIPT_BYTES
        if size <= left_bytes:
            golden.append(stripped)
            left_bytes -= size
    return golden


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which personal facts some promotion of a programme asks."""

    birthday: bool
    children: bool
    gender: bool
    organisation: bool
    registered: bool
    last_purchase: bool
    attributes: frozenset[str]


def nobodys(receipt: Receipt, name: str, asked: Asked) -> Receipt:
    """The receipt under another name, without what would point at a person."""
    customer = receipt.customer
    return replace(
        receipt,
        receipt_id=name,
        customer=None if customer is None else _anyone(customer, asked),
        coupons=[
            Coupon(code=f"GOLDEN-{number}", series=coupon.series, state=coupon.state)
            for number, coupon in enumerate(receipt.coupons, start=1)
        ],
        # The first digits of a card say the bank; more of them would say whose it is.
        payments=[replace(each, bin=each.bin[:6]) for each in receipt.payments],
    )


def _anyone(customer: Customer, asked: Asked) -> Customer:
    return replace(
        customer,
        id=None,
        birthday=customer.birthday if asked.birthday else None,
        children=customer.children if asked.children else [],
        gender=customer.gender if asked.gender else None,
        organisation=customer.organisation if asked.organisation else None,
        registered=customer.registered if asked.registered else None,
        last_purchase=customer.last_purchase if asked.last_purchase else None,
        attributes={
            key: value for key, value in customer.attributes.items() if key in asked.attributes
        },
    )


def asked_by(program: Program) -> Asked:
    """What the conditions of a programme, however deep, ask of a customer."""
    births: list[Birthday] = []
    tests: list[CustomerIs] = []
    for group in program.groups:
        for promotion in group.promotions:
            for node in _nodes(promotion.when):
                if isinstance(node, Birthday):
                    births.append(node)
                elif isinstance(node, CustomerIs):
                    tests.append(node)
    return Asked(
        birthday=any(each.of == "self" for each in births)
        or any(each.age_years is not None for each in tests),
        children=any(each.of != "self" for each in births),
        gender=any(each.genders is not None for each in tests),
        organisation=any(each.organisations is not None for each in tests),
        registered=any(each.registered_days is not None for each in tests),
        last_purchase=any(each.last_purchase_days is not None for each in tests),
        attributes=frozenset(attribute.key for each in tests for attribute in each.attributes),
    )


def _nodes(value: Any) -> Iterator[msgspec.Struct]:
    """A condition and everything in it."""
    if isinstance(value, msgspec.Struct):
        yield value
        for name in value.__struct_fields__:
            yield from _nodes(getattr(value, name))
    elif isinstance(value, list):
        for each in value:
            yield from _nodes(each)
