"""What an agent asks head office about a sale whose goods come back, and the answer.

One question does both: it tells what was sold and what has come back of it in any shop, and, where
a return is named, sets its goods aside so that no other shop takes the same piece. Structures are
arrays whose fields are only ever appended.
"""

from __future__ import annotations

from typing import Final

import msgspec

from shared.wire.refund_json import LineReturned

SALES_PATH: Final = "/v1/sales"
UNKNOWN_SALE: Final = "unknown_sale"
"""Head office has no such sale. The agent that made it may not have sent it yet."""
SALE_AMBIGUOUS: Final = "sale_ambiguous"
"""Several tills of that shop have used this receipt id: the register tells them apart."""
SALES_OFFLINE: Final = "sales_offline"
"""Head office does not answer."""


class SaleAsk(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Which sale, and the return it is asked for.

    ``edge_id``: whose return it is; a hub asks for its tills. ``register``: empty for any of the
    shop's. ``sale_uid``: the record of the sale, where the agent made it itself; then head office
    need not have it. ``return_id`` empty: nothing is set aside. ``return_uid``: the record that the
    return will be. ``wanted``: what comes back.
    """

    edge_id: int
    store_id: str
    receipt_id: str
    register: str = ""
    sale_uid: bytes = b""
    return_id: str = ""
    return_uid: bytes = b""
    wanted: list[LineReturned] = []


class SaleReply(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The sale, and what has come back of it or is set aside for other returns.

    ``fact``: the ``ReceiptCommitted`` as it was recorded; empty where the asker has it.
    ``returned``: quantities by line; ``counted``: the records of the returns in it, so that the
    asker adds those of its own that head office has not heard of.
    """

    sale_uid: bytes
    fact: bytes
    returned: list[LineReturned]
    counted: list[bytes]
