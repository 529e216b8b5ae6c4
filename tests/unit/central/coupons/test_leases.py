"""A right that is used up is not prolonged for ever."""

from __future__ import annotations

from central.accounts import lending
from central.accounts.books import Books, Lease, Origin
from central.accounts.ledger import spend
from central.accounts.lending import Holder
from central.accounts.policy import LEASE_TERM_MS
from shared.wire.facts import LeaseSpent

HOLDER = Holder(edge_id=7, store_id="S1")
LATER_MS = LEASE_TERM_MS - 1


def lent(books: Books, asset: str) -> Lease:
    lending.fund(books, "anna", asset, 1, cause=asset.encode())
    lease = lending.grant(books, HOLDER, "anna", asset, now_ms=0)
    assert lease is not None
    return lease


def use(books: Books, lease: Lease) -> None:
    fact = LeaseSpent(
        lease_id=lease.lease_id,
        sub_lease_id=None,
        owner="anna",
        asset=lease.asset,
        amount=1,
        receipt_id="r1",
        spent_at_ms=1,
    )
    assert spend(books, Origin(edge_id=7, store_id="S1"), lease.asset.encode(), fact) == []


def test_the_lease_of_a_used_coupon_runs_out() -> None:
    """Millions of codes are used once each; their leases end with their term."""
    books = Books(whole=True)
    unused, used = lent(books, "coupon:A"), lent(books, "coupon:B")
    use(books, used)
    today = "2026-11-23"
    assert lending.renew(books, unused, now_ms=LATER_MS, today=today)
    assert not lending.renew(books, used, now_ms=LATER_MS, today=today)


def test_the_lease_of_points_is_kept_when_it_is_empty() -> None:
    """More will come, and then it is filled up."""
    books = Books(whole=True)
    points = lent(books, "points:main")
    use(books, points)
    assert lending.renew(books, points, now_ms=LATER_MS, today="2026-11-23")
