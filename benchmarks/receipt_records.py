"""Records of sales as an agent chains them, for measuring what travels and what is taken in.

Each chain of shops has its own way of naming goods, tills and promotions, so that nothing measured
on one is what a dictionary was trained on. Baskets are of 1 to 40 lines, 7.6 on average; six of ten
customers show a card. Run by itself it tells sizes, and writes build/bench/receipt_records.json.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import msgspec
from programmes import FOLDER, realistic_programme, realistic_receipt

from rules_compiler.pipeline import compile_document
from shared.engine.evaluate import evaluate
from shared.engine.ready import Ready
from shared.wire.facts import FactKind, ReceiptCommitted
from shared.wire.receipt_json import decode_receipt
from shared.wire.stream import Lane, Record

MEMBERS: Final = 40_000
PROMOTIONS: Final = 1_000
LINES_MAX: Final = 40
_MEAN_LINES: Final = 3.8
"""Of the gamma distribution of shape 2, cut at 1 and 40: 7.6 lines."""
_FIRST_MS: Final = int(datetime(2026, 11, 2, 8, tzinfo=UTC).timestamp() * 1000)
_CHAINS: Final[dict[str, dict[str, str]]] = {
    "first": {},
    "second": {"460000": "200001", "promo-": "P", "brand-": "Марка ", "c-": "100", "R": "kassa-"},
    "third": {"460000": "SKU-", "promo-": "act/", "brand-": "b", "c-": "C", "R": "0"},
}


class Chain:
    """One chain of shops: its programme, and its sales as records."""

    def __init__(self, name: str, seed: int) -> None:
        self._names = _CHAINS[name]
        self._rng = random.Random(f"{name}-{seed}")
        programme = self._named(realistic_programme(PROMOTIONS))
        compilation = compile_document(json.dumps(programme).encode())
        assert compilation.program is not None, compilation.diagnostics
        self._ready = Ready(compilation.program)
        self._now_ms = _FIRST_MS
        self._number = 0

    def facts(self, store: str) -> Iterator[ReceiptCommitted]:
        """Sales without end, a few tills of one store, in the order of time."""
        while True:
            self._number += 1
            yield self._fact(store)

    def records(self, store: str, first_seq: int = 1) -> Iterator[bytes]:
        """The same as encoded records."""
        for seq, fact in enumerate(self.facts(store), start=first_seq):
            yield msgspec.msgpack.encode(
                Record(
                    uid=self._rng.randbytes(16),
                    lane=int(Lane.RECEIPTS),
                    epoch=1,
                    seq=seq,
                    recorded_at_ms=fact.committed_at_ms,
                    kind=FactKind.RECEIPT_COMMITTED,
                    schema_version=1,
                    body=msgspec.msgpack.encode(fact),
                )
            )

    def _fact(self, store: str) -> ReceiptCommitted:
        rng = self._rng
        till = rng.randint(1, 4)
        self._now_ms += rng.randint(5_000, 90_000)
        told_s = self._now_ms // 1000 - rng.randint(1, 40)
        lines = min(max(round(rng.gammavariate(2, _MEAN_LINES)), 1), LINES_MAX)
        document = realistic_receipt(rng.randrange(2**32), lines)
        document |= {
            "receipt_id": f"{till}-{184_000 + self._number}",
            "register": f"R{till}",
            "store": store,
            "time": datetime.fromtimestamp(told_s, timezone(timedelta(hours=3))).isoformat(),
        }
        del document["coupons"]
        if rng.random() < 0.4:
            del document["customer"]
        else:
            document["customer"]["id"] = f"c-{rng.randrange(MEMBERS)}"
            document["customer"]["points"] = {"main": f"{rng.randrange(90_000) / 100:.2f}"}
        receipt = decode_receipt(self._named(document))
        return ReceiptCommitted(
            receipt_id=receipt.receipt_id,
            store_id=store,
            register=receipt.register,
            business_date=receipt.time[:10],
            committed_at_ms=self._now_ms,
            bundle_version=17,
            receipt=receipt,
            answer=evaluate(self._ready, receipt),
            lease_spends=[],
            incidents=[],
        )

    def _named(self, document: Any) -> Any:
        if not self._names:
            return document
        beginning = re.compile(r'"(' + "|".join(map(re.escape, self._names)) + r")(?=\d)")
        text = json.dumps(document, ensure_ascii=False)
        return json.loads(beginning.sub(lambda found: '"' + self._names[found[1]], text))


def main() -> None:
    """Sizes of the records themselves, chain by chain."""
    figures = {}
    for name in _CHAINS:
        records = Chain(name, 1).records("S1")
        sample = [next(records) for _ in range(500)]
        figures[name] = {"bytes": sum(map(len, sample)) / len(sample)}
        sys.stdout.write(f"{name}: {figures[name]['bytes']:.0f} bytes a record, unpacked\n")
    FOLDER.mkdir(parents=True, exist_ok=True)
    Path(FOLDER / "receipt_records.json").write_text(json.dumps(figures), "utf-8")


if __name__ == "__main__":
    main()
