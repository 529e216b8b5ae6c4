"""A head office that takes every record and tells nothing, so that an agent's queue empties."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web
from support.shop import EDGE_ID, NONCE

from shared.crypto.chain import chain_fold, chain_genesis
from shared.frames import LAYOUT_COLUMNS, decode_batch, encoded_records
from shared.limits import BATCH_RECORDS_MAX
from shared.system import SystemClock
from shared.wire.enrol import HelloReply, LaneHead
from shared.wire.feed import FeedPage
from shared.wire.stream import Ack, Lane

_EPOCH = 1
_CLOCK = SystemClock()


class HeadOffice:
    """Knows of each lane how far it has come."""

    def __init__(self) -> None:
        self._heads = {
            lane: LaneHead(
                lane=lane, epoch=_EPOCH, seq=0, hash=chain_genesis(EDGE_ID, lane, _EPOCH, NONCE)
            )
            for lane in Lane
        }

    async def hello(self, _request: web.Request) -> web.Response:
        """All is well."""
        reply = HelloReply(
            heads=list(self._heads.values()),
            server_time_ms=_CLOCK.now_ms(),
            hello_interval_s=30,
            frame_layout=LAYOUT_COLUMNS,
        )
        return web.Response(body=msgspec.json.encode(reply), content_type="application/json")

    async def stream(self, request: web.Request) -> web.Response:
        """Take a batch; the agent sends them in order."""
        batch = decode_batch(await request.read())
        lane = Lane(int(request.match_info["lane"]))
        head = self._heads[lane]
        assert (batch.first_seq, batch.previous_hash) == (head.seq + 1, head.hash), "in order"
        chained = chain_fold(head.hash, encoded_records(batch))
        self._heads[lane] = LaneHead(lane=lane, epoch=_EPOCH, seq=batch.last_seq, hash=chained)
        ack = Ack(
            epoch=_EPOCH,
            seq=batch.last_seq,
            hash=chained,
            verdicts=[],
            next_batch_records_max=BATCH_RECORDS_MAX,
            pause_ms=0,
            server_time_ms=_CLOCK.now_ms(),
        )
        body = msgspec.msgpack.encode(ack)
        return web.Response(body=body, content_type="application/msgpack")

    async def feed(self, request: web.Request) -> web.Response:
        """Nothing new, after as long as the agent waits."""
        await asyncio.sleep(float(request.query["wait_s"]))
        page = FeedPage(cursor=request.query["cursor"], changes=[], complete=True)
        body = msgspec.msgpack.encode(page)
        return web.Response(body=body, content_type="application/msgpack")


async def main() -> None:
    """Serve until told to stop."""
    office = HeadOffice()
    app = web.Application(client_max_size=2**26)
    app.add_routes(
        [
            web.post("/v1/hello", office.hello),
            web.put("/v1/streams/{edge}/{lane}/{epoch}/{range}", office.stream),
            web.get("/v1/feed", office.feed),
        ]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print("ready http://{}:{}".format(*runner.addresses[0][:2]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
