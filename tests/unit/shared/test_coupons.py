"""Which personal coupons a receipt used up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.coupons import conditions_of, coupons_used
from shared.engine.program import AllOf, AnyOf, Condition, CouponShown, Not, StoreIs
from shared.wire.receipt import Coupon
from tests.support.programmes import TEA_AND_POINTS
from tests.unit.shared.test_uses import program_of

CODES = ("A", "B", "C")
HERE: Condition = StoreIs(values=frozenset({"S1"}))


def series(*names: str) -> Condition:
    return CouponShown(series=frozenset(names), codes=frozenset())


def codes(*names: str) -> Condition:
    return CouponShown(series=frozenset(), codes=frozenset(names))


def shown(*names: str, state: str = "valid") -> list[Coupon]:
    """Coupons of series S."""
    return [Coupon(code=name, series="S", state=state) for name in names]


def used(coupons: list[Coupon], *conditions: Condition, personal: str = "ABC") -> list[str]:
    return coupons_used(coupons, personal, {f"p{n}": each for n, each in enumerate(conditions)})


def test_the_coupon_that_a_promotion_wanted_is_used() -> None:
    """By series or code, in whatever case it was typed; only a valid one counts."""
    assert used(shown("a"), series("S")) == ["A"]
    assert used(shown("a"), codes("A")) == ["A"]
    assert used(shown("A"), series("T")) == []
    assert used(shown("A", state="used"), series("S")) == []
    assert used(shown("A")) == []


def test_of_coupons_that_do_the_same_one_is_used() -> None:
    """The first; a public code saves all of them; one that is used up already serves again."""
    assert used(shown("B", "A"), series("S")) == ["B"]
    assert used([*shown("B"), Coupon(code="FREE", series="S")], series("S")) == []
    assert used(shown("A", "B"), codes("B"), series("S")) == ["B"]
    assert used(shown("A", "B"), series("S"), codes("B")) == ["A", "B"]


def test_a_condition_is_read_by_what_it_says_of_coupons() -> None:
    """All of several are used; beside another way the coupon that was shown is taken to be it."""
    assert used(shown("A", "B"), AllOf(parts=[codes("A"), codes("B"), HERE])) == ["A", "B"]
    assert used(shown("A", "B"), AnyOf(parts=[codes("A"), codes("B")])) == ["A"]
    assert used(shown("A"), AllOf(parts=[AnyOf(parts=[codes("A"), HERE]), HERE])) == ["A"]
    assert used(shown("A"), AnyOf(parts=[AllOf(parts=[codes("A"), codes("B")]), HERE])) == []
    assert used(shown("A"), Not(part=codes("A"))) == []
    assert used(shown("A"), AllOf(parts=[Not(part=codes("B")), codes("A")])) == ["A"]
    assert used(shown("B", "A"), AnyOf(parts=[codes("A"), Not(part=series("S"))])) == []


def test_only_promotions_that_acted_and_speak_of_coupons_count() -> None:
    """In the order in which they acted."""
    tea = TEA_AND_POINTS["promotions"][0]["then"]
    program = program_of(
        {"id": "plain", "then": tea},
        {"id": "one", "when": {"coupon": ["S"]}, "then": tea},
        {"id": "two", "when": {"any": [{"coupon": ["T"]}, {"store": ["S1"]}]}, "then": tea},
    )
    assert list(conditions_of(program, ["two", "plain", "one"])) == ["two", "one"]
    assert list(conditions_of(program, ["plain"])) == []


LEAVES = st.sampled_from([HERE, series("S"), *(codes(name) for name in CODES)])
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(AllOf, parts=st.lists(inner, min_size=1, max_size=3)),
        st.builds(AnyOf, parts=st.lists(inner, min_size=1, max_size=3)),
        st.builds(Not, part=inner),
    ),
    max_leaves=6,
).filter(lambda condition: "CouponShown" in repr(condition))


@given(
    names=st.lists(st.sampled_from([*CODES, "FREE"]), max_size=4),
    condition=CONDITIONS,
)
def test_nothing_is_used_that_could_be_left_out(names: list[str], condition: Condition) -> None:
    """What was used is among what was shown, and shown alone it is used again, whole."""
    found = used(shown(*names), condition)
    assert set(found) <= set(names) & set(CODES)
    assert len(found) == len(set(found))
    left = [name for name in names if name in found or name not in CODES]
    assert sorted(used(shown(*left), condition)) == sorted(found)
