"""What happens to points: opening balances, earning, spending, activation, leases of a new hub."""

from __future__ import annotations

from central.accounts import store
from central.accounts.store import Account, transfer_id_of
from central.database.pool import Connection
from shared.wire.answer import Accrued
from shared.wire.facts import Incident, LeaseSpend


async def open_balance(
    connection: Connection,
    customer_id: str,
    points_account: str,
    amount_centi: int,
    *,
    now_ms: int,
) -> None:
    """Points a member brings along from before; importing the same again changes nothing."""
    await store.lock_ledger(connection)
    if amount_centi > 0:
        await store.transfer(
            connection,
            transfer_id_of("opening", customer_id, points_account),
            debit=Account(kind="issued", owner="system", points_account=points_account),
            credit=Account(kind="avail", owner=customer_id, points_account=points_account),
            amount_centi=amount_centi,
            reason="opening",
        )
    await store.top_up_lease(connection, customer_id, points_account, now_ms=now_ms)


async def post_accruals(
    connection: Connection,
    record_uid: bytes,
    customer_id: str,
    accruals: list[Accrued],
    *,
    business_date: str,
) -> None:
    """Points earned by one receipt: free at once, or pending until their day."""
    for index, accrued in enumerate(accruals):
        if accrued.points_centi <= 0:
            continue
        transfer_id = transfer_id_of(record_uid, "accrued", index)
        later = accrued.active_on_date > business_date
        moved = await store.transfer(
            connection,
            transfer_id,
            debit=Account(kind="issued", owner="system", points_account=accrued.account),
            credit=Account(
                kind="pending" if later else "avail",
                owner=customer_id,
                points_account=accrued.account,
            ),
            amount_centi=accrued.points_centi,
            reason="receipt.accrued",
            record_uid=record_uid,
        )
        if moved and later:
            await store.put_pending(
                connection,
                transfer_id,
                customer_id=customer_id,
                points_account=accrued.account,
                amount_centi=accrued.points_centi,
                active_on=accrued.active_on_date,
            )


async def post_spend(
    connection: Connection,
    record_uid: bytes,
    spend: LeaseSpend,
    *,
    index: int,
    edge_id: int,
    store_id: str,
    customer_id: str | None,
) -> list[Incident]:
    """Points one receipt spent: from its lease as far as that reaches, the rest on the store.

    The sale was made, so the whole amount is posted; what no lease covers is the store's shortage
    and gives an incident, and never lowers what a member has.
    """
    if spend.points_centi <= 0:
        return []
    redeemed = Account(kind="redeemed", owner="system", points_account=spend.account)
    lease = await store.find_lease(connection, spend.lease_id) if spend.lease_id else None
    fits = (
        lease is not None
        and lease["edge_id"] == edge_id
        and lease["points_account"] == spend.account
        and lease["customer_id"] == customer_id
        and lease["state"] != "closed"
    )
    covered_centi = (
        min(spend.points_centi, int(lease["escrow_centi"])) if lease is not None and fits else 0
    )
    if lease is not None and covered_centi > 0:
        await store.transfer(
            connection,
            transfer_id_of(record_uid, "spent", index),
            debit=Account(kind="escrow", owner=lease["lease_id"], points_account=spend.account),
            credit=redeemed,
            amount_centi=covered_centi,
            reason="receipt.spent",
            record_uid=record_uid,
        )
    short_centi = spend.points_centi - covered_centi
    if short_centi == 0:
        return []
    await store.transfer(
        connection,
        transfer_id_of(record_uid, "shortage", index),
        debit=Account(kind="store_shortage", owner=store_id, points_account=spend.account),
        credit=redeemed,
        amount_centi=short_centi,
        reason="receipt.shortage",
        record_uid=record_uid,
    )
    return [
        Incident(code="points_shortage", detail=f"{short_centi} centi were covered by no lease")
    ]


async def activate_due(connection: Connection, today: str, *, now_ms: int) -> int:
    """Free the pending points whose day has come (at most 500 at a time); how many entries."""
    await store.lock_ledger(connection)
    due = await store.due_pending(connection, today)
    for row in due:
        owner, points_account = row["customer_id"], row["points_account"]
        await store.transfer(
            connection,
            transfer_id_of(row["transfer_id"], "activated"),
            debit=Account(kind="pending", owner=owner, points_account=points_account),
            credit=Account(kind="avail", owner=owner, points_account=points_account),
            amount_centi=row["amount_centi"],
            reason="points.activated",
        )
        await store.mark_activated(connection, row["transfer_id"])
    for owner, points_account in sorted({(r["customer_id"], r["points_account"]) for r in due}):
        await store.top_up_lease(connection, owner, points_account, now_ms=now_ms)
    return len(due)


async def lend_to_new_hub(connection: Connection, store_id: str, *, now_ms: int) -> int:
    """Give a hub that has just enrolled the leases of its store's members; how many."""
    await store.lock_ledger(connection)
    members = await store.members_with_free_points(connection, store_id)
    for row in members:
        await store.top_up_lease(
            connection, row["customer_id"], row["points_account"], now_ms=now_ms
        )
    return len(members)
