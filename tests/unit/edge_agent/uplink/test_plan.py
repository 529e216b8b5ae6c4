"""What is sent when, and what central's refusals, orders and heads mean."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.uplink.plan import (
    FLUSH_RECORDS,
    BeginEpoch,
    Behind,
    CarryOn,
    GoOn,
    Halt,
    Prove,
    Resend,
    Stop,
    Waiting,
    Wipe,
    backoff_bounds_s,
    flush_bounds_s,
    flush_wait_ns,
    send_rank,
    step_after,
    step_after_heads,
    step_after_hello,
)
from shared.wire.enrol import HelloOrder, HelloReply, LaneHead, LaneStart
from shared.wire.stream import Lane, Refusal, RefusalCode
from tests.support.examples import examples

HEAD = b"h" * 32
SECOND = 10**9


def refusal(code: RefusalCode, epoch: int = 1) -> Refusal:
    return Refusal(code=code, epoch=epoch, seq=5, hash=HEAD, detail="")


def reply(order: HelloOrder, *, epoch: int = 0) -> HelloReply:
    starts = [LaneStart(lane=lane, epoch=epoch, nonce=bytes(16)) for lane in Lane]
    return HelloReply(
        heads=[LaneHead(lane=Lane.MONEY, epoch=1, seq=3, hash=HEAD)],
        server_time_ms=1,
        hello_interval_s=30,
        order=order,
        starts=starts if epoch else [],
    )


def test_gap_is_sent_again_and_everything_else_stops() -> None:
    """Only missing records are mended without central's order; forks and fences are not."""
    assert step_after(refusal(RefusalCode.GAP), 1) == Resend(seq=5, hash=HEAD)
    others = [code for code in RefusalCode if code is not RefusalCode.GAP]
    assert all(isinstance(step_after(refusal(code), 1), Stop) for code in others)
    assert isinstance(step_after(refusal(RefusalCode.GAP, epoch=2), 1), Stop)


def test_older_stream_that_is_refused_is_carried_on() -> None:
    """Its facts go into the present epoch; nothing is thrown away."""
    others = [code for code in RefusalCode if code is not RefusalCode.GAP]
    steps = [step_after(refusal(code), 1, current=False) for code in others]

    assert all(isinstance(step, CarryOn) for step in steps)


@examples(200)
@given(
    failures=st.integers(1, 10_000),
    outage_s=st.floats(0, 10**6),
    window_s=st.floats(1, 10_000),
)
def test_waits_grow_to_their_bound(failures: int, outage_s: float, window_s: float) -> None:
    """Doubling up to the bound; after a long outage the whole window is drawn from."""
    low_s, high_s = backoff_bounds_s(
        failures, min_s=1, max_s=300, outage_s=outage_s, reconnect_window_s=window_s
    )
    plain_s = min(2.0 ** min(failures, 30), 300)

    assert low_s == 1
    assert high_s == (max(plain_s, window_s) if outage_s > 600 else plain_s)


@examples(300)
@given(
    counts=st.dictionaries(st.sampled_from(Lane), st.integers(0, 60)),
    ages_s=st.integers(0, 40),
)
def test_money_goes_at_once_and_receipts_in_company(counts: dict[Lane, int], ages_s: int) -> None:
    """Nobody waits longer than the interval, and nothing is sent for nothing."""
    waiting = [
        Waiting(lane=lane, count=count, since_ns=(100 - ages_s) * SECOND)
        for lane, count in counts.items()
    ]
    wait_ns = flush_wait_ns(waiting, 100 * SECOND, 15 * SECOND)

    if not any(counts.values()):
        assert wait_ns is None
    elif counts.get(Lane.MONEY, 0) or counts.get(Lane.RECEIPTS, 0) >= FLUSH_RECORDS or ages_s >= 15:
        assert wait_ns == 0
    else:
        assert wait_ns == (15 - ages_s) * SECOND


def test_money_then_audit_then_receipts_then_telemetry() -> None:
    """And of each lane the present epoch before what older ones left."""
    lanes = [(lane, current) for lane in Lane for current in (False, True)]
    random.Random(1).shuffle(lanes)
    ordered = sorted(lanes, key=lambda each: send_rank(each[0], current=each[1]))

    assert [lane for lane, current in ordered if current] == [0, 2, 1, 3]
    assert [current for _, current in ordered] == [True, False] * 4


def test_interval_is_drawn_a_fifth_around_its_middle() -> None:
    """Shops do not keep in step."""
    assert flush_bounds_s(15) == (12, 18)


@examples(200)
@given(recovering=st.booleans(), epoch=st.integers(0, 3), issued=st.integers(0, 3))
def test_epoch_begins_once_and_only_forward(recovering: bool, epoch: int, issued: int) -> None:
    """A repeated reply begins nothing; without a new epoch the streams have to be proved."""
    step = step_after_hello(
        reply(HelloOrder.RECOVER, epoch=issued), epoch=epoch, recovering=recovering, told=[]
    )

    assert isinstance(step, BeginEpoch if issued > epoch else Prove)


def test_proof_is_shown_at_once_when_there_is_one_to_show() -> None:
    """Who has said all it can waits for the next hello: two must not ask each other in circles."""
    order = reply(HelloOrder.RECOVER)
    new = step_after_hello(order, epoch=1, recovering=False, told=order.heads)
    moved = step_after_hello(order, epoch=1, recovering=True, told=[])
    said = step_after_hello(order, epoch=1, recovering=True, told=order.heads)

    assert (new, moved, said) == (Prove(at_once=True), Prove(at_once=True), Prove(at_once=False))


def test_every_order_has_its_step() -> None:
    """What central may ask."""
    steps = [
        step_after_hello(reply(order), epoch=1, recovering=False, told=[]) for order in HelloOrder
    ]

    assert [type(step) for step in steps] == [GoOn, Prove, Halt, Wipe]


@examples(500)
@given(
    theirs=st.integers(0, 10),
    ours=st.integers(0, 10),
    acked_before=st.integers(0, 10),
    acked_now=st.integers(0, 10),
)
def test_heads_say_resend_behind_or_nothing(
    theirs: int, ours: int, acked_before: int, acked_now: int
) -> None:
    """Central ahead of us means that we are an old copy; behind what it confirmed, that it is."""
    acked_now = min(max(acked_before, acked_now), ours)
    acked_before = min(acked_before, acked_now)
    head = LaneHead(lane=Lane.MONEY, epoch=1, seq=theirs, hash=HEAD)
    step = step_after_heads(head, epoch=1, seq=ours, acked_before=acked_before, acked_now=acked_now)

    if theirs > ours:
        assert isinstance(step, Behind)
    elif acked_before <= theirs <= acked_now:
        assert step is None
    else:
        assert step == Resend(seq=theirs, hash=HEAD)
    other = step_after_heads(
        head, epoch=2, seq=ours, acked_before=acked_before, acked_now=acked_now
    )
    assert isinstance(other, Stop)
