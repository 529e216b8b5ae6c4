"""The first level: a price, a card, a sale that is recorded once, a receipt that is called off."""

from __future__ import annotations

from typing import Final

from edge_agent.kit.cashier import Cashier
from edge_agent.kit.check import Check, check
from edge_agent.kit.finding import require
from edge_agent.kit.laws import codes_of, require_sums
from edge_agent.kit.level import Level
from edge_agent.kit.reply import centi_at, require_ok, require_refused


@check(
    Level.MINIMUM,
    done="Asked for the agent's health without a token.",
    expected="200 and alive: true.",
    hint="Check --url: it is the address that kopilka-edge run prints as ready.",
)
async def health(cashier: Cashier) -> str:
    """The agent lives."""
    reply = require_ok(await cashier.till.call("GET", "/v1/health", token=""))
    require(reply.at("alive") is True, reply.shown)
    return reply.shown


@check(
    Level.MINIMUM,
    done="Asked for the price of a receipt without a token, and with a wrong one.",
    expected="401 as application/problem+json with the header WWW-Authenticate.",
    hint="Send Authorization: Bearer and the token of till.token with every call.",
)
async def token(cashier: Cashier) -> str:
    """Nobody without the token is served."""
    shown = ""
    for wrong in ("", "wrong-" + "w" * 40):
        reply = await cashier.till.call(
            "POST", "/v1/receipts/calculate", cashier.receipt(), token=wrong
        )
        require_refused(reply, 401)
        require("www-authenticate" in reply.headers, reply.headers)
        shown = reply.shown
    return shown


@check(
    Level.MINIMUM,
    done="Asked for the price of two pieces.",
    expected="200 with the list price, sums that agree, and a calculation_id.",
    hint="Print and take the sums of the reply; never compute discounts at the till.",
)
async def price(cashier: Cashier) -> str:
    """A price whose sums agree."""
    receipt = cashier.receipt("2", price="100.00")
    reply = await cashier.calculated(receipt)
    require_sums(reply.body)
    require(centi_at(reply.body, "total", "list") == 20_000, reply.at("total"))
    require(reply.at("receipt_id") == receipt["receipt_id"], reply.at("receipt_id"))
    require(bool(reply.at("calculation_id")), reply.at("calculation_id"))
    return str(reply.at("total"))


@check(
    Level.MINIMUM,
    done="Asked for the price of one receipt twice, then for what is recorded of it.",
    expected="The same price both times, and 404: a calculation records nothing.",
    hint="Send the whole receipt after every scan, as often as you like; never a change of it.",
)
async def price_again(cashier: Cashier) -> str:
    """The same question has the same answer."""
    receipt = cashier.receipt()
    first, second = [await cashier.calculated(receipt) for _ in range(2)]
    require(first.at("total") == second.at("total"), [first.at("total"), second.at("total")])
    require(first.at("lines") == second.at("lines"), second.at("lines"))
    return require_refused(await cashier.found(receipt["receipt_id"]), 404).shown


@check(
    Level.MINIMUM,
    done="Asked who the card is, then for a price with it.",
    expected="A member that is not blocked, and a price without the notice unknown_card.",
    hint="Send what the scanner read as customer.card; the agent completes the rest.",
)
async def card(cashier: Cashier) -> str:
    """A known card is known."""
    member = require_ok(
        await cashier.till.call("GET", "/v1/customers", query={"card": cashier.card()})
    )
    require(bool(member.at("id")) and member.at("blocked") is False, member.shown)
    priced = await cashier.calculated(cashier.receipt(customer=cashier.member()))
    require(codes_of(priced.at("notices")) == [], priced.at("notices"))
    require_sums(priced.body)
    return member.shown


@check(
    Level.MINIMUM,
    done="Asked for a price with a card that nobody has.",
    expected="200 with a price, and the notice unknown_card at /customer/card.",
    hint="A card that is not known stops no sale: show the notice to the cashier and go on.",
)
async def unknown_card(cashier: Cashier) -> str:
    """An unknown card stops no sale."""
    card = f"nobody-{cashier.new_id()}"
    priced = await cashier.calculated(cashier.receipt(customer={"card": card}))
    require_sums(priced.body)
    require("unknown_card" in codes_of(priced.at("notices")), priced.at("notices"))
    return str(priced.at("notices"))


@check(
    Level.MINIMUM,
    done="Priced a receipt and committed it with its calculation_id.",
    expected="200 with the very price that the till was told, and no incidents.",
    hint="Commit after the money was taken, with calculation_id and to_pay of the last reply.",
)
async def commit(cashier: Cashier) -> str:
    """A sale is recorded at the price that was told."""
    receipt = cashier.receipt()
    body, reply = await cashier.sold(receipt)
    require(reply.at("answer", "total", "to_pay") == body["to_pay"], reply.at("answer", "total"))
    require(reply.at("incidents") == [], reply.at("incidents"))
    require(bool(reply.at("record_uid")), reply.shown)
    return str(reply.at("answer", "total"))


@check(
    Level.MINIMUM,
    done="Committed one sale twice, as after an answer that was lost.",
    expected="The stored reply both times, and one sale more in the day's totals.",
    hint="Repeat a commit with the same id and body until it is answered; never with a new id.",
)
async def commit_repeated(cashier: Cashier) -> str:
    """A repeat gives the stored reply."""
    receipt = cashier.receipt()
    before = await cashier.totals()
    body, first = await cashier.sold(receipt)
    second = require_ok(await cashier.on(receipt["receipt_id"], "commit", body))
    require(first.body == second.body, f"{first.shown} / {second.shown}")
    sales = (await cashier.totals())["sales"] - before["sales"]
    require(sales == 1, f"sales: +{sales}")
    return f"{second.at('record_uid')}, +{sales}"


@check(
    Level.MINIMUM,
    done="Committed a sale, then another receipt under the same id.",
    expected="409 receipt_changed, and the first sale stays recorded.",
    hint="Every receipt has an id of its own; after a commit its goods and sums stand.",
)
async def changed_body(cashier: Cashier) -> str:
    """The same id with another body is refused."""
    receipt = cashier.receipt()
    body, first = await cashier.sold(receipt)
    other = {**receipt, "lines": [{**receipt["lines"][0], "qty": "3"}]}
    refused = await cashier.on(receipt["receipt_id"], "commit", {**body, "receipt": other})
    require_refused(refused, 409, "receipt_changed")
    found = require_ok(await cashier.found(receipt["receipt_id"]))
    require(found.at("answer") == first.at("answer"), found.shown)
    return refused.shown


@check(
    Level.MINIMUM,
    done="Committed a sale, then asked for it as a till that lost power before it printed.",
    expected="404 before the commit; after it the whole answer of the commit, state committed.",
    hint="Print after the commit is answered; after a restart ask for the receipt, then print.",
)
async def printed_after_commit(cashier: Cashier) -> str:
    """What is printed can be had again, and not before."""
    receipt = cashier.receipt()
    body = await cashier.sale_of(receipt)
    require_refused(await cashier.found(receipt["receipt_id"]), 404)
    made = require_ok(await cashier.on(receipt["receipt_id"], "commit", body))
    found = require_ok(await cashier.found(receipt["receipt_id"]))
    require(found.at("state") == "committed", found.shown)
    require(found.at("answer") == made.at("answer"), found.shown)
    require_sums(found.at("answer"))
    found.at("answer", "messages")
    return f"{found.at('state')}, {found.at('answer', 'total')}"


@check(
    Level.MINIMUM,
    done="Cancelled a receipt twice, then tried to commit it.",
    expected="200 both times, state cancelled, then 409 receipt_cancelled.",
    hint="Cancel what will not be sold; what was called off is sold under a new id.",
)
async def cancel(cashier: Cashier) -> str:
    """What was cancelled is not sold."""
    receipt = cashier.receipt()
    body = await cashier.sale_of(receipt)
    for _ in range(2):
        require_ok(await cashier.on(receipt["receipt_id"], "cancel"))
    found = require_ok(await cashier.found(receipt["receipt_id"]))
    require(found.at("state") == "cancelled", found.shown)
    refused = await cashier.on(receipt["receipt_id"], "commit", body)
    return require_refused(refused, 409, "receipt_cancelled").shown


@check(
    Level.MINIMUM,
    done="Committed a sale, then tried to cancel it.",
    expected="409 already_committed, and the sale stays recorded.",
    hint="A sale is undone by a return, never by a cancel.",
)
async def cancel_after_commit(cashier: Cashier) -> str:
    """What was sold is not cancelled."""
    receipt = cashier.receipt()
    await cashier.sold(receipt)
    refused = await cashier.on(receipt["receipt_id"], "cancel")
    require_refused(refused, 409, "already_committed")
    found = require_ok(await cashier.found(receipt["receipt_id"]))
    require(found.at("state") == "committed", found.shown)
    return refused.shown


@check(
    Level.MINIMUM,
    done="Sent a receipt with an unknown key, one without lines, and one that is no JSON.",
    expected="400 as application/problem+json with a code and the place at fault.",
    hint="Show detail and hint of a refusal to a technician, and act on its code.",
)
async def faults_are_named(cashier: Cashier) -> str:
    """A faulty body is refused, and the place is named."""
    whole = cashier.receipt()
    misspelt = {**whole, "lines": [{**whole["lines"][0], "prise": "1.00"}]}
    bare = {key: value for key, value in whole.items() if key != "lines"}
    path = "/v1/receipts/calculate"
    first = require_refused(await cashier.till.call("POST", path, misspelt), 400)
    require("prise" in str(first.at("pointer")), first.shown)
    require_refused(await cashier.till.call("POST", path, bare), 400)
    require_refused(await cashier.till.call("POST", path, raw=b"{"), 400)
    return first.shown


MINIMUM: Final[tuple[Check, ...]] = (
    health,
    token,
    price,
    price_again,
    card,
    unknown_card,
    commit,
    commit_repeated,
    changed_body,
    printed_after_commit,
    cancel,
    cancel_after_commit,
    faults_are_named,
)
