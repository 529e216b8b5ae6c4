"""Sales without end, as the records an agent chains."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from rules_compiler.pipeline import compile_document
from shared.engine.evaluate import evaluate
from shared.engine.ready import Ready
from shared.wire.facts import FactKind, Incident, LeaseSpend, ReceiptCommitted
from shared.wire.receipt_json import decode_receipt
from shared.wire.stream import STREAM_SCHEMA_VERSION, Lane, Record
from tests.support.programmes import TEA_AND_POINTS

FIRST_MS = 1_793_606_400_000


def sales(seed: int) -> Iterator[ReceiptCommitted]:
    """Tea and other goods, by the piece and by weight, with and without a card and points."""
    rng = random.Random(seed)
    now_ms = FIRST_MS
    number = 0
    while True:
        number += 1
        now_ms += rng.randrange(90_000)
        document: dict[str, Any] = {
            "receipt_id": f"R1-{number:06d}",
            "store": "S1",
            "register": "R1",
            "time": f"2026-11-02T{rng.randrange(8, 22):02d}:15:00+03:00",
            "lines": [
                {
                    "line": line,
                    "sku": rng.choice(["tea", f"46{rng.randrange(10**6):011d}"]),
                    "qty": rng.choice(["1", "2", "0.345"]),
                    "price": f"{rng.randrange(1, 900)}.{rng.randrange(100):02d}",
                    "category": rng.choice(["food/tea", "food/bread"]),
                }
                for line in range(1, rng.randrange(1, 12) + 1)
            ],
        }
        if rng.random() < 0.6:
            document["customer"] = {"id": f"c{rng.randrange(50)}", "points": {"main": "99.50"}}
            document["spend"] = {"account": "main", "points": "max"}
        receipt = decode_receipt(document)
        answer = evaluate(_tea_and_points(), receipt)
        yield ReceiptCommitted(
            receipt_id=receipt.receipt_id,
            store_id="S1",
            register="R1",
            business_date="2026-11-02",
            committed_at_ms=now_ms,
            bundle_version=1,
            receipt=receipt,
            answer=answer,
            lease_spends=[
                LeaseSpend(
                    lease_id=rng.choice([None, "L1"]),
                    account=spent.account,
                    points_centi=spent.points_centi,
                    spend_uid=rng.randbytes(16),
                )
                for spent in answer.spent
            ],
            incidents=[Incident(code="to_pay_differs", detail="1")] if rng.random() < 0.1 else [],
        )


def sale_records(seed: int) -> Iterator[bytes]:
    """The same, encoded, with uids by the seed."""
    rng = random.Random(f"{seed}-uid")
    for seq, fact in enumerate(sales(seed), start=1):
        yield msgspec.msgpack.encode(
            Record(
                uid=rng.randbytes(16),
                lane=int(Lane.RECEIPTS),
                epoch=1,
                seq=seq,
                recorded_at_ms=fact.committed_at_ms,
                kind=FactKind.RECEIPT_COMMITTED,
                schema_version=STREAM_SCHEMA_VERSION,
                body=msgspec.msgpack.encode(fact),
            )
        )


@cache
def _tea_and_points() -> Ready:
    compilation = compile_document(json.dumps(TEA_AND_POINTS | {"version": 1}).encode())
    assert compilation.program is not None, compilation.diagnostics
    return Ready(compilation.program)
