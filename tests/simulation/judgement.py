"""The last judgement on a run that has come to rest: the invariants that only then must hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import msgspec

from central.accounts.books import AccountKind, Books, Purse, ledger_hash
from edge_agent.outbox.store import kept_after, streams_of
from shared.errors import AppError
from shared.frames import decode_batch
from shared.wire.facts import FactKind, LeaseSpent, ReceiptCommitted, SpendVoided
from shared.wire.feed import LeaseState, Operation
from shared.wire.stream import Record
from tests.simulation.agent import Agent
from tests.simulation.bank import ASSET, Bank
from tests.simulation.town import Town
from tests.simulation.world import DAY_S

REPLAYED_MAX: Final = 200
"""Batches of a run that are sent once more, in any order."""
_LATE: Final = """
SELECT p.lease_id, h.held_at_ms, l.spend_until_ms
FROM hold h JOIN hold_part p ON p.uid = h.uid JOIN lease l ON l.lease_id = p.lease_id
WHERE p.sub_lease_id IS NULL AND h.held_at_ms >= l.spend_until_ms
"""
_RECORD: Final = msgspec.msgpack.Decoder(Record)
_SPENT: Final = msgspec.msgpack.Decoder(LeaseSpent)
_VOIDED: Final = msgspec.msgpack.Decoder(SpendVoided)
_SALE: Final = msgspec.msgpack.Decoder(ReceiptCommitted)


def judge(town: Town) -> list[str]:
    """Every invariant that does not hold now; also fills the run's figures."""
    bank = town.central.tables.bank
    found = []
    if bank.whole_sum():
        found.append(f"I1: all accounts together hold {bank.whole_sum()}")
    found += _unposted(town)
    found += _overspent(town)
    found += _unexplained(town)
    found += _diverged(town)
    found += _at_war(town)
    found += _spent_too_late(town)
    found += _replayed(town)
    return found


def _unposted(town: Town) -> Iterator[str]:
    """I6: what any surviving medium holds has been posted."""
    bank = town.central.tables.bank
    survived: set[bytes] = set()
    for agent in town.agents:
        for record in _records(agent) if not agent.destroyed else ():
            survived.add(record.uid)
            for uid in _spends_in(record):
                if uid not in bank.books.spends:
                    yield f"I6: {agent.name} holds the spend {uid.hex()[:16]} that is not posted"
    lost = [sale for uid, sale in town.truth.printed.items() if uid not in survived]
    town.truth.tally["receipts unrecorded"] += sum(
        sale.record_uid not in bank.contents for sale in lost
    )
    town.truth.tally["spends unrecorded"] += sum(
        uid not in bank.books.spends for sale in lost for uid in sale.spend_uids
    )


def _overspent(town: Town) -> Iterator[str]:
    """I5: nobody spent more than they were given, but for what stands as a shortage.

    In the figures a member is overspent by what neither their own points paid for nor a frozen
    lease keeps for the day when it is told.
    """
    bank, truth = town.central.tables.bank, town.truth
    known = {uid for uid in truth.printed if uid in bank.contents}
    shortages = _shortages_by_owner(bank)
    spent_all, spent_known = truth.spent_by(), truth.spent_by(of=known)
    for owner in {truth.owner_of(member): None for member in town.members}:
        funded = _position(bank.books, owner) + bank.covered[owner]
        over = spent_all[owner] - bank.covered[owner] - _frozen(bank.books, owner)
        if over > 0:
            truth.tally["members overspent"] += 1
            truth.tally["points overspent"] += over
        beyond = spent_known[owner] - funded - shortages[owner]
        if beyond > 0:
            yield f"I5: {owner} spent {beyond} beyond {funded} and {shortages[owner]} of shortage"


def _unexplained(town: Town) -> Iterator[str]:
    """I10: a shortage has a reason that this run knows of."""
    bank = town.central.tables.bank
    total = sum(bank.shortage_of(shop.store_id) for shop in town.shops)
    town.truth.tally["shortage"] += total
    excuses = sorted(town.excuses) + ["write-off"] * bank.incidents["lease_written_off"]
    if total and not excuses:
        yield f"I10: a shortage of {total} that nothing explains: {bank.shortages[:3]}"


def _spent_too_late(town: Town) -> Iterator[str]:
    """I12: what was promised of a lease was promised before its end, by the trusted clock."""
    if "central restored" in town.excuses:
        return  # it may have forgotten that a lease was prolonged
    for agent in town.alive():
        for lease_id, held_at_ms, until_ms in agent.media.database.execute(_LATE):
            yield f"I12: {agent.name} promised of {lease_id} at {held_at_ms}, ended {until_ms}"


def _at_war(town: Town) -> Iterator[str]:
    """An agent is given one epoch a day without a person, so copies do not fence each other."""
    days = town.world.now_s() / DAY_S
    for edge in town.central.tables.edges.values():
        if edge.epoch - 1 > days + 1:
            yield f"edge {edge.edge_id} was given {edge.epoch - 1} epochs in {days:.0f} days"


def _diverged(town: Town) -> Iterator[str]:
    """Every shop knows what central meant it to know."""
    feed = town.central.tables.feed
    for (scope, topic, key), (_, payload) in feed.meant.items():
        entry = feed.scopes.get(scope, {}).get((topic, key))
        told = None if entry is None or entry.operation is not Operation.PUT else entry.payload
        if told != payload:
            yield f"feed: {topic} {key} was never told as it is"
    yield from town.uninformed()


def _replayed(town: Town) -> Iterator[str]:
    """I11: any of what was ever sent, sent again, changes nothing."""
    central = town.central
    before = ledger_hash(central.tables.bank.books)
    dice = town.world.dice("replay")
    came, adopted = list(central.tables.came), list(central.tables.came_adopted)
    for _ in range(min(REPLAYED_MAX, 2 * len(came))):
        edge_id, lane, epoch, body = dice.choice(came)
        central.take(central.tables.edges[edge_id], lane, epoch, decode_batch(body))
    for by_edge_id, edge_id, lane, epoch, body in adopted:
        with suppress(AppError):
            central.adopt(by_edge_id, edge_id, lane, epoch, decode_batch(body))
    if ledger_hash(central.tables.bank.books) != before:
        yield "I11: batches that were sent again changed the ledger"
    yield from central.tables.bank.broken


def _records(agent: Agent) -> Iterator[Record]:
    connection = agent.media.database
    for head in streams_of(connection):
        after = head.pruned_seq
        while kept := kept_after(connection, head.stream_id, after, 500):
            yield from (_RECORD.decode(one.record) for one in kept)
            after = kept[-1].seq


def _spends_in(record: Record) -> Iterator[bytes]:
    try:
        if record.kind == FactKind.LEASE_SPENT:
            _SPENT.decode(record.body)
            yield record.uid
        elif record.kind == FactKind.SPEND_VOIDED:
            yield _VOIDED.decode(record.body).spend_uid
        elif record.kind == FactKind.RECEIPT_COMMITTED:
            yield from (part.spend_uid for part in _SALE.decode(record.body).lease_spends)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return  # poison


def _frozen(books: Books, owner: str) -> int:
    """What is kept back for spends of which nobody knows any more."""
    leases = books.leases_of(Purse(owner, ASSET))
    return sum(books.escrow(lease) for lease in leases if lease.state is LeaseState.FROZEN)


def _position(books: Books, owner: str) -> int:
    """All that an owner has, free, waiting, set aside and lent.

    What they owe is not taken off: it was given, spent, and then taken back with returned goods.
    """
    purse = Purse(owner, ASSET)
    kinds = (AccountKind.AVAIL, AccountKind.PENDING, AccountKind.HELD)
    return sum(books.balance(kind, purse) for kind in kinds) + books.lent(purse)


def _shortages_by_owner(bank: Bank) -> Counter[str]:
    found: Counter[str] = Counter()
    for spend in bank.books.spends.values():
        if spend.state == "counted" and not spend.on_lease:
            found[bank.books.owner_of(spend.owner)] += spend.amount
    for lease in bank.books.leases.values():
        found[bank.books.owner_of(lease.owner)] += lease.short_amount
    return found
