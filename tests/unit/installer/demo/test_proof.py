"""The proof finds what it says it looks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from installer.demo.dataset import Member
from installer.demo.proof import Check, Counted, compare, percentile
from installer.demo.replay import Sold, Tally

UID = "ab" * 16
MEMBER = Member(
    customer_id="m1", card="1", home_store="S1", segments=(), level="base", opening_centi=1000
)
SUMS = {
    "list": "10.00",
    "discount": "1.00",
    "net": "9.00",
    "points_spent": "2.00",
    "to_pay": "7.00",
}


def sold() -> Sold:
    answer: dict[str, Any] = {
        "total": SUMS,
        "lines": [{"line": 1, **SUMS}],
        "accrued": [{"points": "0.07"}],
        "spent": [{"account": "main", "points": "2.00"}],
    }
    return Sold(
        receipt_id="r1",
        record_uid=UID,
        store="S1",
        customer_id="m1",
        answer=answer,
        incidents=0,
        online=True,
    )


def tally() -> Tally:
    counted = Tally()
    counted.add(sold())
    return counted


def at_central() -> Counted:
    return Counted(
        receipts=[(UID, "r1", "S1", 1000, 100, 900, 200, 700, 7)],
        lines=[(UID, 1, 1000, 100, 900, 200, 700)],
        ledger=(0, 0, 0, 0, 0),
        members={"m1": 807},
    )


def differing(counted: Counted) -> set[str]:
    checks: list[Check] = compare(tally=tally(), members=[MEMBER], counted=counted)
    return {check.name for check in checks if check.differences}


def test_equal_sides_have_no_differences() -> None:
    """What agrees to the cent is proved."""
    assert differing(at_central()) == set()


def test_lost_receipt_is_found() -> None:
    """A receipt that was answered and is not at central is a difference."""
    assert differing(replace(at_central(), receipts=[], lines=[]))


def test_receipt_counted_twice_is_found() -> None:
    """Central must count a receipt once."""
    whole = at_central()
    again = ("cd" * 16, *whole.receipts[0][1:])

    assert differing(replace(whole, receipts=[*whole.receipts, again]))


def test_one_cent_on_a_line_is_found() -> None:
    """Equal totals do not hide unequal lines."""
    assert differing(replace(at_central(), lines=[(UID, 1, 1000, 101, 899, 200, 699)]))


def test_one_hundredth_of_a_point_is_found() -> None:
    """A member's points are compared one member at a time."""
    assert differing(replace(at_central(), members={"m1": 806}))


def test_ledger_that_does_not_sum_to_zero_is_found() -> None:
    """Double entry sums to zero, or it is broken."""
    assert differing(replace(at_central(), ledger=(1, 0, 0, 0, 0)))


def test_percentile_is_the_nearest_rank() -> None:
    """The 99th percentile of a hundred values is the ninety-ninth."""
    values = [float(number) for number in range(100, 0, -1)]

    assert percentile(values, 99) == 99.0
    assert percentile(values, 50) == 50.0
    assert percentile([], 50) == 0.0
