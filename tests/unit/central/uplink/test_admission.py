"""Whatever comes in whatever order: bounds hold, turns are fair, live batches do not wait."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from central.uplink.admission import (
    BATCH_RECORDS_MIN,
    LIVE_RECORDS_MAX,
    RETRY_S_MAX,
    Admission,
    Bounds,
    Ticket,
    Wait,
)
from shared.limits import BATCH_RECORDS_MAX
from tests.support.examples import examples

S = 1_000_000_000


def let_in(admission: Admission, store: str, edge: int, records: int, *, now_ns: int = 0) -> Ticket:
    ticket = admission.arrive(store, (edge, 1), records, now_ns=now_ns, spread=0.0)
    assert isinstance(ticket, Ticket)
    return ticket


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["arrive", "ready", "start", "leave"]),
            st.integers(0, 11),
            st.integers(1, 600),
            st.integers(0, 3),
        ),
        max_size=120,
    )
)
@examples(300)
def test_no_bound_is_ever_passed(steps: list[tuple[str, int, int, int]]) -> None:
    """Turns, turns of backlogs, places, one batch of a sender: all hold, and nothing is lost."""
    bounds = Bounds(turns=4, places=8)
    admission = Admission(bounds)
    waiting: list[Ticket] = []
    working: list[Ticket] = []
    now_ns = 0
    for what, edge, records, seconds in steps:
        now_ns += seconds * S
        if what == "arrive":
            answer = admission.arrive(f"S{edge % 3}", (edge, 1), records, now_ns=now_ns, spread=0.5)
            if isinstance(answer, Wait):
                assert 1 <= answer.retry_after_s <= RETRY_S_MAX
            else:
                assert answer.sender not in {one.sender for one in waiting + working}
                waiting.append(answer)
        elif what == "ready" and waiting:
            ticket = waiting[edge % len(waiting)]
            if not ticket.ready:
                admission.ready(ticket)
        elif what == "start":
            begun = admission.start(now_ns)
            assert all(one.ready for one in begun)
            waiting = [one for one in waiting if one not in begun]
            working += begun
        elif what == "leave" and waiting + working:
            ticket = (waiting + working)[edge % len(waiting + working)]
            admission.leave(ticket, now_ns=now_ns, taken=True)
            waiting = [one for one in waiting if one is not ticket]
            working = [one for one in working if one is not ticket]
        assert len(working) <= bounds.turns
        assert sum(not one.live for one in working) <= 2
        assert len(waiting) + len(working) <= bounds.places
        assert admission.waiting == len(waiting)
    for ticket in waiting + working:
        admission.leave(ticket, now_ns=now_ns, taken=False)
    assert admission.waiting == 0
    assert admission.start(now_ns) == []


def test_one_shop_with_a_million_records_delays_nobody() -> None:
    """Ten agents of one shop and one of another: the other has every second turn."""
    admission = Admission(Bounds(turns=1, places=100))
    tickets = [let_in(admission, "big", edge, 100) for edge in range(10)]
    tickets += [let_in(admission, "small", edge, 100) for edge in range(10, 13)]
    for ticket in tickets:
        admission.ready(ticket)
    order: list[str] = []
    while begun := admission.start(0):
        order += [ticket.store_id for ticket in begun]
        for ticket in begun:
            admission.leave(ticket, now_ns=0, taken=True)

    assert order[:6].count("small") == 3
    assert len(order) == 13


def test_shops_take_turns_by_records_not_by_batches() -> None:
    """Who sends batches of five hundred is served a fifth as often as who sends hundreds."""
    admission = Admission(Bounds(turns=1, places=1000))
    for edge in range(100):
        admission.ready(let_in(admission, "large", edge, 500))
        admission.ready(let_in(admission, "plain", 1000 + edge, 100))
    served = {"large": 0, "plain": 0}
    for _ in range(60):
        (ticket,) = admission.start(0)
        served[ticket.store_id] += ticket.records
        admission.leave(ticket, now_ns=0, taken=True)

    assert abs(served["large"] - served["plain"]) <= BATCH_RECORDS_MAX + 100


def test_a_live_batch_goes_before_every_backlog_and_always_finds_a_place() -> None:
    """However many backlogs wait, some turns and some places are not theirs."""
    admission = Admission(Bounds(turns=10, places=100))
    backlog: list[Ticket] = []
    for edge in range(200):
        answer = admission.arrive(f"S{edge}", (edge, 1), 500, now_ns=0, spread=0.3)
        if isinstance(answer, Ticket):
            backlog.append(answer)
            admission.ready(answer)
    begun = admission.start(0)
    live = let_in(admission, "live", 1000, 5)
    admission.ready(live)

    assert len(backlog) == 70
    assert len(begun) == 7
    assert live.live
    assert admission.start(0) == [live]


def test_what_is_told_grows_with_the_crowd() -> None:
    """One shop alone may hurry; two thousand are told smaller batches and when to come."""
    alone, crowded = Admission(), Admission()
    let_in(alone, "S1", 1, 500)
    for edge in range(2000):
        crowded.arrive(f"S{edge}", (edge, 1), 500, now_ns=0, spread=0.0)

    free, told = alone.advice(0), crowded.advice(0)

    assert (free.next_batch_records_max, free.pause_ms) == (BATCH_RECORDS_MAX, 0)
    assert told.next_batch_records_max == BATCH_RECORDS_MIN
    assert told.pause_ms >= 15_000
    assert crowded.advice(600 * S).pause_ms == 0, "a crowd that has gone is forgotten"


def test_a_backlog_stays_one_when_its_batches_are_cut() -> None:
    """In a crowd it is told to send less than a live batch may hold, and is no livelier for it."""
    admission = Admission()
    for edge in range(2000):
        admission.arrive(f"S{edge}", (edge, 1), 500, now_ns=0, spread=0.0)
    sender = next(edge for edge in range(2000) if (edge, 1) in admission._in)
    ticket = admission._in[sender, 1]
    admission.leave(ticket, now_ns=0, taken=True)
    cut = admission.advice(0).next_batch_records_max
    again = let_in(admission, f"S{sender}", sender, cut, now_ns=S)
    admission.leave(again, now_ns=S, taken=True)
    last = let_in(admission, f"S{sender}", sender, 3, now_ns=2 * S)

    assert cut < LIVE_RECORDS_MAX
    assert not again.live
    assert last.live


def test_the_rate_is_what_was_measured() -> None:
    """Seven batches of a hundred at a time, a quarter of a second each: 2,800 a second."""
    admission = Admission()
    for turn in range(60):
        now_ns = turn * S
        tickets = [let_in(admission, f"S{edge}", edge, 100, now_ns=now_ns) for edge in range(7)]
        for ticket in tickets:
            admission.ready(ticket)
        admission.start(now_ns)
        for ticket in tickets:
            admission.leave(ticket, now_ns=now_ns + S // 4, taken=True)

    assert 2_600 <= admission.records_per_s <= 2_900
