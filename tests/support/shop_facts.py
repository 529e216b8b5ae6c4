"""Facts for tests of the shop's records."""

from __future__ import annotations

from typing import Any

import msgspec

from edge_agent.outbox.store import Fact
from shared.wire.answer import Answer, Totals
from shared.wire.facts import FactKind, LeaseSpend, LeaseSpent, ReceiptCommitted
from shared.wire.receipt import Receipt


def encode(value: Any) -> bytes:
    """msgpack, as records hold it."""
    return msgspec.msgpack.encode(value)


def uid_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def a_fact(number: int, *, at_ms: int | None = None) -> Fact:
    """Something of no known kind."""
    return Fact(
        uid=uid_of(number),
        kind="test",
        body=b"x" * (number % 50),
        recorded_at_ms=number if at_ms is None else at_ms,
    )


def a_sale(receipt_id: str, *, spends: list[LeaseSpend] | None = None) -> ReceiptCommitted:
    """An empty sale."""
    return ReceiptCommitted(
        receipt_id=receipt_id,
        store_id="S1",
        register="R1",
        business_date="2026-11-23",
        committed_at_ms=1,
        bundle_version=1,
        receipt=Receipt(
            receipt_id=receipt_id,
            store="S1",
            register="R1",
            time="2026-11-23T12:00:00+03:00",
            lines=[],
        ),
        answer=an_answer(receipt_id),
        lease_spends=spends or [],
        incidents=[],
    )


def an_answer(receipt_id: str) -> Answer:
    """What the engine says of nothing."""
    return Answer(
        receipt_id=receipt_id,
        programme="shops",
        version=1,
        optimal=True,
        lines=[],
        total=Totals(
            list_minor=0, discount_minor=0, net_minor=0, points_spent_minor=0, to_pay_minor=0
        ),
    )


def a_spend(number: int, *, lease: str = "L1", amount: int = 5) -> Fact:
    """A right that was used."""
    return Fact(
        uid=uid_of(number),
        kind=FactKind.LEASE_SPENT,
        body=encode(
            LeaseSpent(
                lease_id=lease,
                sub_lease_id=None,
                owner="c1",
                asset="points:main",
                amount=amount,
                receipt_id=f"r{number}",
                spent_at_ms=1,
            )
        ),
        recorded_at_ms=number,
    )
