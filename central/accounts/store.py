"""Move points. Everything here runs inside the caller's transaction, after ``lock_ledger``.

Accounts are named ``kind:owner:points account``; a balance is credits minus debits, so the sum of
all balances is zero. What a member, a lease or a pending entry holds can never fall below zero: the
table forbids it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from psycopg.rows import DictRow

from central.database.pool import Connection, row_of, rows_of, run
from central.feed import store as feed
from shared.sqlfile import load_queries
from shared.wire.assets import points_asset
from shared.wire.feed import BalanceEntry, LeaseEntry, LeaseState, Topic

LEASE_TERM_MS: Final = 14 * 86_400_000
_QUERIES = load_queries("central.accounts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account of the ledger."""

    kind: str
    owner: str
    points_account: str

    @property
    def account_id(self) -> str:
        """The name in the table; a lease's account is known by the lease alone."""
        if self.kind == "escrow":
            return f"escrow:{self.owner}"
        return f"{self.kind}:{self.owner}:{self.points_account}"


def transfer_id_of(*parts: bytes | str | int) -> bytes:
    """16 bytes that name a transfer for ever by what caused it, so that a retry repeats nothing."""
    joined = b"\x00".join(part if isinstance(part, bytes) else str(part).encode() for part in parts)
    return hashlib.sha256(b"kopilka.transfer.v1" + joined).digest()[:16]


async def lock_ledger(connection: Connection) -> None:
    """Wait for the turn to move points."""
    await run(connection, _QUERIES["lock_ledger"])


async def transfer(
    connection: Connection,
    transfer_id: bytes,
    *,
    debit: Account,
    credit: Account,
    amount_centi: int,
    reason: str,
    record_uid: bytes | None = None,
) -> bool:
    """Move points once; False when this transfer was made before."""
    for account in (debit, credit):
        await run(
            connection,
            _QUERIES["ensure_account"],
            {
                "account_id": account.account_id,
                "kind": account.kind,
                "owner": account.owner,
                "points_account": account.points_account,
            },
        )
    row = await row_of(
        connection,
        _QUERIES["transfer"],
        {
            "transfer_id": transfer_id,
            "debit": debit.account_id,
            "credit": credit.account_id,
            "amount_centi": amount_centi,
            "reason": reason,
            "record_uid": record_uid,
        },
    )
    return row is not None and row["moved"] == 1


async def balance_centi(connection: Connection, account: Account) -> int:
    """What an account holds."""
    row = await row_of(connection, _QUERIES["balance"], {"account_id": account.account_id})
    return 0 if row is None else int(row["balance_centi"])


async def find_lease(connection: Connection, lease_id: str) -> DictRow | None:
    """A lease with ``escrow_centi``, what is left of it."""
    return await row_of(connection, _QUERIES["lease"], {"lease_id": lease_id})


async def top_up_lease(
    connection: Connection, customer_id: str, points_account: str, *, now_ms: int
) -> None:
    """Lend all free points to the hub of the member's home store, and announce balance and lease.

    Without a hub the points stay free; the hub gets them when it enrols.
    """
    member = {"customer_id": customer_id, "points_account": points_account}
    free = Account(kind="avail", owner=customer_id, points_account=points_account)
    amount_centi = await balance_centi(connection, free)
    hub = await row_of(connection, _QUERIES["home_hub"], member)
    if amount_centi > 0 and hub is not None:
        lease_id = f"L-{hub['edge_id']}-{customer_id}-{points_account}"
        row = await row_of(
            connection,
            _QUERIES["grant_lease"],
            member
            | {
                "lease_id": lease_id,
                "edge_id": hub["edge_id"],
                "store_id": hub["store_id"],
                "amount_centi": amount_centi,
                "spend_until_ms": now_ms + LEASE_TERM_MS,
            },
        )
        assert row is not None, "an upsert gives its row"
        await transfer(
            connection,
            transfer_id_of("lease", lease_id, int(row["granted_centi"])),
            debit=free,
            credit=Account(kind="escrow", owner=lease_id, points_account=points_account),
            amount_centi=amount_centi,
            reason="lease.granted",
        )
        await _announce_lease(connection, row)
    await _announce_balance(connection, member, now_ms=now_ms)


async def put_pending(
    connection: Connection,
    transfer_id: bytes,
    *,
    customer_id: str,
    points_account: str,
    amount_centi: int,
    active_on: str,
) -> None:
    """Remember on which day pending points become free."""
    await run(
        connection,
        _QUERIES["put_pending"],
        {
            "transfer_id": transfer_id,
            "customer_id": customer_id,
            "points_account": points_account,
            "amount_centi": amount_centi,
            "active_on": active_on,
        },
    )


async def due_pending(connection: Connection, today: str) -> list[DictRow]:
    """Pending points whose day has come, at most 500, locked."""
    return await rows_of(connection, _QUERIES["due"], {"today": today})


async def mark_activated(connection: Connection, transfer_id: bytes) -> None:
    """These pending points are free now."""
    await run(connection, _QUERIES["mark_activated"], {"transfer_id": transfer_id})


async def members_with_free_points(connection: Connection, store_id: str) -> list[DictRow]:
    """Members of a store (customer_id, points_account) whose points are not lent to a hub."""
    return await rows_of(connection, _QUERIES["homeless"], {"store_id": store_id})


async def renew_leases(connection: Connection, *, now_ms: int) -> int:
    """Prolong the leases of agents that are in touch; how many."""
    rows = await rows_of(
        connection,
        _QUERIES["renew_leases"],
        {
            "spend_until_ms": now_ms + LEASE_TERM_MS,
            "renew_below_ms": now_ms + LEASE_TERM_MS // 2,
        },
    )
    for row in rows:
        await _announce_lease(connection, row)
    return len(rows)


async def audit(connection: Connection) -> DictRow:
    """The ledger's sums, and how many accounts and leases disagree with their transfers."""
    row = await row_of(connection, _QUERIES["audit"])
    assert row is not None, "an aggregate always gives a row"
    return row


async def _announce_lease(connection: Connection, row: DictRow) -> None:
    entry = LeaseEntry(
        lease_id=row["lease_id"],
        owner=row["customer_id"],
        asset=points_asset(row["points_account"]),
        granted=row["granted_centi"],
        spend_until_ms=row["spend_until_ms"],
        state=LeaseState(row["state"]),
        edge_id=row["edge_id"],
    )
    await feed.put(connection, row["store_id"], Topic.LEASE, {entry.lease_id: entry})


async def _announce_balance(connection: Connection, member: dict[str, Any], *, now_ms: int) -> None:
    row = await row_of(connection, _QUERIES["owned"], member)
    assert row is not None, "an aggregate always gives a row"
    entry = BalanceEntry(
        customer_id=member["customer_id"],
        account=member["points_account"],
        available_centi=row["owned_centi"],
        as_of_ms=now_ms,
    )
    key = f"{entry.customer_id}/{entry.account}"
    await feed.put(connection, feed.EVERY_STORE, Topic.BALANCE, {key: entry})
