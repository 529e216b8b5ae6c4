"""Hello: keep what an agent says of itself, compare the streams, and do what the policy decides."""

from __future__ import annotations

from typing import Final

from psycopg.rows import DictRow

from central.accounts import service as accounts
from central.accounts.lending import PROMISE_KEPT_MS
from central.database.pool import Connection, Pool, row_of, rows_of, run
from central.fleet import store as fleet
from central.uplink.enrol import Caller
from central.uplink.heads import hash_at
from central.uplink.policy import (
    EdgeView,
    HashKey,
    HelloDecision,
    Issue,
    StreamHead,
    StreamState,
    decide_hello,
    hashes_to_compare,
)
from central.uplink.reading import Stream
from shared.clock import Clock
from shared.crypto.chain import NONCE_BYTES, chain_genesis
from shared.errors import InputError
from shared.frames import LAYOUT_COLUMNS
from shared.ids import Chance
from shared.logs import get_logger
from shared.sqlfile import load_queries
from shared.wire.enrol import HelloReply, HelloRequest, LaneHead, LaneStart
from shared.wire.stream import Lane

HELLO_INTERVAL_S: Final = 30
_HEADS_MAX: Final = 16
"""Of each kind in one hello; there are four lanes, and an epoch before this one."""
_QUERIES: Final = load_queries("central.uplink")
_LOG = get_logger(__name__)


class Greeting:
    """Answers hellos."""

    def __init__(self, pool: Pool, clock: Clock, chance: Chance, *, file_key: bytes = b"") -> None:
        self._pool = pool
        self._clock = clock
        self._chance = chance
        self._file_key = file_key

    async def greet(
        self, caller: Caller, hello: HelloRequest, *, heard_at_ms: int | None = None
    ) -> HelloReply:
        """Central's side: its heads, and what the agent has to do.

        ``heard_at_ms``: when the agent said so, if not now.

        Raises:
            InputError: the hello is larger than any agent's.
        """
        if max(len(hello.heads), len(hello.witness), len(hello.proofs)) > _HEADS_MAX:
            raise InputError("a hello has a few heads of each kind", code="bad_hello")
        now_ms = self._clock.now_ms()
        async with self._pool.connection() as connection:
            await fleet.touch(connection, caller.edge_id, hello, heard_at_ms=heard_at_ms)
            lanes, decision = await _judge(connection, caller, hello, now_ms)
            starts: list[LaneStart] = []
            if decision.issue or decision.freeze:
                # Once more, while no other copy can be answered.
                await row_of(connection, _QUERIES["lock_edge"], {"edge_id": caller.edge_id})
                lanes, decision = await _judge(connection, caller, hello, now_ms)
            if decision.freeze:
                await self._freeze(connection, caller, lanes, decision)
            if decision.issue:
                await self._issue(connection, caller, hello, lanes)
                lanes = await _lanes(connection, caller)
            if decision.issue or decision.repeat:
                starts = [
                    LaneStart(lane=Lane(row["lane"]), epoch=row["epoch"], nonce=row["nonce"])
                    for row in lanes
                ]
            await self._clear(connection, caller)
        return HelloReply(
            heads=[
                LaneHead(
                    lane=Lane(row["lane"]), epoch=row["epoch"], seq=row["seq"], hash=row["hash"]
                )
                for row in lanes
            ],
            server_time_ms=now_ms,
            hello_interval_s=HELLO_INTERVAL_S,
            order=decision.order,
            starts=starts,
            detail=decision.detail,
            frame_layout=LAYOUT_COLUMNS,
            file_key=self._file_key,
        )

    async def _freeze(
        self,
        connection: Connection,
        caller: Caller,
        lanes: list[DictRow],
        decision: HelloDecision,
    ) -> None:
        epoch = lanes[0]["epoch"]
        _LOG.error("edge.forked", edge_id=caller.edge_id, epoch=epoch, lanes=list(decision.freeze))
        await run(
            connection,
            _QUERIES["freeze"],
            {"edge_id": caller.edge_id, "epoch": epoch, "lanes": list(decision.freeze)},
        )
        await accounts.freeze_edge(connection, caller.edge_id, epoch, now_ms=self._clock.now_ms())

    async def _issue(
        self,
        connection: Connection,
        caller: Caller,
        hello: HelloRequest,
        lanes: list[DictRow],
    ) -> None:
        before = lanes[0]["epoch"]
        epoch = before + 1
        whole = _whole_heads(hello, lanes)
        _LOG.error(
            "edge.epoch_issued", edge_id=caller.edge_id, epoch=epoch, whole=whole is not None
        )
        await run(
            connection,
            _QUERIES["put_issue"],
            {
                "edge_id": caller.edge_id,
                "epoch": epoch,
                "recovery_id": hello.recovery_id,
                "now_ms": self._clock.now_ms(),
                "money_seq": None if whole is None else whole[Lane.MONEY],
                "receipts_seq": None if whole is None else whole[Lane.RECEIPTS],
            },
        )
        await run(connection, _QUERIES["fence"], {"edge_id": caller.edge_id, "epoch": epoch})
        for lane in Lane:
            nonce = self._chance.token_bytes(NONCE_BYTES)
            await fleet.put_head(
                connection,
                {
                    "edge_id": caller.edge_id,
                    "lane": lane.value,
                    "epoch": epoch,
                    "nonce": nonce,
                    "hash": chain_genesis(caller.edge_id, lane, epoch, nonce),
                },
            )
        await accounts.freeze_edge(connection, caller.edge_id, before, now_ms=self._clock.now_ms())

    async def _clear(self, connection: Connection, caller: Caller) -> None:
        """Settle the leases of the epoch before, once every record of it is here.

        Those that a till may still tell of stay frozen until it has: see ``lending.clear``.
        """
        issue = await row_of(connection, _QUERIES["last_issue"], {"edge_id": caller.edge_id})
        if issue is None or issue["cleared"] or issue["money_seq"] is None:
            return
        before = {"edge_id": caller.edge_id, "epoch": issue["epoch"] - 1}
        rows = await rows_of(connection, _QUERIES["arrived"], before)
        arrived = {row["lane"]: row["seq"] for row in rows}
        if (
            arrived.get(Lane.MONEY, 0) < issue["money_seq"]
            or arrived.get(Lane.RECEIPTS, 0) < issue["receipts_seq"]
        ):
            return
        others = await row_of(connection, _QUERIES["others_heard"], {"edge_id": caller.edge_id})
        heard_until_ms = None if others is None else others["heard_until_ms"]
        if heard_until_ms is not None and heard_until_ms <= issue["issued_at_ms"] + PROMISE_KEPT_MS:
            return
        waiting = await accounts.clear_edge(
            connection,
            caller.edge_id,
            before["epoch"],
            now_ms=self._clock.now_ms(),
            heard_until_ms=heard_until_ms,
        )
        if waiting == 0:
            await run(
                connection,
                _QUERIES["mark_cleared"],
                {"edge_id": caller.edge_id, "epoch": issue["epoch"]},
            )
            _LOG.info("edge.leases_settled", edge_id=caller.edge_id)


async def _judge(
    connection: Connection, caller: Caller, hello: HelloRequest, now_ms: int
) -> tuple[list[DictRow], HelloDecision]:
    lanes = await _lanes(connection, caller)
    issue = await row_of(connection, _QUERIES["last_issue"], {"edge_id": caller.edge_id})
    known = {} if caller.state == "revoked" else await _known(connection, caller, hello, lanes)
    view = EdgeView(
        is_revoked=caller.state == "revoked",
        is_frozen=caller.state == "frozen",
        newest_epoch=lanes[0]["epoch"],
        lanes={
            row["lane"]: StreamHead(
                epoch=row["epoch"],
                seq=row["seq"],
                hash=row["hash"],
                state=StreamState(row["state"]),
            )
            for row in lanes
        },
        known=known,
        last_issue=None
        if issue is None
        else Issue(
            epoch=issue["epoch"],
            recovery_id=issue["recovery_id"],
            issued_at_ms=issue["issued_at_ms"],
        ),
    )
    return lanes, decide_hello(hello, view, now_ms)


async def _lanes(connection: Connection, caller: Caller) -> list[DictRow]:
    return await rows_of(connection, _QUERIES["newest_lanes"], {"edge_id": caller.edge_id})


async def _known(
    connection: Connection, caller: Caller, hello: HelloRequest, lanes: list[DictRow]
) -> dict[HashKey, bytes]:
    """Central's own hashes where the hello states some, in the newest epoch."""
    rows = {row["lane"]: row for row in lanes}
    known: dict[HashKey, bytes] = {}
    for lane, epoch, seq in set(hashes_to_compare(hello)):
        row = rows.get(lane)
        if row is None or row["epoch"] != epoch or not 0 <= seq <= row["seq"]:
            continue
        stream = Stream(edge_id=caller.edge_id, store_id=caller.store_id, lane=lane, epoch=epoch)
        found = await hash_at(connection, stream, row, seq)
        if found is not None:
            known[lane, epoch, seq] = found
    return known


def _whole_heads(hello: HelloRequest, lanes: list[DictRow]) -> dict[int, int] | None:
    """Where the money and receipt lanes of the old epoch end, if nothing of them is missing.

    Only then may its leases be settled: with two copies, or with records that died, there may be
    spends that nobody has told yet.
    """
    if any(row["state"] != StreamState.OPEN for row in lanes):
        return None
    epoch = lanes[0]["epoch"]
    heads = {int(head.lane): head.seq for head in hello.heads if head.epoch == epoch}
    witness = {int(head.lane): head.seq for head in hello.witness if head.epoch == epoch}
    ends: dict[int, int] = {}
    for lane in (Lane.MONEY, Lane.RECEIPTS):
        taken = next(row["seq"] for row in lanes if row["lane"] == lane)
        ends[lane] = max(heads.get(lane, 0), taken)
        if witness.get(lane, 0) > ends[lane]:
            return None
    return ends
