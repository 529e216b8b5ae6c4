"""What pays for the points of a sale."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.checkout.policy import Right, incidents_of, take_from_leases
from shared.wire.answer import Answer, Spent, Totals
from shared.wire.facts import LeaseSpend


def answer_with(points_centi: int, to_pay_minor: int = 100) -> Answer:
    total = Totals(
        list_minor=100, discount_minor=0, net_minor=100, points_spent_minor=0, to_pay_minor=100
    )
    assert to_pay_minor == 100
    return Answer(
        receipt_id="r",
        programme="p",
        version=1,
        optimal=True,
        lines=[],
        total=total,
        spent=[Spent(account="main", points_centi=points_centi)],
    )


def right(lease_id: str, left_centi: int, until_ms: int = 1_000) -> Right:
    return Right(lease_id=lease_id, account="main", spend_until_ms=until_ms, left_centi=left_centi)


def test_lease_that_ends_first_pays_first() -> None:
    """Points are taken from the lease nearest its end, then from the next."""
    spends = take_from_leases(answer_with(150), [right("b", 100, 900), right("a", 100, 950)], 0)

    assert [(spend.lease_id, spend.points_centi) for spend in spends] == [("b", 100), ("a", 50)]


def test_points_beyond_the_leases_are_recorded_and_named() -> None:
    """What no lease covers is a spend without lease and an incident, not a refusal."""
    answer = answer_with(150)
    spends = take_from_leases(answer, [right("a", 100)], 0)

    assert spends[-1] == LeaseSpend(lease_id=None, account="main", points_centi=50)
    assert [i.code for i in incidents_of(answer, spends, None)] == ["points_without_lease"]


def test_ended_lease_and_other_account_pay_nothing() -> None:
    """A lease past its end, or of another account, covers nothing."""
    other = Right(lease_id="o", account="other", spend_until_ms=1_000, left_centi=500)
    spends = take_from_leases(answer_with(50), [right("a", 100, until_ms=10), other], 10)

    assert [spend.lease_id for spend in spends] == [None]


def test_other_sum_at_the_till_is_an_incident() -> None:
    """The till's own sum is compared, and only a difference is named."""
    answer = answer_with(0)

    assert incidents_of(answer, [], 100) == []
    assert [i.code for i in incidents_of(answer, [], 99)] == ["to_pay_differs"]


@given(st.integers(0, 1_000), st.lists(st.integers(-50, 400), max_size=5))
def test_no_lease_pays_more_than_its_right(wanted_centi: int, lefts: list[int]) -> None:
    """Spends add up to the points wanted, and none is above what its lease had left."""
    rights = [right(str(index), left) for index, left in enumerate(lefts)]
    spends = take_from_leases(answer_with(wanted_centi), rights, 0)

    assert sum(spend.points_centi for spend in spends) == wanted_centi
    left = {r.lease_id: r.left_centi for r in rights}
    assert all(s.points_centi <= left[s.lease_id] for s in spends if s.lease_id is not None)
