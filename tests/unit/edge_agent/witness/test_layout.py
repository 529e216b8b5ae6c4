"""Torn, flipped and cut bytes are known for what they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.witness.layout import (
    SLOT_BYTES,
    Chained,
    LeaseTotal,
    Place,
    Statement,
    Waiting,
    last_statement,
    pack,
    read_entries,
    read_slot,
)
from shared.limits import WITNESS_LEASES_MAX
from tests.support.examples import examples


def a_statement(counter: int, leases: int = 3) -> Statement:
    return Statement(
        edge_id=7,
        counter=counter,
        heads=[Place(lane=lane, epoch=1, seq=counter, hash=bytes(32)) for lane in range(4)],
        leases=[
            LeaseTotal(lease_id=f"L-{n}" + "x" * 40, spend_count=n, spent_amount=n * 10**9)
            for n in range(leases)
        ],
        left_out=0,
        floor_ms=1,
        boot_id="b",
        boot_ns=2,
    )


def entries() -> list[Chained | Waiting]:
    return [
        Chained(
            lane=1,
            epoch=1,
            seq=n,
            hash=bytes(32),
            uid=bytes(16),
            recorded_at_ms=n,
            record=b"r" * n,
            local=b"",
        )
        for n in range(1, 6)
    ] + [Waiting(lane=1, uid=bytes(16), recorded_at_ms=1, kind="k", body=b"b", local=b"")]


@examples(200)
@given(cut=st.integers(0, 400), at=st.integers(0, 399), flip=st.integers(1, 255))
def test_torn_slot_leaves_the_one_before(cut: int, at: int, flip: int) -> None:
    """Whatever a power cut or a bit flip leaves of one slot, the other is read."""
    old, new = pack(a_statement(4)), pack(a_statement(5))
    torn = new[: min(cut, len(new) - 1)] + old[min(cut, len(new) - 1) :]
    # Where the rest of both is the same, the torn one is the new one already.
    assert last_statement([old, torn]) == a_statement(5 if torn == new else 4)
    flipped = bytearray(new)
    flipped[at % len(new)] ^= flip
    assert last_statement([bytes(flipped), old]) == a_statement(4)


def test_later_of_two_slots_counts_whatever_its_place() -> None:
    """The counter says which was written last."""
    assert last_statement([pack(a_statement(5)), pack(a_statement(4))]) == a_statement(5)
    assert last_statement([bytes(SLOT_BYTES), bytes(SLOT_BYTES)]) is None
    assert read_slot(b"") is None


def test_as_many_leases_as_are_allowed_fit_a_slot() -> None:
    """The bound of leases and the slot's size belong together."""
    assert len(pack(a_statement(2**60, WITNESS_LEASES_MAX))) <= SLOT_BYTES


@examples(200)
@given(data=st.data())
def test_journal_is_read_up_to_the_first_damage(data: st.DataObject) -> None:
    """Every entry before it comes whole, and none after it is made up."""
    pieces = [pack(entry) for entry in entries()]
    whole = b"".join(pieces)
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    damaged[at] ^= data.draw(st.integers(1, 255))
    intact = 0
    while sum(map(len, pieces[: intact + 1])) <= at:
        intact += 1

    assert [entry for _, entry in read_entries(bytes(damaged))] == entries()[:intact]
    assert [entry for _, entry in read_entries(whole[:at])] == entries()[:intact]
