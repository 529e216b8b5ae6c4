"""Holds, spends and closes on real SQLite: whatever order words come in, money moves once."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from edge_agent.database.connection import is_sound, open_writer
from edge_agent.leases.policy import Caps, Reason, Standing
from edge_agent.leases.replay import REPLAYS
from edge_agent.leases.store import (
    Ask,
    HoldState,
    book_of,
    capture,
    close_due,
    find_hold,
    forget_past,
    hold,
    spend_now,
    spend_uid_of,
    spendable_of,
    void,
)
from edge_agent.leases.sub_leases import close_sub_lease, lend, wanted_back
from edge_agent.loyalty.store import forget_lease, put_lease
from edge_agent.outbox.store import head_of, pending_records, start_stream
from edge_agent.witness.rebuild import Remembered
from shared.wire.enrol import LaneStart
from shared.wire.facts import (
    FactKind,
    LeaseClosed,
    LeaseSpent,
    SpendVoided,
    SubLeaseClosed,
    SubLeaseGranted,
)
from shared.wire.feed import LeaseEntry, LeaseState
from shared.wire.stream import Lane, Record

HUB = 7
TILL = 8
NOW = Standing(edge_id=HUB, epoch=1, now_ms=50)
LATER = Standing(edge_id=HUB, epoch=1, now_ms=200)
BODIES: dict[str, Any] = {
    FactKind.LEASE_SPENT: LeaseSpent,
    FactKind.SPEND_VOIDED: SpendVoided,
    FactKind.LEASE_CLOSED: LeaseClosed,
    FactKind.SUB_LEASE_GRANTED: SubLeaseGranted,
    FactKind.SUB_LEASE_CLOSED: SubLeaseClosed,
}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    opened = open_writer(tmp_path / "edge.sqlite")
    start_stream(opened, HUB, LaneStart(lane=Lane.MONEY, epoch=1, nonce=b"n" * 16))
    yield opened
    opened.close()


def a_lease(lease_id: str, granted: int, **changes: object) -> LeaseEntry:
    values: dict[str, Any] = {
        "owner": "c1",
        "asset": "points:main",
        "spend_until_ms": 100,
        "state": LeaseState.OPEN,
        "edge_id": HUB,
    }
    return LeaseEntry(lease_id=lease_id, granted=granted, **(values | changes))


def an_ask(number: int, amount: int, **changes: Any) -> Ask:
    values: dict[str, Any] = {
        "uid": number.to_bytes(16),
        "receipt_id": f"r{number}",
        "owner": "c1",
        "asset": "points:main",
        "asker": HUB,
    }
    return Ask(amount=amount, **(values | changes))


def facts_of(connection: apsw.Connection) -> list[tuple[bytes, Any]]:
    """Everything on the lane of money, in order, by uid."""
    records = pending_records(connection, head_of(connection, int(Lane.MONEY)), 500)
    decoded = [msgspec.msgpack.decode(record, type=Record) for record in records]
    return [
        (record.uid, msgspec.msgpack.decode(record.body, type=BODIES[record.kind]))
        for record in decoded
    ]


def test_only_own_open_running_leases_of_the_epoch_may_be_spent(
    connection: apsw.Connection,
) -> None:
    """Frozen, recalled, closed and ended leases, another edge's and an old epoch's give nothing."""
    put_lease(connection, a_lease("a", 1_000), 1)
    put_lease(connection, a_lease("b", 300), 1)
    put_lease(connection, a_lease("gift", 50, asset="points:gift"), 1)
    for state in LeaseState:
        if state is not LeaseState.OPEN:
            put_lease(connection, a_lease(state.value, 9, state=state), 1)
    put_lease(connection, a_lease("ended", 9, spend_until_ms=50), 1)
    put_lease(connection, a_lease("other", 9, owner="c2"), 1)
    put_lease(connection, a_lease("neighbour", 9, edge_id=TILL), 1)
    put_lease(connection, a_lease("old", 9, epoch=2), 1)
    spend_now(connection, an_ask(1, 400), NOW)

    assert spendable_of(connection, "c1", NOW) == {"points:gift": 50, "points:main": 900}
    assert set(spendable_of(connection, "c1", LATER).values()) == {0}
    recovering = Standing(edge_id=HUB, epoch=1, now_ms=50, may_spend=False)
    assert set(spendable_of(connection, "c1", recovering).values()) == {0}
    assert hold(connection, an_ask(2, 1), recovering).reason is Reason.RECOVERING


def test_grant_is_as_told_and_spends_outlive_the_lease(connection: apsw.Connection) -> None:
    """A restored central tells of less, and no more is spent; what was spent outlives the lease."""
    put_lease(connection, a_lease("a", 1_000), 1)
    spend_now(connection, an_ask(1, 400), NOW)
    put_lease(connection, a_lease("a", 1_500), 2)
    assert spendable_of(connection, "c1", NOW) == {"points:main": 1_100}
    put_lease(connection, a_lease("a", 100), 3)
    assert spendable_of(connection, "c1", NOW) == {"points:main": 0}

    forget_lease(connection, "a")
    assert spendable_of(connection, "c1", NOW) == {}
    put_lease(connection, a_lease("a", 1_500), 4)
    assert spendable_of(connection, "c1", NOW) == {"points:main": 1_100}


def test_hold_becomes_spends_of_its_leases_with_known_uids(connection: apsw.Connection) -> None:
    """Two leases pay, what ends first first; records name each, under uids both ends derive."""
    put_lease(connection, a_lease("b", 100, spend_until_ms=90), 1)
    put_lease(connection, a_lease("a", 100, spend_until_ms=95), 1)
    ask = an_ask(1, 150)

    first = hold(connection, ask, NOW)
    assert hold(connection, ask, NOW) == first
    assert facts_of(connection) == []
    assert spendable_of(connection, "c1", NOW) == {"points:main": 50}
    captured = capture(connection, ask.uid, LATER)
    assert capture(connection, ask.uid, LATER) == captured

    assert [(p.lease_id, p.amount) for p in captured.parts] == [("b", 100), ("a", 50)]
    spends = facts_of(connection)
    assert [uid for uid, _ in spends] == [spend_uid_of(ask.uid, 0), spend_uid_of(ask.uid, 1)]
    assert [(s.lease_id, s.amount, s.receipt_id) for _, s in spends] == [
        ("b", 100, "r1"),
        ("a", 50, "r1"),
    ]


def test_the_first_of_hold_and_void_decides(connection: apsw.Connection) -> None:
    """A void before its hold is a tombstone; a void after it gives the right back and is told."""
    put_lease(connection, a_lease("a", 100), 1)
    early, late = an_ask(1, 60), an_ask(2, 60)

    void(connection, early.uid, "r1", NOW)
    assert hold(connection, early, NOW).state is HoldState.VOIDED
    assert capture(connection, early.uid, NOW).state is HoldState.VOIDED
    assert facts_of(connection) == []

    hold(connection, late, NOW)
    assert void(connection, late.uid, "r2", NOW).state is HoldState.VOIDED
    assert void(connection, late.uid, "r2", NOW).state is HoldState.VOIDED
    assert capture(connection, late.uid, NOW).state is HoldState.VOIDED
    assert [fact.spend_uid for _, fact in facts_of(connection)] == [spend_uid_of(late.uid, 0)]
    assert spendable_of(connection, "c1", NOW) == {"points:main": 100}


def test_more_than_the_leases_is_not_promised_but_a_sale_is_recorded(
    connection: apsw.Connection,
) -> None:
    """A hold is whole or refused; a sale that was made leaves the rest without a lease."""
    put_lease(connection, a_lease("a", 100), 1)

    refused = hold(connection, an_ask(1, 150), NOW)
    assert (refused.state, refused.reason) == (HoldState.REFUSED, Reason.NOT_COVERED)
    assert find_hold(connection, an_ask(1, 150).uid) is None
    spent = spend_now(connection, an_ask(2, 150), NOW)
    assert [(p.lease_id, p.amount) for p in spent.parts] == [("a", 100), (None, 50)]


def test_caps_bound_a_receipt_and_an_hour(connection: apsw.Connection) -> None:
    """One receipt, and one owner in an hour, take no more than the caps say."""
    put_lease(connection, a_lease("a", 10_000, spend_until_ms=10**9), 1)
    caps = Caps(receipt_max=100, hour_max=250)

    assert hold(connection, an_ask(1, 101), NOW, caps).reason is Reason.OVER_CAP
    hold(connection, an_ask(2, 60), NOW, caps)
    same_receipt = an_ask(3, 60, receipt_id="r2")
    assert hold(connection, same_receipt, NOW, caps).reason is Reason.OVER_CAP
    hold(connection, an_ask(4, 100), NOW, caps)
    assert hold(connection, an_ask(5, 100), NOW, caps).reason is Reason.OVER_CAP
    after = Standing(edge_id=HUB, epoch=1, now_ms=NOW.now_ms + 3_600_001)
    assert hold(connection, an_ask(6, 100), after, caps).state is HoldState.HELD


def test_lease_is_closed_when_nothing_of_it_is_open(connection: apsw.Connection) -> None:
    """A hold and a till's part keep a recalled lease; then its close counts every spend."""
    put_lease(connection, a_lease("a", 1_000), 1)
    hold(connection, an_ask(1, 100), NOW)
    spend_now(connection, an_ask(2, 50), NOW)
    lent = lend(connection, "s1", an_ask(3, 500, asker=TILL), NOW)
    put_lease(connection, a_lease("a", 1_000, state=LeaseState.RECALLED), 2)

    assert lent.amount == 200
    assert wanted_back(connection, TILL, NOW) == ["s1"]
    assert close_due(connection, NOW) == []
    assert close_sub_lease(connection, "s1", TILL, 2, 70, NOW)
    assert close_due(connection, NOW) == []
    capture(connection, an_ask(1, 100).uid, NOW)
    [closed] = close_due(connection, NOW)

    assert closed == LeaseClosed(lease_id="a", spend_count=4, spent_amount=220)
    assert facts_of(connection)[-1][1] == closed
    assert close_due(connection, NOW) == []
    assert void(connection, an_ask(1, 100).uid, "r1", NOW).reason is Reason.ENDED
    put_lease(connection, a_lease("a", 9_000), 3)
    assert spendable_of(connection, "c1", NOW) == {"points:main": 0}


def test_sale_priced_before_a_recall_is_paid_for_until_the_lease_is_closed(
    connection: apsw.Connection,
) -> None:
    """Nothing new is promised of it; what was sold meanwhile is counted by its close."""
    put_lease(connection, a_lease("a", 1_000), 1)
    put_lease(connection, a_lease("a", 1_000, state=LeaseState.RECALLED), 2)

    assert spendable_of(connection, "c1", NOW) == {"points:main": 0}
    assert hold(connection, an_ask(1, 10), NOW).reason is Reason.NOT_COVERED
    [part] = spend_now(connection, an_ask(2, 400), NOW).parts
    assert (part.lease_id, part.amount) == ("a", 400)
    [closed] = close_due(connection, NOW)
    assert closed == LeaseClosed(lease_id="a", spend_count=1, spent_amount=400)
    [late] = spend_now(connection, an_ask(3, 400), NOW).parts
    assert (late.lease_id, late.amount) == (None, 400)


def test_ended_lease_is_closed_and_frozen_or_foreign_ones_are_not(
    connection: apsw.Connection,
) -> None:
    """Time ends an open lease; a frozen one waits for a person, others' and old ones for theirs."""
    put_lease(connection, a_lease("mine", 10), 1)
    put_lease(connection, a_lease("frozen", 10, state=LeaseState.FROZEN), 1)
    put_lease(connection, a_lease("theirs", 10, edge_id=TILL), 1)
    put_lease(connection, a_lease("old", 10, epoch=0), 1)

    assert close_due(connection, NOW) == []
    assert [closed.lease_id for closed in close_due(connection, LATER)] == ["mine"]


def test_till_gets_a_fifth_and_all_tills_half(connection: apsw.Connection) -> None:
    """The same request gets the same part; nobody else's part is given back."""
    put_lease(connection, a_lease("a", 1_000), 1)
    first = lend(connection, "s1", an_ask(1, 999, asker=TILL), NOW)
    again = lend(connection, "s1", an_ask(1, 999, asker=TILL), NOW)
    others = [lend(connection, f"o{n}", an_ask(10 + n, 999, asker=20 + n), NOW) for n in range(3)]

    assert first == again
    assert first.amount == 200
    assert [lent.amount for lent in others] == [200, 100, 0]
    assert lend(connection, "s1", an_ask(1, 999, asker=9), NOW).amount == 0
    assert not close_sub_lease(connection, "s1", 9, 0, 0, NOW)
    assert not close_sub_lease(connection, "s1", TILL, 1, 201, NOW)
    book = book_of(connection, "a")
    assert book is not None
    assert (book.lent, book.right.left) == (500, 500)


def test_only_what_is_over_is_forgotten(connection: apsw.Connection) -> None:
    """Old spends on a running lease and open holds stay; those of a closed lease go."""
    put_lease(connection, a_lease("runs", 500, spend_until_ms=10**9, owner="c2"), 1)
    put_lease(connection, a_lease("ends", 500), 1)
    hold(connection, an_ask(1, 100, owner="c2"), NOW)
    spend_now(connection, an_ask(2, 100, owner="c2"), NOW)
    spend_now(connection, an_ask(3, 100), NOW)
    void(connection, an_ask(4, 1).uid, "r4", NOW)
    lend(connection, "s1", an_ask(5, 10, asker=TILL), NOW)
    close_sub_lease(connection, "s1", TILL, 0, 0, NOW)
    [closed] = close_due(connection, LATER)

    assert forget_past(connection, 50, 100) == 0
    assert forget_past(connection, 10**6, 100) == 2
    assert [find_hold(connection, an_ask(n, 1).uid) is None for n in (1, 2, 3, 4)] == [
        False,
        False,
        True,
        True,
    ]
    assert spendable_of(connection, "c2", NOW) == {"points:main": 300}
    assert spendable_of(connection, "c1", NOW) == {"points:main": 0}
    forget_lease(connection, closed.lease_id)
    forget_past(connection, 10**6, 100)
    assert connection.execute("SELECT count(*) FROM lease_end").get == 0


def test_sums_of_rights_are_what_the_rows_say(connection: apsw.Connection, tmp_path: Path) -> None:
    """After any history, repeats and forgetting among it; and so are those of a rebuilt database.

    A sum that is not is damage, and is found.
    """
    seed = int(os.environ.get("KOPILKA_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"KOPILKA_SEED={seed}")
    chance = random.Random(seed)
    for number in range(4):
        put_lease(connection, a_lease(f"l{number}", 2_000, spend_until_ms=90 + number), 1)
    spend_now(connection, an_ask(10**6, 5), NOW)
    first = 1
    for step in range(1, 300):
        if one_word(connection, chance, chance.randrange(first, step + 1)):
            first = step + 1  # a uid is never used again once it may be forgotten
        assert is_sound(connection), f"step {step}"

    rebuilt = open_writer(tmp_path / "rebuilt.sqlite")
    for uid, fact in facts_of(connection):
        kind = next(kind for kind, body in BODIES.items() if isinstance(fact, body))
        remembered = Remembered(
            uid=uid, kind=kind, body=msgspec.msgpack.encode(fact), local=b"", recorded_at_ms=1
        )
        for _ in range(2):
            REPLAYS[kind](rebuilt, remembered)
    assert is_sound(rebuilt)
    assert rebuilt.execute("SELECT sum(spent_amount) > 0 FROM right_use").get
    rebuilt.execute("UPDATE right_use SET spent_amount = spent_amount + 1")
    assert not is_sound(rebuilt)
    rebuilt.close()


def one_word(connection: apsw.Connection, chance: random.Random, number: int) -> bool:
    """Whatever may be said of a hold, a part or a lease; whether something was forgotten."""
    standing = chance.choice((NOW, NOW, NOW, NOW, LATER))
    ask = an_ask(number, chance.randrange(1, 200))
    part = f"s{chance.randrange(5)}"
    words: list[Callable[[], object]] = [
        lambda: forget_past(connection, 60, 20),
        lambda: close_due(connection, standing),
        lambda: void(connection, ask.uid, ask.receipt_id, standing),
        lambda: lend(connection, part, an_ask(1, 300, asker=TILL), standing),
        lambda: close_sub_lease(connection, part, TILL, 1, chance.randrange(100), standing),
        lambda: capture(connection, ask.uid, standing),
        lambda: hold(connection, ask, standing),
    ]
    word = chance.choices(words, (1, 2, 2, 2, 2, 4, 6))[0]
    return bool(word()) and word is words[0]


def test_promise_costs_the_same_after_a_long_history(connection: apsw.Connection) -> None:
    """Neither the spends of a lease nor those of its owner's other receipts are added up anew."""
    put_lease(connection, a_lease("a", 10**6, spend_until_ms=10**9), 1)
    put_lease(connection, a_lease("b", 10**6, owner="c2", spend_until_ms=10**9), 1)
    caps = Caps(receipt_max=10**6, hour_max=10**6)
    later = Standing(edge_id=HUB, epoch=1, now_ms=10**8)
    for number in range(1, 1_001):
        spend_now(connection, an_ask(number, 1), NOW)

    long = steps_of(connection, lambda: hold(connection, an_ask(2_001, 1), later, caps))
    short = steps_of(
        connection, lambda: hold(connection, an_ask(2_002, 1, owner="c2"), later, caps)
    )

    assert long < 2 * short


def steps_of(connection: apsw.Connection, work: Callable[[], object]) -> int:
    """How many steps SQLite takes for it."""
    count = 0

    def step() -> bool:
        nonlocal count
        count += 1
        return False

    connection.set_progress_handler(step, 1)
    work()
    connection.set_progress_handler(None)
    return count
