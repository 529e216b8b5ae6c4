"""A central that only takes streams: chains checked, every batch idempotent, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from shared.crypto.chain import chain_fold, chain_genesis
from shared.errors import UnavailableError
from shared.frames import decode_batch, encoded_records
from shared.wire.stream import Ack, Batch, Refusal, RefusalCode


@dataclass(kw_only=True)
class _Stream:
    seq: int
    hash: bytes
    hashes: list[bytes]
    records: list[bytes] = field(default_factory=list)


class CentralStreams:
    """Heads of (edge, lane, epoch); ``bodies`` are all batches as they came, in order."""

    def __init__(self) -> None:
        self._streams: dict[tuple[int, int, int], _Stream] = {}
        self.bodies: list[bytes] = []
        self.down = False

    def begin(self, edge_id: int, lane: int, epoch: int, nonce: bytes) -> None:
        genesis = chain_genesis(edge_id, lane, epoch, nonce)
        self._streams[edge_id, lane, epoch] = _Stream(seq=0, hash=genesis, hashes=[genesis])

    def records(self, edge_id: int, lane: int, epoch: int = 1) -> list[bytes]:
        return self._streams[edge_id, lane, epoch].records

    async def put_batch(self, edge_id: int, lane: int, epoch: int, batch: Batch) -> Ack | Refusal:
        seqs = (batch.first_seq, batch.last_seq)
        body = msgspec.msgpack.encode(batch)
        taken, answer = await self.put_relayed(edge_id, lane, epoch, seqs, body)
        return msgspec.msgpack.decode(answer, type=Ack if taken else Refusal)

    async def put_relayed(
        self, edge_id: int, lane: int, epoch: int, seqs: tuple[int, int], body: bytes
    ) -> tuple[bool, bytes]:
        if self.down:
            raise UnavailableError("central is down")
        batch = decode_batch(body)
        assert seqs == (batch.first_seq, batch.last_seq)
        self.bodies.append(body)
        stream = self._streams[edge_id, lane, epoch]
        if batch.first_seq > stream.seq + 1:
            return False, self._refusal(RefusalCode.GAP, epoch, stream)
        if stream.hashes[batch.first_seq - 1] != batch.previous_hash:
            return False, self._refusal(RefusalCode.FORK, epoch, stream)
        for record in encoded_records(batch)[stream.seq + 1 - batch.first_seq :]:
            stream.hash = chain_fold(stream.hash, [record])
            stream.hashes.append(stream.hash)
            stream.records.append(record)
            stream.seq += 1
        ack = Ack(
            epoch=epoch,
            seq=stream.seq,
            hash=stream.hash,
            verdicts=[],
            next_batch_records_max=500,
            pause_ms=0,
            server_time_ms=1,
        )
        return True, msgspec.msgpack.encode(ack)

    def _refusal(self, code: RefusalCode, epoch: int, stream: _Stream) -> bytes:
        refusal = Refusal(code=code, epoch=epoch, seq=stream.seq, hash=stream.hash, detail="")
        return msgspec.msgpack.encode(refusal)
