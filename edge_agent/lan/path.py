"""The way of a till's records to central: through the hub, and directly when the hub does not help.

Both ways may be used at once: central counts every record once. What came through the hub is
believed no more than what came directly, for an acknowledgement is checked against the till's own
chain.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from edge_agent.lan.till import TillDesk
from shared.errors import AppError
from shared.unreadable import UNREADABLE
from shared.wire.lan import RelayAnswer
from shared.wire.stream import Ack, Batch, Refusal, RefusalCode

LOOKS_MAX: Final = 5
LOOK_S: Final = 0.2
"""How often and how long apart a till looks whether its hub has brought the batch to central."""
_ACK: Final = msgspec.msgpack.Decoder(Ack)
_REFUSAL: Final = msgspec.msgpack.Decoder(Refusal)


class HubPath:
    """The way through the hub."""

    def __init__(
        self, *, desk: TillDesk, edge_id: int, pause: Callable[[float], Awaitable[None]]
    ) -> None:
        self._desk = desk
        self._edge_id = edge_id
        self._pause = pause

    async def put_batch(
        self, edge_id: int, lane: int, epoch: int, batch: Batch
    ) -> Ack | Refusal | None:
        """Central's answer as the hub brought it; None: send directly. Never raises."""
        if edge_id != self._edge_id:
            return None
        try:
            return await self._through_hub(lane, epoch, batch)
        except (AppError, *UNREADABLE):
            return None

    async def _through_hub(self, lane: int, epoch: int, batch: Batch) -> Ack | Refusal | None:
        said = await self._desk.relay(lane, epoch, msgspec.msgpack.encode(batch))
        for _ in range(LOOKS_MAX):
            if said is None:
                return None
            answer = _answer_to(said, batch, epoch)
            if answer is not None or said.kind == "refusal" or not said.online or said.reason:
                return answer
            await self._pause(LOOK_S)
            said = await self._desk.relay(lane, epoch, b"")
        return None


def _answer_to(said: RelayAnswer, batch: Batch, epoch: int) -> Ack | Refusal | None:
    """What central said, if it is about this batch and the till can check it.

    An acknowledgement and a gap name a hash of the till's own chain. Any other refusal stops a lane
    until a person decides, so it is heard from central itself.
    """
    if said.kind == "ack":
        ack = _ACK.decode(said.answer)
        return ack if ack.epoch == epoch and ack.seq >= batch.last_seq else None
    if said.kind == "refusal":
        refusal = _REFUSAL.decode(said.answer)
        return refusal if refusal.code is RefusalCode.GAP and refusal.epoch == epoch else None
    return None
