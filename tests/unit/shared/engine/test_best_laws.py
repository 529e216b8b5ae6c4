"""Laws of groups that compete: what `best` may never lose, what no mode may exceed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from rules_compiler.pipeline import compile_document
from shared.engine.evaluate import evaluate
from shared.engine.packing import Column, pack
from shared.engine.program import encode_program
from shared.wire.answer import Answer
from shared.wire.receipt_json import decode_receipt
from tests.support.examples import examples
from tests.support.reference import TooLargeError, UndecidedError, price

Doc = dict[str, Any]
MODES = ("all", "sum", "first", "best")
SKUS = ("milk", "bread", "cup")
PERCENTS = ("5", "10", "12.5", "33.3333", "50", "100")
MONEY = ("0.07", "5.00", "9.99", "33.33", "50.00")
PRICES = ("100.00", "66.67", "33.33", "33.33", "10.00", "0.99")


def _money(text: str) -> int:
    return int(text.replace(".", ""))


# --- documents

_percent = st.builds(lambda p: {"percent": p}, st.sampled_from(PERCENTS))
_price = st.builds(lambda m: {"price": m}, st.sampled_from(MONEY))
_filters = st.one_of(
    st.just({}),
    st.builds(lambda s: {"sku": sorted(s)}, st.sets(st.sampled_from(SKUS), min_size=1)),
)


def _result(do: str, *parts: st.SearchStrategy[Doc]) -> st.SearchStrategy[Doc]:
    """A result of this kind: its filter and what the parts draw."""
    return st.builds(
        lambda filter_, *drawn: (
            {"do": do, "filter": filter_} | {k: v for d in drawn for k, v in d.items()}
        ),
        _filters,
        *parts,
    )


def _runs(every: int) -> st.SearchStrategy[Doc]:
    return st.builds(
        lambda take, same, grouping: (
            {"every": every, "take": take, "grouping": grouping} | ({"same": same} if same else {})
        ),
        st.integers(1, every),
        st.sampled_from((None, None, "sku", "line")),
        st.sampled_from(("chunks", "cheapest")),
    )


_slots = st.lists(
    st.builds(lambda f, q: {"filter": f, "qty": q}, _filters, st.integers(1, 2)),
    min_size=1,
    max_size=2,
)
_sets = st.builds(
    lambda slots, whole: {"do": "set", "slots": slots} | whole,
    _slots,
    st.one_of(_percent, _price, st.builds(lambda m: {"amount": m}, st.sampled_from(MONEY))),
)
_nths = _result("nth", st.integers(2, 3).flatmap(_runs), st.one_of(_percent, _price))
_each = st.builds(lambda m: {"amount_each": m}, st.sampled_from(MONEY))
UNBOUNDED: st.SearchStrategy[Doc] = st.one_of(
    _result("discount_goods", st.one_of(_percent, _each)),
    _result("set_price", _price),
    _nths,
    _sets,
)
"""Results whose pieces do not depend on how many others there are."""
_most = st.one_of(st.just({}), st.builds(lambda n: {"max_qty": n}, st.integers(1, 3)))
ANY: st.SearchStrategy[Doc] = st.one_of(
    UNBOUNDED,
    _result(
        "discount_goods",
        st.one_of(
            st.builds(lambda m: {"amount": m}, st.sampled_from(MONEY)),
            st.just({"steps": ["0", "10", "50"]}),
            _percent,
        ),
        _most,
        st.one_of(st.just({}), st.builds(lambda m: {"cap": m}, st.sampled_from(MONEY))),
    ),
    _result("gift_goods", st.builds(lambda n: {"qty": n}, st.integers(1, 2))),
)
LIMITS = st.one_of(
    st.builds(lambda n: {"per_receipt": n}, st.integers(1, 3)),
    st.builds(lambda n: {"per_customer": {"qty": n, "per": "day"}}, st.integers(1, 4)),
    st.builds(lambda m: {"per_customer": {"discount": m, "per": "day"}}, st.sampled_from(MONEY)),
    st.builds(lambda m: {"total": {"discount": m}}, st.sampled_from(MONEY)),
)


@st.composite
def _promotions(
    draw: st.DrawFn, results: st.SearchStrategy[Doc], *, limited: bool = False, most: int = 3
) -> list[Doc]:
    found = []
    for number in range(1, draw(st.integers(1, most)) + 1):
        promotion: Doc = {"id": f"p{number}", "priority": draw(st.sampled_from((10, 20)))}
        promotion["then"] = [draw(results)]
        if limited:
            promotion["limits"] = draw(LIMITS)
        found.append(promotion)
    return found


@st.composite
def _receipts(draw: st.DrawFn, *, floors: bool = True, flags: bool = False) -> Doc:
    lines = []
    for number in range(1, draw(st.integers(1, 4)) + 1):
        line: Doc = {"line": number, "sku": draw(st.sampled_from(SKUS))}
        line["price"] = draw(st.sampled_from(PRICES))
        if draw(st.integers(0, 5)):
            line["qty"] = str(draw(st.integers(1, 3)))
        else:
            line |= {"qty": "0.532", "weighed": True}
        if floors and draw(st.integers(0, 2)) == 0:
            line["max_discount"] = draw(st.sampled_from(("10", "33.3333", "0")))
        if floors and draw(st.integers(0, 3)) == 0:
            kopecks = _money(line["price"]) * 8 // 10
            line["min_price"] = f"{kopecks // 100}.{kopecks % 100:02d}"
        if flags and draw(st.booleans()):
            line["flags"] = [draw(st.sampled_from(("tobacco", "gift_card", "no_discount")))]
        lines.append(line)
    return {"store": "S1", "time": "2026-11-23T12:00:00+03:00", "customer": {}, "lines": lines}


def _programme(promotions: Sequence[Doc], resolve: str) -> Doc:
    return {
        "programme": "laws",
        "version": 1,
        "currency": "RUB",
        "timezone": "Europe/Moscow",
        "groups": [{"id": "main", "resolve": resolve}],
        "promotions": [{"name": each["id"], **each} for each in promotions],
    }


def _answer(promotions: Sequence[Doc], resolve: str, receipt: Doc) -> Answer:
    compilation = compile_document(json.dumps(_programme(promotions, resolve)).encode())
    assert compilation.program is not None, [str(each) for each in compilation.diagnostics]
    return evaluate(compilation.program, decode_receipt(json.dumps(receipt).encode()))


def _pieces(receipt: Doc) -> int:
    """How many pieces there are: so many kopecks may differ, as each lot is rounded by itself."""
    return sum(1 if "weighed" in line else int(line["qty"]) for line in receipt["lines"])


def _given(answer: Answer) -> dict[str, int]:
    """What each promotion took off, in kopecks."""
    found: dict[str, int] = {}
    for line in answer.lines:
        for applied in line.applied:
            found[applied.promotion] = found.get(applied.promotion, 0) + applied.discount_minor
    return found


def _discounted(answer: Answer, receipt: Doc) -> dict[str, int]:
    """How many pieces each promotion discounted; a block is one."""
    blocks = {line["line"] for line in receipt["lines"] if "weighed" in line}
    found: dict[str, int] = {}
    for line in answer.lines:
        for applied in line.applied:
            pieces = 1 if line.line in blocks else applied.quantity_milli // 1000
            found[applied.promotion] = found.get(applied.promotion, 0) + pieces
    return found


# --- the best choice


@examples(100)
@given(promotions=_promotions(ANY), receipt=_receipts())
def test_best_gives_at_least_what_each_promotion_gives_alone(
    promotions: list[Doc], receipt: Doc
) -> None:
    """A competition never costs the customer: the best alone is one of the choices."""
    best = _answer(promotions, "best", receipt)
    assert best.optimal
    for promotion in promotions:
        alone = _answer([promotion], "all", receipt)
        assert alone.total.discount_minor <= best.total.discount_minor + _pieces(receipt)


@examples(100)
@given(promotions=_promotions(UNBOUNDED), receipt=_receipts())
def test_best_gives_at_least_what_first_gives(promotions: list[Doc], receipt: Doc) -> None:
    """What the promotions take one after another is a choice of disjoint applications too."""
    best = _answer(promotions, "best", receipt)
    first = _answer(promotions, "first", receipt)
    assert first.total.discount_minor <= best.total.discount_minor + _pieces(receipt)


@examples(100)
@given(promotions=_promotions(ANY, limited=True) | _promotions(ANY), receipt=_receipts())
def test_best_is_what_exhaustive_search_finds(promotions: list[Doc], receipt: Doc) -> None:
    """On small receipts the choice is proven, and every choice that there is says the same."""
    answer = _answer(promotions, "best", receipt)
    assert answer.optimal
    try:
        expected = price(_programme(promotions, "best"), receipt)
    except (TooLargeError, UndecidedError):
        assume(False)
    assert _money(expected["total"]["discount"]) == answer.total.discount_minor
    assert [_money(line["net"]) for line in expected["lines"]] == [
        line.net_minor for line in answer.lines
    ]


@examples(60)
@given(
    promotions=_promotions(ANY, most=4),
    receipt=_receipts(),
    resolve=st.sampled_from(MODES),
    order=st.randoms(use_true_random=False),
)
def test_order_in_the_document_does_not_matter(
    promotions: list[Doc], receipt: Doc, resolve: str, order: Any
) -> None:
    """Priority and id decide; where a promotion stands in the file does not."""
    moved = list(promotions)
    order.shuffle(moved)
    programs = [
        compile_document(json.dumps(_programme(each, resolve)).encode()).program
        for each in (promotions, moved)
    ]
    assert programs[0] is not None
    assert programs[1] is not None
    assert encode_program(programs[0]) == encode_program(programs[1])
    assert _answer(promotions, resolve, receipt) == _answer(moved, resolve, receipt)


# --- limits, floors, flags in every mode


@examples(150)
@given(
    promotions=_promotions(ANY, limited=True), receipt=_receipts(), resolve=st.sampled_from(MODES)
)
def test_no_limit_is_exceeded_in_any_mode(
    promotions: list[Doc], receipt: Doc, resolve: str
) -> None:
    """Money, pieces and applications stay within the limits of their promotion."""
    answer = _answer(promotions, resolve, receipt)
    given_minor, pieces = _given(answer), _discounted(answer, receipt)
    for promotion in promotions:
        limits, name = promotion["limits"], promotion["id"]
        mine = limits.get("per_customer", {})
        money = mine.get("discount") or limits.get("total", {}).get("discount")
        if money is not None:
            assert given_minor.get(name, 0) <= _money(money)
        if "qty" in mine:
            assert pieces.get(name, 0) <= mine["qty"]
        if "per_receipt" in limits:
            result = promotion["then"][0]
            each = result.get("take", 1) if result["do"] == "nth" else 1
            if result["do"] == "set":
                each = sum(slot["qty"] for slot in result["slots"])
            assert pieces.get(name, 0) <= limits["per_receipt"] * each


@examples(100)
@given(promotions=_promotions(ANY), receipt=_receipts(flags=True), resolve=st.sampled_from(MODES))
def test_floors_and_flags_hold_and_sums_add_up_in_every_mode(
    promotions: list[Doc], receipt: Doc, resolve: str
) -> None:
    """Flagged lines keep their price, the others their floors, and every column adds up."""
    answer = _answer(promotions, resolve, receipt)
    for line, bought in zip(answer.lines, receipt["lines"], strict=True):
        assert line.discount_minor == sum(each.discount_minor for each in line.applied)
        assert line.net_minor == line.list_minor - line.discount_minor
        assert line.to_pay_minor == sum(part.to_pay_minor for part in line.parts)
        assert line.net_minor >= 0
        if "flags" in bought:
            assert line.discount_minor == 0
            continue
        pieces = 1 if "weighed" in bought else int(bought["qty"])
        rate_ppm = round(float(bought.get("max_discount", "100")) * 10_000)
        assert line.discount_minor <= line.list_minor * rate_ppm / 1_000_000 + pieces
        least = _money(bought.get("min_price", "0.00")) * float(bought["qty"])
        assert line.net_minor >= least - pieces
    assert answer.total.discount_minor == sum(line.discount_minor for line in answer.lines)
    assert answer.total.discount_minor == sum(_given(answer).values())
    assert answer.total.to_pay_minor == sum(line.to_pay_minor for line in answer.lines)


# --- the search itself


@st.composite
def _packings(draw: st.DrawFn) -> tuple[list[int], list[Column], list[int], list[int]]:
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    supplies = draw(st.lists(st.integers(0, 4), max_size=2))
    caps = draw(st.lists(st.integers(1, 25), max_size=2))
    columns = []
    for mark in range(draw(st.integers(1, 7))):
        uses = draw(
            st.dictionaries(
                st.integers(0, len(counts) - 1), st.integers(1, 2), min_size=1, max_size=3
            )
        )
        draws = [(at, 1) for at in range(len(supplies)) if draw(st.booleans())]
        cap = draw(st.integers(-1, len(caps) - 1))
        value = draw(st.integers(1, 20))
        columns.append(Column(sorted(uses.items()), value, value * SCALE - 1, draws, cap, mark))
    return counts, columns, supplies, caps


SCALE = 1000
"""Of a value in worth; below it every column costs one, so that fewer are better."""


def _worth(chosen: dict[int, int], columns: list[Column], caps: list[int]) -> int:
    """What a choice is worth: capped values count no more than their cap."""
    worth = 0
    capped = [0] * len(caps)
    for column in columns:
        times = chosen.get(column.mark, 0)
        worth += times * column.worth
        if column.cap >= 0:
            capped[column.cap] += times * column.value
    over = sum(max(got - cap, 0) for got, cap in zip(capped, caps, strict=True))
    return worth - over * SCALE


def _fits(
    chosen: dict[int, int], columns: list[Column], counts: list[int], supplies: list[int]
) -> bool:
    left, supply = list(counts), list(supplies)
    for column in columns:
        times = chosen.get(column.mark, 0)
        for kind, count in column.uses:
            left[kind] -= count * times
        for resource, amount in column.draws:
            supply[resource] -= amount * times
    return min([*left, *supply]) >= 0


def _brute_force(
    columns: list[Column], counts: list[int], supplies: list[int], caps: list[int]
) -> int:
    """The greatest worth over every choice there is."""

    def best(at: int, chosen: dict[int, int]) -> int:
        if not _fits(chosen, columns, counts, supplies):
            return -(10**9)
        if at == len(columns):
            return _worth(chosen, columns, caps)
        found = best(at + 1, chosen)
        times = 1
        while _fits(more := chosen | {columns[at].mark: times}, columns, counts, supplies):
            found = max(found, best(at + 1, more))
            times += 1
        return found

    return best(0, {})


@examples(200)
@given(case=_packings())
def test_packing_finds_what_brute_force_finds(
    case: tuple[list[int], list[Column], list[int], list[int]],
) -> None:
    """The choice fits, is worth what the best of all choices is worth, and is called proven."""
    counts, columns, supplies, caps = case
    packing = pack(counts, columns, list(supplies), caps, SCALE, complete=True)
    assert _fits(packing.chosen, columns, counts, supplies)
    assert packing.optimal
    worth = _worth(packing.chosen, columns, caps)
    assert worth == _brute_force(columns, counts, supplies, caps)
