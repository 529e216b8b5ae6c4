"""What users of other engines complained of, each by its number: here it comes out right.

The numbers are those of the list of complaints; the figures are the reporters' own where they gave
any. Every test goes the whole way: document, compiler, signed bundle, engine. Complaints about the
network, refunds, screens and parallel tills are answered by the tests of those rooms.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from rules_compiler.pipeline import compile_document
from shared.bundle.trust import VerifiedBundle, open_bundle
from shared.bundle.writer import write_bundle
from shared.engine.evaluate import evaluate
from shared.engine.groups import Runner
from shared.wire.answer_json import answer_to_json
from shared.wire.receipt_json import decode_receipt
from tests.support.bundles import SIGNER, TRUSTED

Doc = dict[str, Any]
NOON = "2026-11-23T12:00:00+03:00"


def promotion(name: str, *results: Doc, **fields: Any) -> Doc:
    """A promotion with these results."""
    return {"id": name, "name": name, "then": list(results), **fields}


def off(**fields: Any) -> Doc:
    """A discount on goods."""
    return {"do": "discount_goods", **fields}


def whole(**fields: Any) -> Doc:
    """A discount on the receipt."""
    return {"do": "discount_receipt", **fields}


def line(number: int, price: str, qty: str = "1", **fields: Any) -> Doc:
    """A line of the article that has its number."""
    return {"line": number, "sku": f"s{number}", "price": price, "qty": qty, **fields}


def bundle(promotions: list[Doc], resolve: str = "all", **fields: Any) -> VerifiedBundle:
    """The programme as a shop has it: compiled, signed, checked."""
    document = {
        "programme": "complaints",
        "version": 1,
        "currency": "RUB",
        "timezone": "Europe/Moscow",
        "groups": [{"id": "main", "resolve": resolve}],
        "accounts": [{"id": "main"}],
        "promotions": promotions,
        **fields,
    }
    compilation = compile_document(json.dumps(document).encode())
    assert compilation.program is not None, [str(each) for each in compilation.diagnostics]
    written = write_bundle(compilation.program, SIGNER, created_at_ms=1)
    return open_bundle(written, TRUSTED, version_floor=0)


def price(opened: VerifiedBundle, *lines: Doc, **receipt: Any) -> Doc:
    """The answer, with its reasons and hints."""
    raw = {"store": "S1", "time": NOON, "lines": list(lines), **receipt}
    decoded = decode_receipt(json.dumps(raw).encode())
    return answer_to_json(evaluate(opened.ready, decoded, trace=True, hints=True))


def to_pay(answer: Doc) -> list[str]:
    """What each line costs."""
    return [each["to_pay"] for each in answer["lines"]]


def total(answer: Doc) -> str:
    """What the receipt costs."""
    paid: str = answer["total"]["to_pay"]
    return paid


def why(answer: Doc, name: str) -> list[tuple[str, str]]:
    """Reason and subject of each result of a promotion."""
    return [
        (each["reason"], each.get("subject", ""))
        for each in answer["trace"]
        if each["promotion"] == name
    ]


# --- rounding


def test_complaint_19_halves_of_a_kopeck_are_rounded_up() -> None:
    """19.99 less 25 % is 4.9975 off, so 5.00: not 15.00 to pay."""
    opened = bundle([promotion("quarter", off(percent="25"))])
    assert to_pay(price(opened, line(1, "19.99"))) == ["14.99"]


def test_complaint_20_a_receipt_discount_passed_to_lines_adds_up() -> None:
    """Ten roubles over three equal lines are 3.34, 3.33 and 3.33."""
    opened = bundle([promotion("ten", whole(amount="10.00"))])
    answer = price(opened, *[line(number, "33.33") for number in (1, 2, 3)])
    assert [each["discount"] for each in answer["lines"]] == ["3.34", "3.33", "3.33"]
    assert answer["total"]["discount"] == "10.00"


def test_complaint_21_the_discount_is_rounded_half_up_and_the_net_is_the_rest() -> None:
    """10.50 less 15 %: 1.575 off is 1.58, the half kopeck is the customer's; so of two pieces too.

    The rule is one and the same everywhere. A shop that wants 8.93 sets that price.
    """
    opened = bundle([promotion("fifteen", off(percent="15"))])
    answer = price(opened, line(1, "10.50"))
    assert (answer["total"]["discount"], total(answer)) == ("1.58", "8.92")
    assert total(price(opened, line(1, "10.50", "2"))) == "17.85"
    fixed = bundle([promotion("price", {"do": "set_price", "price": "8.93"})])
    assert to_pay(price(fixed, line(1, "10.50"))) == ["8.93"]


@pytest.mark.parametrize("percent", ["whole", "goods"])
def test_complaint_22_a_full_coupon_leaves_nothing_to_pay(percent: str) -> None:
    """A hundred percent is everything, whatever the kopecks of the lines."""
    result = whole(percent="100") if percent == "whole" else off(percent="100")
    opened = bundle([promotion("free", result, when={"coupon": ["FREE"]})])
    lines = [line(1, "33.33", "3"), line(2, "0.01"), line(3, "17.77", "0.333", weighed=True)]
    answer = price(opened, *lines, coupons=[{"code": "x", "series": "FREE"}])
    assert total(answer) == "0.00"
    assert {"0.00"} == set(to_pay(answer))


def test_complaint_23_a_full_discount_is_exactly_nothing() -> None:
    """Never -1.6e-14: sums are whole kopecks, and discounts after it find nothing."""
    opened = bundle(
        [promotion("a", off(percent="100"), priority=1), promotion("b", whole(percent="10"))]
    )
    answer = price(opened, line(1, "0.10", "3"), line(2, "0.70"))
    totals = {"list": "1.00", "discount": "1.00", "net": "0.00", "points_spent": "0.00"}
    assert answer["total"] == totals | {"to_pay": "0.00"}
    assert answer["applied"] == ["a"]


@pytest.mark.parametrize("pieces", range(1, 51))
def test_complaint_24_a_fixed_amount_is_not_divided_by_units(pieces: int) -> None:
    """Ten roubles off a line are ten roubles at every quantity."""
    opened = bundle([promotion("ten", off(amount="10.00"))])
    answer = price(opened, line(1, "33.33", str(pieces)))
    assert answer["total"]["discount"] == "10.00"
    paid = [int(part["to_pay"].replace(".", "")) for part in answer["lines"][0]["parts"]]
    assert 3333 * pieces - 1000 == sum(paid)


@pytest.mark.parametrize("resolve", ["all", "sum"])
def test_complaint_25_three_fixed_rules_give_their_sum(resolve: str) -> None:
    """10, 20 and 30 off three lines are 60 together, no more and no less."""
    opened = bundle(
        [promotion(f"p{amount}", whole(amount=f"{amount}.00")) for amount in (10, 20, 30)], resolve
    )
    answer = price(opened, line(1, "99.99"), line(2, "33.33", "2"), line(3, "0.99", "7"))
    assert answer["total"]["discount"] == "60.00"
    given = sum(
        int(each["discount"].replace(".", ""))
        for one in answer["lines"]
        for each in one["applied"]
        if each["promotion"] == "p30"
    )
    assert given == 3000


def test_complaint_26_an_amount_comes_off_the_price_on_the_shelf() -> None:
    """Prices include the tax: ten roubles less are ten roubles less to pay."""
    opened = bundle([promotion("ten", off(amount="10.00"))])
    assert total(price(opened, line(1, "100.00"))) == "90.00"


# --- stacking, priority, choice


def test_complaint_27_priority_exclusion_and_stacking_are_said_in_the_programme() -> None:
    """A group says "not with other offers"; what may come on top of it says ``stack``."""
    offers = [
        promotion("ten", off(percent="10"), priority=1),
        promotion("twenty", off(percent="20"), priority=2),
    ]
    staff = promotion("staff", off(percent="5"), stack=True)
    goods = line(1, "100.00")
    assert total(price(bundle([*offers, staff], "all"), goods)) == "68.40"
    assert total(price(bundle([*offers, staff], "first"), goods)) == "85.50"
    assert total(price(bundle([*offers, staff], "best"), goods)) == "76.00"
    answer = price(bundle(offers, "best"), goods)
    assert answer["applied"] == ["twenty"]
    assert why(answer, "ten") == [("outdone", "")]


def test_complaint_28_several_coupons_count_in_one_receipt() -> None:
    """Each coupon brings its own promotion, in the order of priority."""
    opened = bundle(
        [
            promotion("a", whole(amount="10.00"), when={"coupon": ["A"]}, priority=1),
            promotion("b", whole(percent="10"), when={"coupon": ["B"]}, priority=2),
        ]
    )
    coupons = [{"code": "1", "series": "A"}, {"code": "2", "series": "B"}]
    answer = price(opened, line(1, "110.00"), coupons=coupons)
    assert (answer["applied"], total(answer)) == (["a", "b"], "90.00")


def test_complaint_29_closing_stops_later_offers_on_its_own_goods_only() -> None:
    """What one rule closes are the goods that it discounted, not the rest of the receipt."""
    opened = bundle(
        [
            promotion("sale", off(percent="30", filter={"sku": ["s1"]}), closes=True, priority=1),
            promotion("card", off(percent="10"), priority=2),
            promotion("points", {"do": "accrue_points", "account": "main", "percent": "1"}),
        ]
    )
    answer = price(opened, line(1, "100.00"), line(2, "100.00"), customer={})
    assert to_pay(answer) == ["70.00", "90.00"]
    assert answer["applied"] == ["sale", "card", "points"]


@pytest.mark.parametrize("resolve", ["best", "sum"])
def test_complaint_30_priorities_do_not_move_the_total_where_promotions_compete(
    resolve: str,
) -> None:
    """Whatever the order of three promotions, the customer pays the same."""
    results = [
        off(percent="10", filter={"sku": ["s1", "s2"]}),
        {"do": "nth", "every": 2, "percent": "50"},
        off(amount_each="7.00", filter={"sku": ["s3"]}),
    ]
    totals = set()
    for order in itertools.permutations((1, 2, 3)):
        promotions = [
            promotion(f"p{place}", result, priority=priority)
            for place, (result, priority) in enumerate(zip(results, order, strict=True))
        ]
        lines = [line(1, "100.00"), line(2, "80.00"), line(3, "60.00", "2")]
        totals.add(total(price(bundle(promotions, resolve), *lines)))
    assert len(totals) == 1


def test_complaint_31_equal_priorities_go_by_id() -> None:
    """Where the file names them does not matter: ``a`` comes before ``b``."""
    first = promotion("a", whole(amount="10.00"))
    second = promotion("b", whole(percent="50"))
    answers = [
        price(bundle(order), line(1, "100.00")) for order in ([first, second], [second, first])
    ]
    assert [total(answer) for answer in answers] == ["45.00", "45.00"]
    assert [answer["applied"] for answer in answers] == [["a", "b"], ["a", "b"]]


def test_complaint_32_a_voucher_on_top_of_a_promotion_does_not_make_goods_free() -> None:
    """It works on what the promotion left; summed on list prices it stops at the floor."""
    both = [
        promotion("sale", off(percent="50"), priority=1),
        promotion("voucher", off(percent="50"), priority=2),
    ]
    assert total(price(bundle(both, "all"), line(1, "100.00"))) == "25.00"
    guarded = line(1, "100.00", max_discount="70")
    assert total(price(bundle(both, "sum"), guarded)) == "30.00"


@pytest.mark.parametrize(
    ("pieces", "paid"), [(2, "200.00"), (3, "270.00"), (4, "360.00"), (5, "425.00"), (6, "510.00")]
)
def test_complaint_33_tiers_are_one_thing(pieces: int, paid: str) -> None:
    """Three at 10 %, five at 15 %: the higher step takes the place of the lower."""
    tiers = {"by": "quantity", "steps": [["3", "10"], ["5", "15"]]}
    opened = bundle([promotion("more", off(tiers=tiers))])
    assert paid == total(price(opened, line(1, "100.00", str(pieces))))


def test_complaint_34_the_cheapest_is_the_cheapest_of_the_offer() -> None:
    """A pack of gum does not eat the offer on shoes, and splitting the receipt gains nothing."""
    shoes = {"category": ["shoes"]}
    opened = bundle([promotion("third", {"do": "nth", "every": 3, "filter": shoes})])
    pairs = [line(number, f"{number}000.00", category="shoes") for number in range(1, 7)]
    gum = line(9, "30.00", category="sweets")
    answer = price(opened, *pairs, gum)
    assert to_pay(answer) == ["0.00", "2000.00", "3000.00", "0.00", "5000.00", "6000.00", "30.00"]
    apart = [price(opened, *pairs[3:]), price(opened, *pairs[:3], gum)]
    assert total(answer) == f"{sum(float(total(each)) for each in apart):.2f}"


def test_complaint_35_goods_already_reduced_are_left_out() -> None:
    """No category to keep by hand: the filter asks whether something has come off."""
    opened = bundle(
        [
            promotion("sale", off(percent="30", filter={"sku": ["s1"]}), priority=1),
            promotion("ten", off(percent="10", filter={"discounted": False}), priority=2),
        ]
    )
    assert to_pay(price(opened, line(1, "100.00"), line(2, "100.00"))) == ["70.00", "90.00"]


def test_complaint_36_each_unit_counts_once_and_any_percent_is_possible() -> None:
    """Of five pieces two are the second of a pair; a gift never costs less than nothing."""
    pair = {"do": "nth", "every": 2, "percent": "50", "filter": {"sku": ["s1"]}}
    answer = price(bundle([promotion("pair", pair)]), line(1, "100.00", "5"))
    assert (total(answer), answer["lines"][0]["applied"][0]["qty"]) == ("400.00", "2")
    gifts = {"do": "gift_goods", "qty": 10}
    answer = price(bundle([promotion("gift", gifts), promotion("more", gifts)]), line(1, "5.00"))
    assert (total(answer), answer["total"]["discount"]) == ("0.00", "5.00")


@pytest.mark.parametrize(
    ("pieces", "free"), [(17, 0), (18, 1), (34, 1), (35, 1), (36, 2), (51, 2), (53, 2), (54, 3)]
)
def test_complaint_37_buy_17_get_1_holds_at_34_and_51(pieces: int, free: int) -> None:
    """One of each eighteen is free, in one line or in two; a second reward takes other pieces."""
    one = promotion("17+1", {"do": "nth", "every": 18})
    opened = bundle([one])
    assert f"{pieces - free}.00" == total(price(opened, line(1, "1.00", str(pieces))))
    halves = [line(1, "1.00", "16"), line(2, "1.00", str(pieces - 16))]
    assert f"{pieces - free}.00" == total(price(opened, *halves))
    two = bundle([one, promotion("again", {"do": "nth", "every": 18})], "best")
    assert f"{pieces - free}.00" == total(price(two, line(1, "1.00", str(pieces))))


# --- explanation


def test_complaint_38_a_good_code_that_is_not_yet_enough_says_what_is_missing() -> None:
    """The coupon is fine, the total is not: the trace has both figures, the hint the rest."""
    when = {"all": [{"coupon": ["SPRING"]}, {"total": {"from": "500.00"}}]}
    opened = bundle([promotion("spring", whole(percent="10"), when=when)])
    answer = price(opened, line(1, "450.00"), coupons=[{"code": "x", "series": "SPRING"}])
    assert why(answer, "spring") == [("condition", "total")]
    entry = answer["trace"][0]
    assert (entry["seen"], entry["wanted"]) == ("450.00", "500.00–")
    assert answer["hints"][0]["missing"] == {"amount": "50.00", "filter": {}}
    used = price(opened, line(1, "900.00"), coupons=[{"code": "x", "series": "SPRING",
                                                      "state": "used"}])  # fmt: skip
    assert (used["trace"][0]["subject"], used["trace"][0]["seen"]) == ("coupon", "used")


def test_complaint_39_a_guest_is_told_that_it_is_for_members() -> None:
    """The reason names the condition and that nobody was identified."""
    opened = bundle([promotion("club", off(percent="5"), when={"customer": {"identified": True}})])
    answer = price(opened, line(1, "100.00"))
    assert why(answer, "club") == [("condition", "customer")]
    assert answer["trace"][0]["seen"] == "anonymous"


def test_complaint_40_add_twenty_more_from_books_and_get_15_percent() -> None:
    """The hint has the sum, the goods, and the shop's own words."""
    books = {"category": ["books"]}
    when = {"total": {"filter": books, "from": "120.00"}}
    text = "Add a little more from Books and get 15 %"
    opened = bundle([promotion("books", off(percent="15", filter=books), when=when, hint=text)])
    answer = price(opened, line(1, "100.00", category="books/novels"), line(2, "80.00"))
    (hint,) = answer["hints"]
    assert ("books", {"amount": "20.00", "filter": books}, text) == (
        hint["promotion"], hint["missing"], hint["text"],
    )  # fmt: skip


def test_complaint_41_promotions_that_cannot_be_combined_say_so() -> None:
    """Not "invalid": another offer has these goods, or another of the same kind has acted."""
    opened = bundle(
        [
            promotion("sale", off(percent="30"), closes=True, priority=1),
            promotion("code", off(percent="5"), when={"coupon": ["C"]}, priority=2),
        ],
        "first",
    )
    answer = price(opened, line(1, "100.00"), coupons=[{"code": "x", "series": "C"}])
    assert why(answer, "code") == [("used_by_another", "")]
    family = bundle(
        [
            promotion(name, whole(percent="5"), only_one_of="welcome", priority=priority)
            for priority, name in enumerate(("hello", "welcome"))
        ]
    )
    assert why(price(family, line(1, "100.00")), "welcome") == [("only_one_of", "")]


@pytest.mark.parametrize(
    ("asked", "spent"), [("max", "100.00"), ("25", "25.00"), ("500", "100.00")]
)
def test_complaint_42_the_cashier_chooses_how_many_points_to_spend(asked: str, spent: str) -> None:
    """As many as asked for, no more than there are; the answer says how many there could be."""
    opened = bundle([promotion("pay", {"do": "spend_points", "account": "main"})])
    member = {"id": "m", "points": {"main": "100"}}
    answer = price(
        opened, line(1, "300.00"), customer=member, spend={"account": "main", "points": asked}
    )
    assert spent == answer["total"]["points_spent"]
    assert answer["spendable"] == [{"account": "main", "points": "100.00"}]
    nothing = price(opened, line(1, "300.00"), customer=member)
    assert nothing["total"]["points_spent"] == "0.00"
    assert why(nothing, "pay") == [("not_requested", "")]


def test_complaint_43_naming_a_customer_spends_nothing() -> None:
    """Points are spent only where the receipt asks; that the customer confirmed is the till's."""
    opened = bundle([promotion("pay", {"do": "spend_points", "account": "main"})])
    answer = price(opened, line(1, "50.00"), customer={"id": "m", "points": {"main": "100"}})
    assert (
        total(answer), answer["spendable"],
    ) == ("50.00", [{"account": "main", "points": "50.00"}])  # fmt: skip


def test_complaint_44_the_reward_is_not_counted_as_bought() -> None:
    """A free piece is paid with nothing, so it brings nothing; with the flag no piece point too."""
    gift = promotion(
        "gift", {"do": "gift_goods", "filter": {"sku": ["s2"]}}, forbid_accrual=True, priority=1
    )
    money = promotion("earn", {"do": "accrue_points", "account": "main", "percent": "10"})
    each = {"do": "accrue_points", "account": "main", "per_qty": {"qty": "1", "points": "1"}}
    answer = price(
        bundle([gift, money, promotion("piece", each)]),
        line(1, "100.00", "2"), line(2, "50.00"), customer={},
    )  # fmt: skip
    earned = {each["promotion"]: each["points"] for each in answer["accrued"]}
    assert earned == {"earn": "20.00", "piece": "2.00"}


@pytest.mark.parametrize(("base", "points"), [("paid", "8.00"), ("list", "10.00")])
def test_complaint_45_points_before_or_after_the_reward_is_a_setting(
    base: str, points: str
) -> None:
    """``base`` says whether the discount counts."""
    earn = {"do": "accrue_points", "account": "main", "percent": "10", "base": base}
    opened = bundle([promotion("sale", off(percent="20")), promotion("zz", earn)])
    answer = price(opened, line(1, "100.00"), customer={})
    assert points == answer["accrued"][0]["points"]


def test_complaint_46_cashback_is_money_unless_the_shop_says_otherwise() -> None:
    """A point is a rouble: five percent of 234.60 are 11.73, and they pay 11.73."""
    promotions = [
        promotion("back", {"do": "accrue_points", "account": "main", "percent": "5"}),
        promotion("pay", {"do": "spend_points", "account": "main"}),
    ]
    opened = bundle(promotions)
    assert price(opened, line(1, "234.60"), customer={})["accrued"][0]["points"] == "11.73"
    answer = price(
        opened, line(1, "100.00"),
        customer={"points": {"main": "11.73"}}, spend={"account": "main", "points": "max"},
    )  # fmt: skip
    assert total(answer) == "88.27"


def test_complaint_47_the_till_and_the_web_shop_give_the_same_receipt() -> None:
    """The channel is a condition like any other; without it nothing differs."""
    opened = bundle(
        [
            promotion("ten", off(percent="10")),
            promotion("third", {"do": "nth", "every": 3}),
            promotion("whole", whole(amount="33.33")),
        ]
    )
    lines = [line(1, "99.99", "4"), line(2, "45.45"), line(3, "200.00", "0.532", weighed=True)]
    answers = [price(opened, *lines, channel=each) for each in ("pos", "sco", "online")]
    assert answers[1:] == answers[:1] * 2


def test_complaint_48_a_future_promotion_is_previewed_by_its_date() -> None:
    """The same bundle, a receipt of another day; today it says that it is not active yet."""
    active = {"from": "2026-12-20", "to": "2026-12-31"}
    opened = bundle([promotion("new-year", off(percent="20"), active=active)])
    today = price(opened, line(1, "100.00"))
    assert (total(today), why(today, "new-year")) == ("100.00", [("not_active", "")])
    assert total(price(opened, line(1, "100.00"), time="2026-12-24T12:00:00+03:00")) == "80.00"


# --- scale, limits


def test_complaint_49_a_reward_of_8600_products_is_one_look_up() -> None:
    """A list of thousands of articles is a set: the receipt does not walk it."""
    listed = {"sku": [f"s{number}" for number in range(2, 8602)]}
    opened = bundle(
        [promotion("gift", {"do": "gift_goods", "filter": {"list": ["big"]}})],
        product_lists={"big": listed},
    )
    answer = price(opened, line(1, "90.00"), line(8600, "10.00"), line(9000, "20.00"))
    assert to_pay(answer) == ["90.00", "0.00", "20.00"]


def test_complaint_50_dead_rules_do_not_slow_a_receipt() -> None:
    """Of three thousand rules a receipt looks at those that its goods and coupons reach."""
    dead = [
        promotion(f"dead-{number}", off(percent="5", filter={"sku": [f"other-{number}"]}))
        for number in range(2_000)
    ]
    coupons = [
        promotion(f"code-{number}", whole(percent="5"), when={"coupon": [f"SERIES-{number}"]})
        for number in range(1_000)
    ]
    live = promotion("live", off(percent="10", filter={"sku": ["s1"]}))
    opened = bundle([*dead, *coupons, live])
    raw = {"store": "S1", "time": NOON, "lines": [line(1, "100.00"), line(2, "50.00")]}
    receipt = decode_receipt(json.dumps(raw).encode())
    reached = Runner(opened.ready, receipt).works
    assert [work.promotion.id for work in reached] == ["live"]
    assert evaluate(opened.ready, receipt).total.to_pay_minor == 14_000


def test_complaint_53_points_pay_kopecks_too() -> None:
    """No few cents are left for cash."""
    opened = bundle([promotion("pay", {"do": "spend_points", "account": "main"})])
    answer = price(
        opened, line(1, "33.33", "2"),
        customer={"points": {"main": "100"}}, spend={"account": "main", "points": "max"},
    )  # fmt: skip
    assert (answer["total"]["points_spent"], total(answer)) == ("66.66", "0.00")


def test_complaint_54_a_parent_category_holds_its_children() -> None:
    """Goods of food/dairy/milk reach a threshold on food; food-processors do not."""
    when = {"total": {"filter": {"category": ["food"]}, "from": "100.00"}}
    opened = bundle([promotion("food", whole(amount="10.00"), when=when)])
    milk = line(1, "100.00", category="food/dairy/milk")
    assert total(price(opened, milk)) == "90.00"
    assert total(price(opened, line(1, "100.00", category="food-processors"))) == "100.00"
