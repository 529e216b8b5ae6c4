"""Make the rows of new members again from their facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import apsw
import msgspec

from edge_agent.loyalty.newcomers import Newcomer, put_newcomer
from edge_agent.witness.rebuild import Remembered, Replay
from shared.wire.facts import FactKind
from shared.wire.members import MemberRegistered

_REGISTERED: Final = msgspec.msgpack.Decoder(MemberRegistered)
_LOCAL: Final = msgspec.msgpack.Decoder(tuple[str, str, bytes | None])


def local_of(operation_id: str, phone_end: str, phone_tag: bytes | None) -> bytes:
    """What only this shop needs of the fact."""
    return msgspec.msgpack.encode((operation_id, phone_end, phone_tag))


def _registered(connection: apsw.Connection, remembered: Remembered) -> None:
    fact = _REGISTERED.decode(remembered.body)
    operation_id, phone_end, phone_tag = _LOCAL.decode(remembered.local)
    put_newcomer(
        connection,
        Newcomer(
            operation_id=operation_id,
            uid=remembered.uid,
            customer_id=fact.customer_id,
            owner=None,
            is_new=True,
            card_taken=fact.card_tag is not None,
            phone_end=phone_end,
            phone_tag=phone_tag,
            card_tag=fact.card_tag,
            registered_at_ms=fact.registered_at_ms,
        ),
    )


REPLAYS: Final[Mapping[str, Replay]] = {FactKind.MEMBER_REGISTERED: _registered}
"""What makes the rows of each kind again."""
