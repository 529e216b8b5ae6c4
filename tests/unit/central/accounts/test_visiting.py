"""A look without locks decides as the locked rows would, or says that they are needed."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from central.accounts import ledger, lending
from central.accounts.books import AccountKind, Books, Origin, Purse
from central.accounts.lending import Holder
from central.accounts.visiting import Seen, lend_for_visit, settled_visit
from shared.wire.facts import LeaseClosed, LeaseSpent
from shared.wire.feed import LeaseState
from tests.support.examples import examples

ASSET = "points:main"
ANNA = Purse("anna", ASSET)
HUBS = [Holder(edge_id=number, store_id=f"S{number}") for number in (1, 2, 3)]
STEP = st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 120))


def seen_in(books: Books) -> Seen:
    return Seen(
        heir="anna",
        free=books.balance(AccountKind.AVAIL, ANNA),
        leases=copy.deepcopy(books.leases_of(ANNA)),
    )


@given(steps=st.lists(STEP, max_size=12), asked=st.integers(1, 120), hub=st.integers(0, 2))
@examples(300)
def test_a_look_decides_as_the_locked_rows_would(
    steps: list[tuple[int, int, int]], asked: int, hub: int
) -> None:
    """After any history the answer is the same, and given only where nothing would be changed."""
    books = Books(whole=True)
    lending.fund(books, "anna", ASSET, 100, cause=b"opening")
    for number, (who, what, amount) in enumerate(steps):
        holder = HUBS[who]
        mine = lending.live_lease(books, holder, ANNA)
        origin = Origin(edge_id=holder.edge_id, store_id=holder.store_id)
        if what <= 1 or mine is None:
            lend_for_visit(books, holder, "anna", ASSET, amount, now_ms=number)
        elif what == 2:
            fact = LeaseSpent(
                lease_id=mine.lease_id,
                sub_lease_id=None,
                owner="anna",
                asset=ASSET,
                amount=amount,
                receipt_id="r",
                spent_at_ms=1,
            )
            ledger.spend(books, origin, number.to_bytes(16), fact, firm=True)
        else:
            close = LeaseClosed(
                lease_id=mine.lease_id,
                spend_count=mine.spent_count,
                spent_amount=mine.spent_amount,
            )
            ledger.close(books, origin, close)
    seen = seen_in(books)
    books.take_changes()

    looked = settled_visit(seen, HUBS[hub], "anna", ASSET, asked, now_ms=99)
    locked = lend_for_visit(books, HUBS[hub], "anna", ASSET, asked, now_ms=99)

    changes = books.take_changes()
    changed = bool(changes.leases or changes.transfers)
    assert (looked is None) == changed
    assert looked is None or looked == locked
    assert not locked.recalled or any(
        lease.state is LeaseState.RECALLED for lease in books.leases_of(ANNA)
    )
