"""A shop's folder as enrolment would leave it, with a programme, goods, members and coupons."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from edge_agent.bundles.store import write_bundle_file
from edge_agent.catalogue.store import put_coupon, put_product
from edge_agent.config import (
    BUNDLES_FOLDER,
    CONFIG_FILE,
    CREDENTIAL_FILE,
    DATABASE_FILE,
    DEVICE_KEY_FILE,
    TILL_TOKEN_FILE,
    TRUSTED_KEYS_FILE,
    Config,
    write_private,
)
from edge_agent.database.connection import open_writer
from edge_agent.loyalty.store import put_balance, put_customer, put_lease
from edge_agent.members.keys import KEYS_FILE
from edge_agent.outbox.store import start_stream
from rules_compiler.pipeline import compile_document
from shared.bundle.writer import write_bundle
from shared.crypto.sealing import Opener
from shared.crypto.signing import Signer
from shared.crypto.tags import card_tag
from shared.wire.enrol import LaneStart, TrustedKey
from shared.wire.feed import (
    BalanceEntry,
    CouponEntry,
    CustomerEntry,
    LeaseEntry,
    LeaseState,
    ProductEntry,
)
from shared.wire.members import MemberKeys
from shared.wire.stream import Lane
from tests.support.programmes import TEA_AND_POINTS

TOKEN: Final = "till-" + "t" * 40
HEADERS: Final = {"Authorization": f"Bearer {TOKEN}"}
STORE: Final = "S1"
MEMBER_KEYS: Final = MemberKeys(
    phone_salt=b"s" * 16, phone_key=b"", seal_key=Opener(b"o" * 32).public_key, code_keys=[]
)
"""As an agent keeps them that has once heard head office."""
TIME: Final = "2026-11-23T12:00:00+03:00"
SIGNER: Final = Signer(b"k" * 32)
FAR_MS: Final = 4_102_444_800_000
STARTS: Final = [LaneStart(lane=lane, epoch=1, nonce=b"n" * 16) for lane in Lane]
PROGRAMME: Final[dict[str, Any]] = {
    **TEA_AND_POINTS,
    "promotions": [
        *TEA_AND_POINTS["promotions"],
        {
            "id": "food",
            "name": "Five off food with a coupon",
            "group": "shelf",
            "when": {"coupon": ["FOOD"]},
            "then": [{"do": "discount_receipt", "amount": "5.00"}],
        },
    ],
}


def a_bundle(version: int, **changes: Any) -> bytes:
    """A signed bundle of the test programme."""
    document = {**PROGRAMME, "version": version, **changes}
    compilation = compile_document(json.dumps(document).encode())
    assert compilation.program is not None, compilation.diagnostics
    return write_bundle(compilation.program, SIGNER, created_at_ms=1)


def device_key(edge_id: int) -> bytes:
    """The private device key of a test's agent."""
    return bytes([edge_id]) * 32


def make_shop(
    folder: Path,
    *,
    bundle: bytes | None,
    central_url: str = "http://127.0.0.1:9",
    edge_id: int = 7,
    starts: Sequence[LaneStart] = STARTS,
    **settings: Any,
) -> None:
    """Fill a folder: member c1 (card 100, 50 points, a lease of 30), c2 (card 200, blocked).

    The lease is edge 7's. ``starts``: the streams as central began them. ``settings``: more of
    the configuration.
    """
    folder.mkdir(exist_ok=True)
    (folder / BUNDLES_FOLDER).mkdir()
    keys = base64.b64encode(msgspec.msgpack.encode(MEMBER_KEYS))
    write_private(folder / KEYS_FILE, keys)
    if bundle is not None:
        write_bundle_file(folder / BUNDLES_FOLDER, 1, bundle)
    keys = [TrustedKey(key_id=SIGNER.key_id, public_key=SIGNER.public_key)]
    write_private(folder / TRUSTED_KEYS_FILE, msgspec.json.encode(keys))
    write_private(folder / TILL_TOKEN_FILE, TOKEN.encode())
    write_private(folder / CREDENTIAL_FILE, b"kpe_7_" + b"A" * 32)
    write_private(folder / DEVICE_KEY_FILE, device_key(edge_id))
    config = Config(
        central_url=central_url, edge_id=edge_id, store_id=STORE, listen_port=0, **settings
    )
    write_private(folder / CONFIG_FILE, config.to_toml().encode())
    connection = open_writer(folder / DATABASE_FILE)
    for start in starts:
        start_stream(connection, edge_id, start)
    put_product(connection, ProductEntry(sku="tea", name="Tea", category="food/tea"))
    put_coupon(connection, CouponEntry(code="GOOD", series="FOOD"))
    put_coupon(connection, CouponEntry(code="OLD", series="FOOD", valid_to_date="2026-11-22"))
    put_customer(connection, CustomerEntry(customer_id="c1", card_tags=[card_tag("100")]))
    put_customer(
        connection, CustomerEntry(customer_id="c2", card_tags=[card_tag("200")], blocked=True)
    )
    put_balance(
        connection,
        BalanceEntry(customer_id="c1", account="main", available_centi=5_000, as_of_ms=1),
    )
    lease = LeaseEntry(
        lease_id="L1",
        owner="c1",
        asset="points:main",
        granted=3_000,
        spend_until_ms=FAR_MS,
        state=LeaseState.OPEN,
        edge_id=7,
    )
    put_lease(connection, lease, 1)
    connection.close()


def till_receipt(receipt_id: str, **more: Any) -> dict[str, Any]:
    """What a till sends: two teas at 100.00; ``more`` adds or replaces keys."""
    return {
        "receipt_id": receipt_id,
        "store": STORE,
        "register": "R1",
        "time": TIME,
        "lines": [{"line": 1, "sku": "tea", "qty": "2", "price": "100.00"}],
        **more,
    }
