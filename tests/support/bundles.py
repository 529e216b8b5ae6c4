"""A small programme, receipts for it, and bundles made by hand, with a good signature or none."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
import zstandard

from shared.bundle.layout import LENGTH_BYTES, MAGIC, SIGNATURE_KIND, BundleHeader
from shared.crypto.signing import Signer
from shared.engine.program import (
    ENGINE_VERSION,
    EVERYTHING,
    Account,
    AccruePoints,
    AllOf,
    CouponShown,
    CustomerIs,
    DiscountGoods,
    Filter,
    Group,
    Index,
    Program,
    Promotion,
    Resolve,
)
from shared.wire.receipt import Coupon, Customer, Receipt, ReceiptLine

SIGNER: Final = Signer(bytes(range(32)))
TRUSTED: Final = {SIGNER.key_id: SIGNER.public_key}
TEA: Final = Filter(skus=frozenset({"tea", "green-tea", "black-tea"}))


def a_program(version: int = 42, *, percent_ppm: int = 100_000) -> Program:
    """Percents off tea, more off cheese for a coupon, points for members."""
    tea = Promotion(id="tea", results=[DiscountGoods(filter=TEA, percent_ppm=percent_ppm)])
    cheese = Promotion(
        id="cheese",
        results=[DiscountGoods(filter=Filter(skus=frozenset({"cheese"})), percent_ppm=250_000)],
        when=AllOf(parts=[CouponShown(series=frozenset({"CHEESE"}), codes=frozenset())]),
    )
    points = Promotion(
        id="points",
        results=[AccruePoints(account="main", filter=EVERYTHING, percent_ppm=30_000)],
        when=CustomerIs(identified=True),
    )
    return Program(
        programme="supermarkets",
        version=version,
        currency="RUB",
        timezone="Europe/Moscow",
        groups=[
            Group(id="goods", resolve=Resolve.ALL, promotions=[cheese, tea]),
            Group(id="points", resolve=Resolve.ALL, promotions=[points]),
        ],
        accounts=[Account(id="main")],
        index=Index(
            sku={"tea": [1], "green-tea": [1], "black-tea": [1], "cheese": [0]}, always=[2]
        ),
    )


def receipts(count: int) -> list[Receipt]:
    """As many receipts, each somewhat different."""
    return [
        Receipt(
            receipt_id=f"golden-{number}",
            store="S1",
            time="2026-11-23T12:00:00+03:00",
            lines=[
                ReceiptLine(
                    line=1, sku="tea", quantity_milli=number % 5 * 1000 + 1000, price_minor=9_990
                ),
                ReceiptLine(
                    line=2,
                    sku="cheese",
                    quantity_milli=1_001 + number,
                    price_minor=54_321,
                    weighed=True,
                    attributes={"fat": "45", "aged": "12"},
                ),
            ],
            customer=Customer(segments=["regular"]) if number % 2 else None,
            coupons=[Coupon(code="GOLDEN-1", series="CHEESE")] if number % 3 else [],
        )
        for number in range(1, count + 1)
    ]


def header_of(payload: bytes, frame: bytes) -> BundleHeader:
    """The header that fits a payload of ``a_program()`` and its frame."""
    return BundleHeader(
        programme="supermarkets",
        version=42,
        currency="RUB",
        timezone="Europe/Moscow",
        engine_min=ENGINE_VERSION,
        engine_max=ENGINE_VERSION,
        created_at_ms=1,
        payload_sha256=hashlib.sha256(payload).digest(),
        payload_bytes=len(payload),
        frame_bytes=len(frame),
    )


def signed_by_hand(payload: bytes, frame: bytes | None = None, **changes: object) -> bytes:
    """A bundle with a good signature over whatever the header is made to say."""
    frame = zstandard.compress(payload) if frame is None else frame
    header = msgspec.structs.replace(header_of(payload, frame), **changes)
    return signed_parts(msgspec.msgpack.encode(header), frame)


def signed_parts(header: bytes, frame: bytes) -> bytes:
    """The bundle of an encoded header and a frame."""
    signed = MAGIC + len(header).to_bytes(LENGTH_BYTES, "big") + header + frame
    return signed + SIGNER.key_id.encode() + SIGNER.sign(SIGNATURE_KIND, signed)
