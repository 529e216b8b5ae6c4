"""A till's talk with central: its records go through the hub where there is one."""

from __future__ import annotations

from pathlib import Path

from edge_agent.lan.path import HubPath
from edge_agent.uplink.dates import Dates
from edge_agent.uplink.transport import Transport
from shared.wire.stream import Ack, Batch, Refusal


class TillTransport(Transport):
    """``Transport`` that tries the hub's way first; everything else goes directly."""

    def __init__(
        self,
        central_url: str,
        *,
        path: HubPath,
        credential: str | None = None,
        ca_file: Path | None = None,
        dates: Dates | None = None,
        addresses: Path | None = None,
    ) -> None:
        super().__init__(
            central_url, credential=credential, ca_file=ca_file, dates=dates, addresses=addresses
        )
        self._path = path

    async def put_batch(self, edge_id: int, lane: int, epoch: int, batch: Batch) -> Ack | Refusal:
        """Send records of one stream."""
        answer = await self._path.put_batch(edge_id, lane, epoch, batch)
        if answer is not None:
            return answer
        return await super().put_batch(edge_id, lane, epoch, batch)
