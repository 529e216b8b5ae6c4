"""How budgets are shared out, whose part is asked back, and who went beyond a limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from central.limits.policy import (
    RESERVE_PPM,
    Part,
    Sold,
    UseKey,
    forecast,
    overshoots,
    quota_for,
    quotas_of,
    to_recall,
)
from shared.wire.facts import PromotionUse

_STORES = st.dictionaries(st.sampled_from("ABCDE"), st.integers(0, 500), min_size=1)


def use(amount: int, *, limit: int = 3, promotion: str = "p") -> PromotionUse:
    return PromotionUse(
        promotion=promotion, measure="times", period="2026", amount=amount, limit=limit
    )


def part(edge_id: int, left: int, *, recalled: bool = False, in_touch: bool = True) -> Part:
    return Part(
        lease_id=f"L{edge_id}", edge_id=edge_id, left=left, recalled=recalled, in_touch=in_touch
    )


@given(st.integers(0, 10**15), _STORES)
def test_quotas_never_add_up_to_more_than_what_is_lent_at_all(
    budget: int, receipts: dict[str, int]
) -> None:
    """Whatever was foreseen, the reserve stays, and every store is weighed."""
    weights = forecast(receipts, receipts)
    quotas = quotas_of(budget, weights, reserve_ppm=RESERVE_PPM)

    assert set(quotas) == set(receipts)
    assert sum(quotas.values()) <= budget - budget * RESERVE_PPM // 1_000_000
    assert all(weight > 0 for weight in weights.values())


def test_store_is_weighed_by_its_receipts_and_a_new_one_by_the_average() -> None:
    """Where nobody sold anything yet all are equal."""
    assert forecast({"A": 300, "B": 100}, ["A", "B", "C"]) == {"A": 300, "B": 100, "C": 200}
    assert forecast({}, ["A", "B"]) == {"A": 1, "B": 1}
    assert quotas_of(1_000, {"A": 3, "B": 1}, reserve_ppm=RESERVE_PPM) == {"A": 600, "B": 200}


def test_asker_gets_its_share_or_at_least_what_it_asks_for() -> None:
    """Of what is left, so that the last ones go round."""
    weights = {"A": 3, "B": 1}
    assert quota_for(1, 100, "B", weights) == 25
    assert quota_for(40, 100, "B", weights) == 40
    assert quota_for(1, 100, "new", weights) == 1


def test_largest_part_of_an_agent_in_touch_is_asked_back() -> None:
    """Not the asker's own, not one that nobody hears, and none while enough is on its way."""
    parts = [part(1, 90), part(2, 50), part(3, 70), part(4, 80, in_touch=False)]
    assert to_recall(parts, 1, 5) == "L3"
    assert to_recall(parts, 3, 5) == "L1"
    on_its_way = [*parts, part(5, 10, recalled=True)]
    assert to_recall(on_its_way, 1, 10) is None
    assert to_recall(on_its_way, 1, 11) == "L3"
    assert to_recall([part(1, 9), part(2, 0)], 1, 1) is None


def test_each_record_beyond_the_limit_says_so() -> None:
    """The third of three is within it, the fourth and fifth are not, in the order they came."""
    sold = [
        Sold(edge_id=n % 2, customer_id="c", uses=[use(2), use(1, promotion="q")]) for n in (1, 2)
    ]
    sold.append(Sold(edge_id=1, customer_id="", uses=()))
    mine = UseKey(customer_id="c", promotion="p", measure="times", period="2026")
    other = UseKey(customer_id="c", promotion="q", measure="times", period="2026")

    found = overshoots(sold, {mine: 4, other: 2})
    assert [[each.code for each in one] for one in found] == [[], ["limit_exceeded"], []]
    assert found[1][0].detail == "p: 4 of 3 times in 2026"
    assert len(overshoots(sold, {mine: 9, other: 2})[0]) == 1
