"""A proof is one customer's, at one agent, for a while; without one a receipt takes no more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.checkout.proof import PROOF_MS, Proofs, bounded

OURS, OTHERS = Proofs("till-secret"), Proofs("another-secret")
NOW_MS = 1_790_000_000_000


@given(st.text(min_size=1), st.text(min_size=1), st.integers(0, 2 * PROOF_MS))
def test_proof_is_one_customers_for_a_while(customer: str, other: str, later_ms: int) -> None:
    proof = OURS.make(customer, NOW_MS)
    assert OURS.proves(proof, customer, NOW_MS + later_ms) == (later_ms < PROOF_MS)
    assert not OURS.proves(proof, customer, NOW_MS - 1), "it was made in the future"
    assert OURS.proves(proof, other, NOW_MS) == (customer == other)
    assert not OTHERS.proves(proof, customer, NOW_MS)
    assert Proofs("till-secret").proves(proof, customer, NOW_MS), "the same after a restart"


@given(st.text(max_size=60))
def test_noise_proves_nothing(text: str) -> None:
    assert not OURS.proves(text, "c1", NOW_MS)
    assert not OURS.proves(f"{NOW_MS + 5}.{text}", "c1", NOW_MS)
    assert not OURS.proves(None, "c1", NOW_MS)


@given(st.dictionaries(st.text(), st.integers(0, 10**9)), st.none() | st.integers(0, 10**9))
def test_no_account_gives_more_than_the_bound(spendable: dict[str, int], bound: int | None) -> None:
    found = bounded(spendable, bound)
    assert found.keys() == spendable.keys()
    assert all(
        value == (spendable[name] if bound is None else min(bound, spendable[name]))
        for name, value in found.items()
    )
