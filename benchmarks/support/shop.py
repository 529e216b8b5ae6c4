"""A shop's folder of any size, filled by the ways a running shop's is: enrolment and the feed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
from programmes import article, realistic_programme

from edge_agent.bundles.store import write_bundle_file
from edge_agent.config import (
    BUNDLES_FOLDER,
    CONFIG_FILE,
    CREDENTIAL_FILE,
    DATABASE_FILE,
    TILL_TOKEN_FILE,
    TRUSTED_KEYS_FILE,
    Config,
    write_private,
)
from edge_agent.database.connection import open_writer
from edge_agent.outbox.store import start_stream
from edge_agent.uplink.apply import STEP_KEYS, apply_page
from rules_compiler.pipeline import compile_document
from shared.bundle.writer import write_bundle
from shared.crypto.signing import Signer
from shared.crypto.tags import card_tag
from shared.wire.enrol import LaneStart, TrustedKey
from shared.wire.feed import (
    BalanceEntry,
    CustomerEntry,
    FeedChange,
    FeedPage,
    Operation,
    ProductEntry,
    StoreEntry,
    Topic,
)
from shared.wire.stream import Lane

TOKEN: Final = "till-" + "t" * 40
EDGE_ID: Final = 7
NONCE: Final = b"n" * 16
NOBODY: Final = "http://127.0.0.1:9"
"""A head office that never answers."""
_SIGNER: Final = Signer(b"k" * 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much a shop knows."""

    promotions: int
    products: int
    members: int


def fill_folder(folder: Path, size: Size, central_url: str = NOBODY) -> None:
    """An agent's folder as enrolment and the feed leave it."""
    folder.mkdir(parents=True)
    (folder / BUNDLES_FOLDER).mkdir()
    document = json.dumps(realistic_programme(size.promotions)).encode()
    program = compile_document(document).program
    assert program is not None, "it is a valid programme"
    bundle = write_bundle(program, _SIGNER, created_at_ms=0)
    write_bundle_file(folder / BUNDLES_FOLDER, 1, bundle)
    keys = [TrustedKey(key_id=_SIGNER.key_id, public_key=_SIGNER.public_key)]
    write_private(folder / TRUSTED_KEYS_FILE, msgspec.json.encode(keys))
    write_private(folder / TILL_TOKEN_FILE, TOKEN.encode())
    write_private(folder / CREDENTIAL_FILE, b"kpe_7_" + b"A" * 32)
    config = Config(central_url=central_url, edge_id=EDGE_ID, store_id="S1", listen_port=0)
    write_private(folder / CONFIG_FILE, config.to_toml().encode())
    connection = open_writer(folder / DATABASE_FILE)
    for lane in Lane:
        start_stream(connection, EDGE_ID, LaneStart(lane=lane, epoch=1, nonce=NONCE))
    changes = _changes(size)
    while some := list(islice(changes, STEP_KEYS)):
        with connection:
            apply_page(connection, FeedPage(cursor=some[-1].key, changes=some, complete=True))
    connection.close()


def card_of(member: int) -> str:
    """The number on a member's card."""
    return f"9900{member:09d}"


def _changes(size: Size) -> Iterator[FeedChange]:
    store = StoreEntry(store_id="S1", name="Maple Street", timezone="Europe/Moscow", currency="RUB")
    yield _put(Topic.STORE, "S1", store)
    for number in range(size.products):
        goods = article(number)
        entry = ProductEntry(
            sku=goods["sku"],
            name=f"Article of the supplier number {number}",
            category=goods["category"],
            brand=goods["brand"],
            weighed=goods["weighed"],
            min_price_minor=1_000,
        )
        yield _put(Topic.PRODUCT, entry.sku, entry)
    for number in range(size.members):
        name = f"mem_{number:012d}"
        member = CustomerEntry(
            customer_id=name,
            card_tags=[card_tag(card_of(number))],
            segments=["regular", "family"],
            level="gold",
        )
        yield _put(Topic.CUSTOMER, name, member)
        balance = BalanceEntry(customer_id=name, account="main", available_centi=15_000, as_of_ms=1)
        yield _put(Topic.BALANCE, f"{name}/main", balance)


def _put(topic: Topic, key: str, entry: msgspec.Struct) -> FeedChange:
    return FeedChange(
        topic=topic,
        key=key,
        operation=Operation.PUT,
        version=1,
        payload=msgspec.msgpack.encode(entry),
    )
