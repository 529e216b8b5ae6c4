"""The calls that bring records: a place, a body, a turn, and central's answer."""

from __future__ import annotations

import msgspec
from aiohttp import web

from central.database.pool import Pool
from central.fleet import store as fleet
from central.uplink.enrol import Caller, Enrolment
from central.uplink.gate import Gate, read_body
from central.uplink.ingest import Ingest, Stream
from shared.clock import Clock
from shared.errors import ForbiddenError, InputError
from shared.frames import decode_batch
from shared.limits import UPLINK_BODY_BYTES_MAX
from shared.wire.stream import Ack, Batch, Refusal, RefusalCode

_MSGPACK = "application/msgpack"
_REFUSED, _FROZEN = 409, 423
_RUN = r"{edge:\d{1,18}}/{lane:[0-3]}/{epoch:\d{1,9}}/{first:\d{1,18}}-{last:\d{1,18}}"
_SEQ_MAX = 2**63 - 1


class Streams:
    """Takes batches of agents' own streams, and of those that they adopt."""

    def __init__(
        self, pool: Pool, clock: Clock, enrolment: Enrolment, ingest: Ingest, gate: Gate
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._enrolment = enrolment
        self._ingest = ingest
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """The addresses."""
        return [
            web.put(f"/v1/streams/{_RUN}", self.own),
            web.put(f"/v1/adopted/{_RUN}", self.adopted),
        ]

    async def own(self, request: web.Request) -> web.Response:
        """Take a batch of records; a hub may bring those of its store's tills."""
        caller = await self._caller(request)
        edge_id = int(request.match_info["edge"])
        if edge_id != caller.edge_id:
            async with self._pool.connection() as connection:
                carries = await fleet.may_carry(connection, caller.edge_id, edge_id)
            if not carries:
                raise ForbiddenError("an agent writes only its own streams, or its tills'")
        return await self._answer(request, caller, adopted=False)

    async def adopted(self, request: web.Request) -> web.Response:
        """Take a batch that was written under another epoch, or by the edge that this one was."""
        return await self._answer(request, await self._caller(request), adopted=True)

    async def _caller(self, request: web.Request) -> Caller:
        caller = await self._enrolment.caller_of(request.headers.get("Authorization"))
        if caller.state == "revoked":
            raise ForbiddenError("this agent is revoked", code="revoked")
        return caller

    async def _answer(self, request: web.Request, caller: Caller, *, adopted: bool) -> web.Response:
        path = request.match_info
        lane, epoch = int(path["lane"]), int(path["epoch"])
        first, last = int(path["first"]), int(path["last"])
        if caller.state == "frozen":
            return _response(
                Refusal(
                    code=RefusalCode.FROZEN,
                    epoch=epoch,
                    seq=0,
                    hash=b"",
                    detail="a person has frozen this agent",
                )
            )
        edge_id = int(path["edge"])
        async with self._gate.place(caller.store_id, (edge_id, lane), last - first + 1) as ticket:
            body = await read_body(request, self._clock, bytes_max=UPLINK_BODY_BYTES_MAX)
            batch = decode_batch(body)
            _check_address(batch, first, last)
            stream = Stream(
                edge_id=edge_id,
                store_id=caller.store_id,
                lane=lane,
                epoch=epoch,
                by_edge_id=caller.edge_id if adopted else None,
            )
            await self._gate.turn(ticket)
            take = self._ingest.adopt if adopted else self._ingest.take
            answer = await take(stream, batch)
        if isinstance(answer, Ack):
            advice = self._gate.advice()
            answer = msgspec.structs.replace(
                answer,
                next_batch_records_max=advice.next_batch_records_max,
                pause_ms=advice.pause_ms,
            )
        return _response(answer)


def _check_address(batch: Batch, first: int, last: int) -> None:
    if (batch.first_seq, batch.last_seq) != (first, last) or last > _SEQ_MAX:
        raise InputError("the address names other records than the batch", code="bad_batch")


def _response(answer: Ack | Refusal) -> web.Response:
    status = 200
    if isinstance(answer, Refusal):
        status = _FROZEN if answer.code is RefusalCode.FROZEN else _REFUSED
    return web.Response(status=status, body=msgspec.msgpack.encode(answer), content_type=_MSGPACK)
