"""What a sale takes, and what about it did not fit."""

from __future__ import annotations

from edge_agent.checkout.policy import incidents_of, lease_spends_of, wanted_of
from edge_agent.leases.policy import Paid, Part, Wanted
from shared.wire.answer import Answer, Spent, Totals
from shared.wire.facts import LeaseSpend
from shared.wire.receipt import Customer, Receipt


def answer_with(*spent: Spent) -> Answer:
    total = Totals(
        list_minor=100, discount_minor=0, net_minor=100, points_spent_minor=0, to_pay_minor=100
    )
    return Answer(
        receipt_id="r",
        programme="p",
        version=1,
        optimal=True,
        lines=[],
        total=total,
        spent=list(spent),
    )


def receipt_of(customer: Customer | None) -> Receipt:
    return Receipt(receipt_id="r", store="S1", time="", lines=[], customer=customer)


def test_points_of_one_account_are_wanted_once() -> None:
    """What a request and a promotion's cost take of one account is one amount, the customer's."""
    answer = answer_with(
        Spent(account="main", points_centi=100),
        Spent(account="main", points_centi=50, promotion="p"),
        Spent(account="gift", points_centi=7),
        Spent(account="none", points_centi=0),
    )

    assert wanted_of(receipt_of(Customer(id="c1")), answer) == [
        Wanted(owner="c1", asset="points:main", amount=150),
        Wanted(owner="c1", asset="points:gift", amount=7),
    ]
    assert wanted_of(receipt_of(None), answer)[0].owner == ""


def test_receipt_names_every_spend_and_its_lease() -> None:
    """The receipt is the second source: lease, part, amount and uid of each spend."""
    part = Part(lease_id="a", sub_lease_id="s", amount=5, spend_uid=b"u" * 16)
    rest = Part(lease_id=None, sub_lease_id=None, amount=2, spend_uid=b"v" * 16)
    wanted = Wanted(owner="c1", asset="points:main", amount=7)
    spends = lease_spends_of([Paid(wanted=wanted, parts=(part, rest))])

    assert spends == [
        LeaseSpend(
            lease_id="a", account="main", points_centi=5, spend_uid=b"u" * 16, sub_lease_id="s"
        ),
        LeaseSpend(lease_id=None, account="main", points_centi=2, spend_uid=b"v" * 16),
    ]
    assert [i.code for i in incidents_of(answer_with(), spends, None)] == ["points_without_lease"]


def test_other_sum_at_the_till_is_an_incident() -> None:
    """The till's own sum is compared, and only a difference is named."""
    assert incidents_of(answer_with(), [], 100) == []
    assert [i.code for i in incidents_of(answer_with(), [], 99)] == ["to_pay_differs"]
