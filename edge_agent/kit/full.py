"""The third level: many tills at once, gift cards, previews, and a shop without head office."""

from __future__ import annotations

import asyncio
from typing import Final

from edge_agent.kit.cashier import Cashier
from edge_agent.kit.check import Check, check
from edge_agent.kit.finding import NotCheckedError, require
from edge_agent.kit.laws import codes_of, require_sums
from edge_agent.kit.level import Level
from edge_agent.kit.newcomers import NEWCOMERS
from edge_agent.kit.reply import PROBLEM, Reply, centi_at, require_ok, require_refused

TILLS: Final = 8
"""Registers that sell at once: a large shop, and no load."""
LINES: Final = 200
"""A long receipt of a wholesale customer."""
NO_HEAD_OFFICE: Final = (
    "Head office is not reachable from this agent, and it alone knows gift cards."
)


@check(
    Level.FULL,
    done="Asked for the price of one article, as a price checker, and for a receipt of it.",
    expected="The same price, and one with a card that is not higher.",
    hint="A price checker needs no receipt: GET /v1/preview.",
)
async def preview(cashier: Cashier) -> str:
    """A preview is the price of a receipt of it alone."""
    stand = cashier.stand
    seen = require_ok(
        await cashier.till.call(
            "GET", "/v1/preview", query={"sku": stand.sku, "price": stand.price}
        )
    )
    priced = await cashier.calculated(cashier.receipt("1"))
    require(seen.at("to_pay") == priced.at("total", "to_pay"), seen.shown)
    require(centi_at(seen.body, "to_pay_with_card") <= centi_at(seen.body, "to_pay"), seen.shown)
    return seen.shown


@check(
    Level.FULL,
    done="Eight tills sold at the same moment.",
    expected="Every sale is recorded once, each with its own record.",
    hint="Ids of receipts are unique in the shop: put the register into them.",
)
async def many_tills(cashier: Cashier) -> str:
    """Tills do not get in each other's way."""
    before = await cashier.totals()
    receipts = [cashier.receipt() for _ in range(TILLS)]
    sold = await asyncio.gather(*(cashier.sold(receipt) for receipt in receipts))
    records = {str(reply.at("record_uid")) for _, reply in sold}
    sales = (await cashier.totals())["sales"] - before["sales"]
    require(len(records) == sales == TILLS, f"{len(records)}, +{sales}")
    return f"+{sales}"


@check(
    Level.FULL,
    done="Sent one commit five times at the same moment.",
    expected="One record: every answer is the same, and the totals grew by one sale.",
    hint="A time-out is no refusal: send the same commit again, the agent knows it.",
)
async def duplicates_at_once(cashier: Cashier) -> str:
    """Duplicates that overtake each other are one sale."""
    before = await cashier.totals()
    receipt = cashier.receipt()
    body = await cashier.sale_of(receipt)
    replies = await asyncio.gather(
        *(cashier.on(receipt["receipt_id"], "commit", body) for _ in range(5))
    )
    for reply in replies:
        require(require_ok(reply).body == replies[0].body, f"{replies[0].shown} / {reply.shown}")
    sales = (await cashier.totals())["sales"] - before["sales"]
    require(sales == 1, f"sales: +{sales}")
    return f"{replies[0].at('record_uid')}, +{sales}"


@check(
    Level.FULL,
    done="Sent commit and cancel of one receipt at the same moment.",
    expected="One is done and the other refused with 409; the record says which.",
    hint="Wait for the answer to one call about a receipt before you send the next.",
)
async def commit_or_cancel(cashier: Cashier) -> str:
    """A receipt is sold or cancelled, never both."""
    receipt = cashier.receipt()
    receipt_id = receipt["receipt_id"]
    body = await cashier.sale_of(receipt)
    made, called_off = await asyncio.gather(
        cashier.on(receipt_id, "commit", body), cashier.on(receipt_id, "cancel")
    )
    came = f"{made.shown} / {called_off.shown}"
    require(sorted((made.status, called_off.status)) == [200, 409], came)
    state = "committed" if made.status == 200 else "cancelled"
    require((await cashier.found(receipt_id)).at("state") == state, came)
    return came


@check(
    Level.FULL,
    done="Two tills took back the same piece at the same moment.",
    expected="One gives the money; the other gives 0.00 with the incident returned_too_much.",
    hint="Give the customer the money that the commit's reply names, after it came.",
)
async def same_piece_back_twice(cashier: Cashier) -> str:
    """A piece comes back once."""
    receipt = cashier.receipt("1")
    body, _ = await cashier.sold(receipt)
    goods = {"sale": receipt["receipt_id"], "return": [{"line": 1, "qty": "1"}]}
    made = await asyncio.gather(cashier.give_back(goods), cashier.give_back(goods))
    money = sorted(centi_at(require_ok(reply).at("refund"), "money") for reply in made)
    codes = [code for reply in made for code in codes_of(reply.at("incidents"))]
    require(money == [0, centi_at(body, "to_pay")], money)
    require(codes == ["returned_too_much"], codes)
    return f"{money[0] / 100:.2f}, {money[1] / 100:.2f}"


@check(
    Level.FULL,
    done="Asked to take back goods of a sale that was never made here.",
    expected="404 sale_not_here.",
    hint="Of another shop's sale the till names the shop, in sale_store.",
)
async def sale_of_elsewhere(cashier: Cashier) -> str:
    """What nobody sold comes back to nobody."""
    goods = {"sale": cashier.new_id(), "return": [{"line": 1, "qty": "1"}]}
    refused = await cashier.till.call("POST", "/v1/returns/calculate", goods)
    return require_refused(refused, 404, "sale_not_here").shown


@check(
    Level.FULL,
    done="Sold to a customer whom this shop does not know, and asked for the state of the agent.",
    expected="The notice unknown_customer; the sale is recorded; link says whether it is online.",
    hint="What the shop does not know stops no sale: show notices, sell, and go on offline.",
)
async def offline_notices(cashier: Cashier) -> str:
    """A shop sells without head office."""
    status = require_ok(await cashier.till.call("GET", "/v1/status"))
    require(isinstance(status.at("link", "online"), bool), status.at("link"))
    require(isinstance(status.at("queue_depth"), int), status.at("queue_depth"))
    receipt = cashier.receipt(customer={"id": f"nobody-{cashier.new_id()}"})
    priced = await cashier.calculated(receipt)
    require(codes_of(priced.at("notices")) == ["unknown_customer"], priced.at("notices"))
    await cashier.sold(receipt)
    return f"online: {status.at('link', 'online')}, {priced.at('notices')}"


@check(
    Level.FULL,
    done="Priced and sold a receipt of two hundred lines.",
    expected="Sums that agree over all lines, and the sale recorded at that price.",
    hint="Send every line with its own number; the order of lines is yours.",
)
async def long_receipt(cashier: Cashier) -> str:
    """A long receipt is a receipt."""
    lines = [
        {"line": n, "sku": cashier.stand.sku, "qty": str(n % 3 + 1), "price": f"{n}.99"}
        for n in range(1, LINES + 1)
    ]
    body, sold = await cashier.sold(cashier.receipt(lines=lines))
    require_sums(sold.at("answer"))
    require(sold.at("answer", "total", "to_pay") == body["to_pay"], sold.at("answer", "total"))
    require(len(sold.at("answer", "lines")) == LINES, len(sold.at("answer", "lines")))
    return str(sold.at("answer", "total"))


@check(
    Level.FULL,
    done="Asked for the contract.",
    expected="OpenAPI 3.1 with every address that a till uses.",
    hint="Make your client from /openapi.json, and read it anew with each release.",
)
async def contract(cashier: Cashier) -> str:
    """The contract is at hand."""
    reply = require_ok(await cashier.till.call("GET", "/openapi.json", token=""))
    require(str(reply.at("openapi")).startswith("3.1"), reply.at("openapi"))
    for path in ("calculate", "{id}/freeze", "{id}/commit", "{id}/cancel"):
        reply.at("paths", f"/v1/receipts/{path}", "post")
    return f"{reply.at('openapi')}, {len(reply.at('paths'))}"


@check(
    Level.FULL,
    done="Paid 1.00 with the gift card twice under one operation id, then undid it.",
    expected="The balance is less by 1.00 once, and as before after reverse.",
    hint="Repeat a payment with the same operation_id; if it stays unanswered, reverse it.",
)
async def gift_card(cashier: Cashier) -> str:
    """A gift card pays once, and a payment can be undone."""
    before = _balance(_office(await cashier.gift("balance", {})))
    operation = {"operation_id": cashier.new_id()}
    pays = {**operation, "receipt_id": cashier.new_id(), "amount": "1.00"}
    first, second = [require_ok(await cashier.gift("redeem", pays)) for _ in range(2)]
    require(first.body == second.body, f"{first.shown} / {second.shown}")
    require(_balance(first) == before - 100, first.shown)
    changed = await cashier.gift("redeem", {**pays, "amount": "2.00"})
    require_refused(changed, 409, "operation_changed")
    require_ok(await cashier.gift("reverse", operation))
    require_refused(await cashier.gift("redeem", pays), 409, "operation_reversed")
    after = _balance(require_ok(await cashier.gift("balance", {})))
    require(after == before, f"{before / 100:.2f} / {after / 100:.2f}")
    return first.shown


@check(
    Level.FULL,
    done="Asked to pay with more than is on the gift card.",
    expected="409 gift_card_balance, and the balance is as before.",
    hint="Ask for the balance, take that, and let the customer pay the rest otherwise.",
)
async def gift_card_beyond_balance(cashier: Cashier) -> str:
    """A gift card does not pay more than it holds."""
    before = _balance(_office(await cashier.gift("balance", {})))
    wanted = {"operation_id": cashier.new_id(), "receipt_id": cashier.new_id()}
    refused = await cashier.gift("redeem", {**wanted, "amount": f"{before // 100 + 1}.00"})
    require_refused(refused, 409, "gift_card_balance")
    after = _balance(require_ok(await cashier.gift("balance", {})))
    require(after == before, f"{before / 100:.2f} / {after / 100:.2f}")
    return refused.shown


def _balance(reply: Reply) -> int:
    return centi_at(reply.body, "balance")


def _office(reply: Reply) -> Reply:
    """The reply, unless head office is out of reach: that must be told in the agreed form."""
    if reply.status == 503:
        require(reply.content_type == PROBLEM and "retry-after" in reply.headers, reply.shown)
        require(reply.at("code") == "gift_cards_offline", reply.shown)
        raise NotCheckedError(NO_HEAD_OFFICE)
    return require_ok(reply)


FULL: Final[tuple[Check, ...]] = (
    preview,
    many_tills,
    duplicates_at_once,
    commit_or_cancel,
    same_piece_back_twice,
    sale_of_elsewhere,
    offline_notices,
    long_receipt,
    contract,
    *NEWCOMERS,
    gift_card,
    gift_card_beyond_balance,
)
