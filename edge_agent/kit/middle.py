"""The second level: points, coupons, hints, returns in parts, and the day's totals."""

from __future__ import annotations

from typing import Final

from edge_agent.kit.cashier import NO_COUPON, Cashier
from edge_agent.kit.check import Check, check
from edge_agent.kit.finding import NotCheckedError, require
from edge_agent.kit.laws import codes_of, points_of, require_sums
from edge_agent.kit.level import Level
from edge_agent.kit.reply import at, centi_at, require_ok, require_refused

_SHOWN_DIGITS: Final = 2


@check(
    Level.MIDDLE,
    done="Sent what a customer shows, the card, and then a card that nobody has.",
    expected="The member; then unknown, to be offered membership. No name, no whole phone.",
    hint="Send a card, a phone or the app's code to identify, and what it found as customer.id.",
)
async def identify(cashier: Cashier) -> str:
    """Who shows something is known, and nobody is told more of them than is needed."""
    path = "/v1/customers/identify"
    known = require_ok(await cashier.till.call("POST", path, {"card": cashier.card()}))
    require(known.at("outcome") == "found" and len(known.at("members")) == 1, known.shown)
    require(known.at("member", "id") == known.at("members", 0, "id"), known.shown)
    require(len(known.at("members", 0, "phone_end") or "") <= _SHOWN_DIGITS, known.shown)
    priced = await cashier.calculated(
        cashier.receipt(customer={"id": str(known.at("members", 0, "id"))})
    )
    require(codes_of(priced.at("notices")) == [], priced.at("notices"))
    card = f"nobody-{cashier.new_id()}"
    nobody = require_ok(await cashier.till.call("POST", path, {"card": card}))
    require(nobody.at("outcome") == "unknown" and nobody.at("members") == [], nobody.shown)
    require(nobody.at("may_register") is True, nobody.shown)
    return known.shown


@check(
    Level.MIDDLE,
    done="Priced a receipt that the member pays with as many points as may be, then sold it.",
    expected="No more than may be spent; to_pay is less by it, and so is what may be spent after.",
    hint="Show spendable to the cashier, send what the customer wants as spend, take to_pay.",
)
async def points(cashier: Cashier) -> str:
    """Points pay, and are gone."""
    account, before = await cashier.spendable()
    priced = await cashier.calculated(cashier.spending(account, "max"))
    require_sums(priced.body)
    most = points_of(priced.body, "spent", account)
    require(0 < most <= before, f"{most / 100:.2f} / {before / 100:.2f}")
    require(centi_at(priced.body, "total", "points_spent") > 0, priced.at("total"))
    # A cheap receipt, so that what it earns is less than what it spends.
    _, sold = await cashier.sold(cashier.spending(account, "2.00", qty="1", price="10.00"))
    spent = points_of(sold.at("answer"), "spent", account)
    after = await cashier.may_spend(account)
    require(sold.at("incidents") == [], sold.at("incidents"))
    require(0 < spent <= 200, f"{spent / 100:.2f}")
    # What the sale earned may be spent at once in some shops, later in others.
    least, earned = before - spent, points_of(sold.at("answer"), "accrued", account)
    came = f"{before / 100:.2f} - {spent / 100:.2f}: {after / 100:.2f}"
    require(least <= after <= least + earned, came)
    return came


@check(
    Level.MIDDLE,
    done="Asked to pay with far more points than the member has.",
    expected="No more points are taken than may be spent.",
    hint="Never compute at the till what points may pay; the reply says it.",
)
async def points_beyond_balance(cashier: Cashier) -> str:
    """Nobody spends what is not there."""
    account, before = await cashier.spendable()
    receipt = cashier.spending(account, "900000.00", qty="99", price="9000.00")
    priced = await cashier.calculated(receipt)
    require_sums(priced.body)
    spent = points_of(priced.body, "spent", account)
    require(spent <= before, f"{spent / 100:.2f} / {before / 100:.2f}")
    return f"{spent / 100:.2f} / {before / 100:.2f}"


@check(
    Level.MIDDLE,
    done="Set points aside before payment, twice, then called the receipt off.",
    expected="frozen: true both times; what may be spent is less once, and as before in the end.",
    hint="Freeze before the payment, commit after it, cancel when the payment failed.",
)
async def freeze(cashier: Cashier) -> str:
    """Points are set aside once, and let go."""
    account, before = await cashier.spendable()
    receipt = cashier.spending(account, "2.00")
    body = await cashier.sale_of(receipt)
    for _ in range(2):
        frozen = require_ok(await cashier.on(receipt["receipt_id"], "freeze", body))
        require(frozen.at("frozen") is True, frozen.shown)
    spent = points_of(frozen.body, "spent", account)
    during = await cashier.may_spend(account)
    require_ok(await cashier.on(receipt["receipt_id"], "cancel"))
    after = await cashier.may_spend(account)
    came = f"{before / 100:.2f}, {during / 100:.2f}, {after / 100:.2f}"
    require(during == before - spent and after == before, came)
    return came


@check(
    Level.MIDDLE,
    done="Set points aside, changed the receipt, and set aside anew; then sold what was changed.",
    expected="The second freeze replaces the first, and the sale takes what it was told.",
    hint="A receipt that changes after the freeze is priced and frozen again before it is paid.",
)
async def changed_after_freeze(cashier: Cashier) -> str:
    """The last freeze counts."""
    account, before = await cashier.spendable()
    first = cashier.spending(account, "3.00")
    body = await cashier.sale_of(first)
    require_ok(await cashier.on(first["receipt_id"], "freeze", body))
    changed = {**first, "spend": {"account": account, "points": "1.00"}}
    body = await cashier.sale_of(changed)
    frozen = require_ok(await cashier.on(first["receipt_id"], "freeze", body))
    spent = points_of(frozen.body, "spent", account)
    during = await cashier.may_spend(account)
    require(during == before - spent, f"{before / 100:.2f}, {spent / 100:.2f}: {during / 100:.2f}")
    sold = require_ok(await cashier.on(first["receipt_id"], "commit", body))
    require(points_of(sold.at("answer"), "spent", account) == spent, sold.shown)
    require(sold.at("incidents") == [], sold.at("incidents"))
    return f"{before / 100:.2f}, {during / 100:.2f}, {spent / 100:.2f}"


@check(
    Level.MIDDLE,
    done="Sold a receipt, then tried to set points aside for it.",
    expected="409 already_committed.",
    hint="Freeze comes before the payment, commit after it.",
)
async def freeze_after_commit(cashier: Cashier) -> str:
    """Nothing is set aside for what is sold."""
    receipt = cashier.receipt()
    body, _ = await cashier.sold(receipt)
    other = {**body, "to_pay": "0.00"}
    refused = await cashier.on(receipt["receipt_id"], "freeze", other)
    require(refused.status == 409, refused.shown)
    refused = await cashier.on(receipt["receipt_id"], "freeze", body)
    return require_refused(refused, 409, "already_committed").shown


@check(
    Level.MIDDLE,
    done="Committed a sale with another sum than the agent had told.",
    expected="200: a sale that was made is recorded, with the incident to_pay_differs.",
    hint="Send what was really taken as to_pay; look at incidents, they are yours to explain.",
)
async def other_sum_is_recorded(cashier: Cashier) -> str:
    """A sale that was made is recorded."""
    receipt = cashier.receipt()
    body = await cashier.sale_of(receipt)
    taken = {**body, "to_pay": f"{centi_at(body, 'to_pay') // 100 + 1}.00"}
    made = require_ok(await cashier.on(receipt["receipt_id"], "commit", taken))
    require("to_pay_differs" in codes_of(made.at("incidents")), made.at("incidents"))
    return str(made.at("incidents"))


@check(
    Level.MIDDLE,
    done="Asked about the coupon, then for a price with it.",
    expected="State valid, and a price without a notice about it.",
    hint="Send each scanned code in coupons; the agent knows its series and state.",
)
async def coupon(cashier: Cashier) -> str:
    """A coupon of the shop counts."""
    code = cashier.stand.coupon
    if code is None:
        raise NotCheckedError(NO_COUPON)
    told = require_ok(await cashier.till.call("GET", "/v1/coupons", query={"code": code}))
    require(told.at("state") == "valid", told.shown)
    priced = await cashier.calculated(cashier.receipt(coupons=[{"code": code}]))
    require_sums(priced.body)
    require(codes_of(priced.at("notices")) == [], priced.at("notices"))
    return told.shown


@check(
    Level.MIDDLE,
    done="Showed a coupon that nobody issued.",
    expected="State unknown, and 200 with a price and the notice unknown_coupon at its place.",
    hint="Tell the cashier which coupon does not count; the sale goes on without it.",
)
async def unknown_coupon(cashier: Cashier) -> str:
    """An unknown coupon stops no sale."""
    code = f"NOBODY-{cashier.new_id()}"
    told = require_ok(await cashier.till.call("GET", "/v1/coupons", query={"code": code}))
    require(told.at("state") == "unknown", told.shown)
    priced = await cashier.calculated(cashier.receipt(coupons=[{"code": code}]))
    found = [at(each, "pointer") for each in priced.at("notices") if "coupon" in each["code"]]
    require(found == ["/coupons/0"], priced.at("notices"))
    return str(priced.at("notices"))


@check(
    Level.MIDDLE,
    done="Asked for a price with hints and with the reasons, and without.",
    expected="The same price; hints and trace only where asked for, each naming its promotion.",
    hint="Ask for hints on a scan to tell what the customer lacks; ask for trace to explain.",
)
async def hints(cashier: Cashier) -> str:
    """Hints and reasons do not change a price."""
    receipt = cashier.receipt()
    bare = await cashier.calculated(receipt)
    told = await cashier.calculated(receipt, hints="1", trace="1")
    require(told.at("total") == bare.at("total"), [bare.at("total"), told.at("total")])
    require(bare.at("hints") == [] and bare.at("trace") == [], bare.shown)
    for each in (*told.at("hints"), *told.at("trace")):
        at(each, "promotion")
    return f"hints {len(told.at('hints'))}, trace {len(told.at('trace'))}"


@check(
    Level.MIDDLE,
    done="Sold three pieces, then took them back one by one.",
    expected="The money of the parts is the money of the sale, to the kopek.",
    hint="Give back what the reply says as money; never divide a line's price at the till.",
)
async def returns_in_parts(cashier: Cashier) -> str:
    """The parts of a return add up to the sale."""
    receipt = cashier.receipt("3", price="33.33")
    body, _ = await cashier.sold(receipt)
    parts = []
    for _ in range(3):
        goods = {"sale": receipt["receipt_id"], "return": [{"line": 1, "qty": "1"}]}
        due = require_ok(await cashier.till.call("POST", "/v1/returns/calculate", goods))
        made = require_ok(await cashier.give_back({**goods, "money": due.at("money")}))
        require(made.at("incidents") == [], made.at("incidents"))
        require(made.at("refund", "money") == due.at("money"), made.at("refund", "money"))
        parts.append(centi_at(due.body, "money"))
    came = f"{[f'{part / 100:.2f}' for part in parts]} / {body['to_pay']}"
    require(sum(parts) == centi_at(body, "to_pay"), came)
    return came


@check(
    Level.MIDDLE,
    done="Tried to take back more than was sold: asked first, then did it all the same.",
    expected="400 too_much; what is done is recorded with the incident returned_too_much.",
    hint="Ask what is due before goods are taken back, and give back no more.",
)
async def too_much_back(cashier: Cashier) -> str:
    """More than was sold does not come back."""
    receipt = cashier.receipt("1")
    body, _ = await cashier.sold(receipt)
    goods = {"sale": receipt["receipt_id"], "return": [{"line": 1, "qty": "2"}]}
    refused = await cashier.till.call("POST", "/v1/returns/calculate", goods)
    require_refused(refused, 400, "too_much")
    made = require_ok(await cashier.give_back(goods))
    require(made.at("refund", "money") == body["to_pay"], made.at("refund", "money"))
    require("returned_too_much" in codes_of(made.at("incidents")), made.at("incidents"))
    return refused.shown


@check(
    Level.MIDDLE,
    done="Committed one return twice, then another under its id.",
    expected="The stored reply both times, then 409 return_changed.",
    hint="Repeat a return with the same id and body until it is answered.",
)
async def return_repeated(cashier: Cashier) -> str:
    """A return is made once."""
    receipt = cashier.receipt("2")
    await cashier.sold(receipt)
    goods = {"sale": receipt["receipt_id"], "return": [{"line": 1, "qty": "1"}]}
    return_id = cashier.new_id()
    first, second = [require_ok(await cashier.give_back(goods, return_id)) for _ in range(2)]
    require(first.body == second.body, f"{first.shown} / {second.shown}")
    other = {**goods, "return": [{"line": 1, "qty": "2"}]}
    return require_refused(await cashier.give_back(other, return_id), 409, "return_changed").shown


@check(
    Level.MIDDLE,
    done="Asked for the day's totals, sold and took back, and asked again.",
    expected="The totals of the register grew by the sale and the return, no more.",
    hint="Compare the totals of your register with the till's own at the end of the shift.",
)
async def totals(cashier: Cashier) -> str:
    """The day is the sum of its receipts."""
    before = await cashier.totals()
    receipt = cashier.receipt("2")
    body, _ = await cashier.sold(receipt)
    goods = {"sale": receipt["receipt_id"], "return": [{"line": 1, "qty": "1"}]}
    made = require_ok(await cashier.give_back(goods))
    after = await cashier.totals()
    grown = {key: after[key] - before[key] for key in after}
    sold, back = centi_at(body, "to_pay"), centi_at(made.at("refund"), "money")
    require((grown["sales"], grown["returns"]) == (1, 1), grown)
    require((grown["to_pay"], grown["returned"], grown["net"]) == (sold, back, sold - back), grown)
    return str(grown)


MIDDLE: Final[tuple[Check, ...]] = (
    identify,
    points,
    points_beyond_balance,
    freeze,
    changed_after_freeze,
    freeze_after_commit,
    other_sum_is_recorded,
    coupon,
    unknown_coupon,
    hints,
    returns_in_parts,
    too_much_back,
    return_repeated,
    totals,
)
