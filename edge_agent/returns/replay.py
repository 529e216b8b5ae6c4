"""Make the rows of returns again from their facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import apsw
import msgspec

from edge_agent.returns.store import insert_return
from edge_agent.witness.rebuild import Remembered, Replay
from shared.wire.facts import FactKind, ReceiptReturned

_RETURNED: Final = msgspec.msgpack.Decoder(ReceiptReturned)


def _returned(connection: apsw.Connection, remembered: Remembered) -> None:
    """The return, so that nobody is paid twice; ``local`` is the till's body, hashed."""
    insert_return(
        connection,
        _RETURNED.decode(remembered.body),
        remembered.uid,
        remembered.body,
        local=remembered.local or bytes(32),
        at_ms=remembered.recorded_at_ms,
        again=True,
    )


REPLAYS: Final[Mapping[str, Replay]] = {FactKind.RECEIPT_RETURNED: _returned}
"""What makes the rows of each kind again."""
