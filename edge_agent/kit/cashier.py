"""The stub till of the certificate: makes receipts, and the calls of the till API by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edge_agent.kit.finding import NotCheckedError, require
from edge_agent.kit.reply import Reply, at, centi_at, require_ok
from edge_agent.kit.till import Till

NO_CARD = "Give --card: a member of the test shop with at least 10 points that may be spent."
NO_COUPON = "Give --coupon: a code that is valid in the test shop."
NO_PHONE = "Give --phone: a number that nobody of the test shop needs; it becomes a member's."
NO_GIFT_CARD = "Give --gift-card (and --pin): a sold gift card with at least 10.00 on it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """What the test shop has; ``run`` makes the ids of one run its own, ``time`` is its receipts'.

    ``price`` is the shelf price of one ``sku``; ``store`` is the shop's own name.
    """

    run: str
    time: str
    store: str
    register: str
    sku: str
    price: str
    card: str | None = None
    coupon: str | None = None
    phone: str | None = field(default=None, repr=False)
    gift_card: str | None = None
    pin: str | None = None


class Cashier:
    """One stub till; ids count up so that a run of the suite never uses one twice."""

    def __init__(self, till: Till, stand: Stand) -> None:
        self.till = till
        self.stand = stand
        self._ids = 0

    def new_id(self) -> str:
        """An id that was never used."""
        self._ids += 1
        return f"kit-{self.stand.run}-{self._ids}"

    def receipt(self, qty: str = "2", *, price: str | None = None, **more: Any) -> dict[str, Any]:
        """A receipt of one line at the stand's register; ``more`` adds or replaces keys."""
        line = {"line": 1, "sku": self.stand.sku, "qty": qty, "price": price or self.stand.price}
        return {
            "receipt_id": self.new_id(),
            "store": self.stand.store,
            "register": self.stand.register,
            "time": self.stand.time,
            "lines": [line],
            **more,
        }

    def member(self) -> dict[str, str]:
        """The test shop's member, as a till names one.

        Raises:
            NotCheckedError: none was given.
        """
        return {"card": self.card()}

    def card(self) -> str:
        """The member's card.

        Raises:
            NotCheckedError: none was given.
        """
        if self.stand.card is None:
            raise NotCheckedError(NO_CARD)
        return self.stand.card

    def phone(self) -> str:
        """The number of somebody who becomes a member.

        Raises:
            NotCheckedError: none was given.
        """
        if self.stand.phone is None:
            raise NotCheckedError(NO_PHONE)
        return self.stand.phone

    async def calculated(self, receipt: dict[str, Any], **query: str) -> Reply:
        """The receipt priced.

        Raises:
            MismatchError: it was refused.
        """
        return require_ok(
            await self.till.call("POST", "/v1/receipts/calculate", receipt, query=query)
        )

    async def sale_of(self, receipt: dict[str, Any]) -> dict[str, Any]:
        """The body of freeze and commit, after the receipt was priced."""
        priced = await self.calculated(receipt)
        return {
            "receipt": receipt,
            "calculation_id": priced.at("calculation_id"),
            "to_pay": priced.at("total", "to_pay"),
        }

    async def on(self, receipt_id: str, what: str, body: Any = None) -> Reply:
        """``freeze``, ``commit`` or ``cancel`` of a receipt, whatever the answer."""
        return await self.till.call("POST", f"/v1/receipts/{receipt_id}/{what}", body)

    async def found(self, receipt_id: str) -> Reply:
        """What is recorded, whatever the answer."""
        return await self.till.call("GET", f"/v1/receipts/{receipt_id}")

    async def sold(self, receipt: dict[str, Any]) -> tuple[dict[str, Any], Reply]:
        """The receipt priced and committed: the body, and the agent's reply.

        Raises:
            MismatchError: something of it was refused.
        """
        body = await self.sale_of(receipt)
        return body, require_ok(await self.on(receipt["receipt_id"], "commit", body))

    async def totals(self, register: str | None = None) -> dict[str, int]:
        """The day at a register: counts, and sums in hundredths."""
        query = {"date": self.stand.time[:10], "register": register or self.stand.register}
        reply = require_ok(await self.till.call("GET", "/v1/totals", query=query))
        counts = {key: int(reply.at(key)) for key in ("sales", "returns", "incidents")}
        sums = ("to_pay", "returned", "net", "points_spent")
        return {**counts, **{key: centi_at(reply.body, key) for key in sums}}

    async def spendable(self) -> tuple[str, int]:
        """The account that the member may spend most of, and how much.

        Raises:
            NotCheckedError: no card was given, or there is little to spend.
        """
        query = {"card": self.card()}
        reply = require_ok(await self.till.call("GET", "/v1/customers", query=query))
        spendable = reply.at("spendable")
        require(isinstance(spendable, dict), reply.shown)
        most = max(((centi_at(spendable, name), name) for name in spendable), default=(0, ""))
        if most[0] < 1_000:
            raise NotCheckedError(NO_CARD)
        return most[1], most[0]

    async def may_spend(self, account: str) -> int:
        """How much of an account the member may spend now, in hundredths."""
        query = {"card": self.card()}
        reply = require_ok(await self.till.call("GET", "/v1/customers", query=query))
        return centi_at(reply.at("spendable"), account)

    def spending(self, account: str, points: str, **more: Any) -> dict[str, Any]:
        """A receipt that the member pays in part with points."""
        spend = {"account": account, "points": points}
        return self.receipt(customer=self.member(), spend=spend, **more)

    async def give_back(self, body: dict[str, Any], return_id: str | None = None) -> Reply:
        """Goods come back for good, whatever the answer."""
        return await self.till.call(
            "POST",
            f"/v1/returns/{return_id or self.new_id()}/commit",
            {"time": self.stand.time, "register": self.stand.register, **body},
        )

    async def gift(self, what: str, body: dict[str, Any]) -> Reply:
        """A call about the test shop's gift card, whatever the answer.

        Raises:
            NotCheckedError: no gift card was given.
        """
        if self.stand.gift_card is None:
            raise NotCheckedError(NO_GIFT_CARD)
        named = {} if what == "reverse" else {"number": self.stand.gift_card}
        if what in {"balance", "redeem"} and self.stand.pin is not None:
            named["pin"] = self.stand.pin
        return await self.till.call("POST", f"/v1/gift-cards/{what}", {**named, **body})


async def store_of(till: Till) -> str:
    """The name of the agent's store, by its own words."""
    return str(at(require_ok(await till.call("GET", "/v1/status")).body, "store_id"))
