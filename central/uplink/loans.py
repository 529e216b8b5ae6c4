"""Leases for visits, over the uplink: who may ask, for what, how often."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from central.accounts import store as ledger
from central.accounts.books import AMOUNT_MAX, Lease, Purse
from central.accounts.lending import Holder, entry_of
from central.accounts.service import lend_for_visit
from central.accounts.visiting import Seen, Visit, settled_visit
from central.database.pool import Connection, Pool, rows_of
from central.database.retry import in_transaction
from central.limits.budgets import lend_to_asker
from central.limits.rights import first_visit
from shared.clock import Clock
from shared.errors import BusyError, ForbiddenError, InputError, NotFoundError
from shared.limits import IDENTIFIER_CHARS_MAX
from shared.sqlfile import load_queries
from shared.unreadable import UNREADABLE
from shared.wire.assets import AssetKind, asset_parts
from shared.wire.feed import LeaseState
from shared.wire.loan import LoanReply, LoanRequest

LOANS_PER_MINUTE_MAX: Final = 120
"""Of one agent: many tills' visitors. A stolen agent cannot gather the points of a whole chain."""
_MINUTE_NS: Final = 60 * 10**9
_QUERIES: Final = load_queries("central.accounts", "visits.sql")
_LEASE: Final = tuple(Lease.__dataclass_fields__)
_KINDS: Final = frozenset({AssetKind.POINTS, AssetKind.COUPON, AssetKind.LIMIT, AssetKind.BUDGET})


class Loans:
    """Answers agents whose customer is not at home, and those whose budgets run short."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._asked: dict[int, deque[int]] = {}

    async def ask(self, edge_id: int, body: bytes) -> LoanReply:
        """Lend what is free of what is asked for.

        Raises:
            InputError: the request is none, or asks for what is never lent.
            NotFoundError: there is no such member, budget or limit.
            ForbiddenError: the agent may not hold leases now.
            BusyError: it asked too often.
            UnavailableError: others hold the same rows for too long.
        """
        request = _request(body)
        self._count(edge_id)

        async def work(connection: Connection) -> Visit:
            now_ms = self._clock.now_ms()
            purse, amount = Purse(request.owner, request.asset), request.amount
            if asset_parts(purse.asset)[0] == AssetKind.BUDGET:
                return await _lend_budget(connection, edge_id, purse, amount, now_ms=now_ms)
            holder, seen = await _look(connection, edge_id, purse)
            if asset_parts(purse.asset)[0] == AssetKind.LIMIT and not seen.leases:
                first = await first_visit(connection, holder, purse, amount, now_ms=now_ms)
                if first is not None:
                    return first
            visit = settled_visit(seen, holder, purse.owner, purse.asset, amount, now_ms=now_ms)
            if visit is not None:
                return visit
            return await lend_for_visit(connection, holder, purse, amount, now_ms=now_ms)

        visit = await in_transaction(self._pool, work)
        lease = None if visit.lease is None else entry_of(visit.lease)
        return LoanReply(lease=lease, recalled=visit.recalled)

    def _count(self, edge_id: int) -> None:
        now_ns = self._clock.mono_ns()
        asked = self._asked.setdefault(edge_id, deque(maxlen=LOANS_PER_MINUTE_MAX))
        if len(asked) == LOANS_PER_MINUTE_MAX and now_ns - asked[0] < _MINUTE_NS:
            raise BusyError(retry_after_s=1 + (_MINUTE_NS - (now_ns - asked[0])) // 10**9)
        asked.append(now_ns)


async def _lend_budget(
    connection: Connection, edge_id: int, purse: Purse, amount: int, *, now_ms: int
) -> Visit:
    holder = await ledger.holder_of(connection, edge_id)
    if holder is None:
        raise ForbiddenError("this agent's streams are frozen", code="frozen")
    return await lend_to_asker(connection, holder, purse, amount, now_ms=now_ms)


async def _look(connection: Connection, edge_id: int, purse: Purse) -> tuple[Holder, Seen]:
    parameters = {"edge_id": edge_id, "owner": purse.owner, "asset": purse.asset}
    rows = await rows_of(connection, _QUERIES["visit"], parameters)
    first = rows[0]
    if first["holder_epoch"] is None:
        raise ForbiddenError("this agent's streams are frozen", code="frozen")
    if not first["is_member"]:
        raise NotFoundError("there is no such member", code="unknown_customer")
    leases = [
        Lease(**{name: row[name] for name in _LEASE} | {"state": LeaseState(row["state"])})
        for row in rows
        if row["lease_id"] is not None
    ]
    holder = Holder(edge_id=edge_id, store_id=first["holder_store_id"], epoch=first["holder_epoch"])
    return holder, Seen(heir=first["heir"], free=first["free"], leases=leases)


def _request(body: bytes) -> LoanRequest:
    try:
        request = msgspec.msgpack.decode(body, type=LoanRequest)
    except UNREADABLE as error:
        raise InputError("the body is no request for a loan", code="bad_loan") from error
    kind, name = asset_parts(request.asset)
    if kind not in _KINDS or not name or len(request.asset) > IDENTIFIER_CHARS_MAX:
        raise InputError(f"nothing of kind {kind!r} is lent for a visit", code="bad_loan")
    if not 0 < request.amount <= AMOUNT_MAX or not 0 < len(request.owner) <= IDENTIFIER_CHARS_MAX:
        raise InputError("an owner and a positive amount are expected", code="bad_loan")
    return request
