"""What leases allow, whatever their numbers."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.leases.policy import (
    LeaseBook,
    Right,
    Standing,
    cover,
    is_usable,
    may_close,
    spendable,
    sub_lease_amount,
)
from shared.limits import HOLD_PARTS_MAX
from shared.wire.feed import LeaseState
from tests.support.examples import examples

STANDING = Standing(edge_id=7, epoch=2, now_ms=100)


@st.composite
def rights(draw: st.DrawFn) -> Right:
    """Leases of this edge and others, this epoch and others, running and ended."""
    return Right(
        lease_id=draw(st.text("abc", min_size=1, max_size=3)),
        owner="c1",
        asset="points:main",
        edge_id=draw(st.sampled_from([7, 7, 7, 8])),
        epoch=draw(st.sampled_from([2, 2, 2, 1])),
        state=draw(st.sampled_from([LeaseState.OPEN, LeaseState.OPEN, *LeaseState])),
        spend_until_ms=draw(st.integers(90, 120)),
        left=draw(st.integers(-5, 400)),
    )


@given(
    st.lists(rights(), max_size=12, unique_by=lambda right: right.lease_id), st.integers(0, 2_000)
)
@examples(200)
def test_shares_add_up_and_no_right_pays_more_than_it_has(found: list[Right], amount: int) -> None:
    """Only usable rights pay, none beyond what is left, and only when they end is there a rest."""
    shares = cover(found, amount, STANDING)
    by_id = {right.lease_id: right for right in found}
    covered = sum(share.amount for share in shares if share.lease_id is not None)

    assert sum(share.amount for share in shares) == amount
    assert covered == min(amount, spendable(found, STANDING))
    assert len(shares) <= HOLD_PARTS_MAX + 1
    for share in shares:
        assert share.amount > 0
        if share.lease_id is not None:
            right = by_id[share.lease_id]
            assert is_usable(right, STANDING)
            assert share.amount <= right.left
            assert (right.edge_id, right.epoch) == (7, 2)


@given(
    st.lists(rights(), max_size=12, unique_by=lambda right: right.lease_id), st.integers(0, 2_000)
)
@examples(200)
def test_sale_that_is_made_is_paid_out_of_what_central_wants_back(
    found: list[Right], amount: int
) -> None:
    """After everything else, and never out of more than is left of an own lease that still runs."""
    shares = cover(found, amount, STANDING, sold=True)
    opened = [
        replace(right, state=LeaseState.OPEN) if right.state == LeaseState.RECALLED else right
        for right in found
    ]
    by_id = {right.lease_id: right for right in opened}
    covered = [share for share in shares if share.lease_id is not None]

    assert sum(share.amount for share in shares) == amount
    assert sum(share.amount for share in covered) <= spendable(opened, STANDING)
    if len(found) <= HOLD_PARTS_MAX:
        assert sum(s.amount for s in covered) == min(amount, spendable(opened, STANDING))
        first = [s for s in cover(found, amount, STANDING) if s.lease_id is not None]
        assert covered[: len(first)] == first
    for share in covered:
        assert is_usable(by_id[share.lease_id], STANDING)
        assert share.amount <= by_id[share.lease_id].left


@given(
    rights(), st.integers(0, 400), st.integers(0, 400), st.integers(0, 400), st.integers(0, 10_000)
)
@examples(200)
def test_a_lease_that_somebody_may_still_spend_is_not_closed(
    right: Right, held: int, spent: int, lent: int, wanted: int
) -> None:
    """A close needs no hold, no part at a till, and an own lease that is over or wanted back."""
    granted = max(right.left, 0) + held + spent + lent
    book = LeaseBook(
        right=right,
        granted=granted,
        held=held,
        spend_count=1,
        spent_amount=spent,
        lent=lent,
        ended=False,
    )
    if may_close(book, STANDING):
        assert held == lent == 0
        assert not is_usable(right, STANDING)
        assert (right.edge_id, right.epoch) == (7, 2)
    part = sub_lease_amount(book, wanted, STANDING)
    assert 0 <= part <= max(right.left, 0)
    assert part * 5 <= granted
    assert (lent + part) * 2 <= granted or part == 0
