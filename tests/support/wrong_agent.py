"""Agents that break one rule each: a real one behind a door that lies about one thing.

``WRONG`` has, for every check of the test kit, at least one agent that only this check need find.
"""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.shop import HEADERS


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A call as the till made it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    raw: bytes

    @property
    def what(self) -> str:
        """The last word of the address: ``commit``, ``calculate``, ``totals``."""
        return self.path.rpartition("/")[2]

    @property
    def id(self) -> str:
        """The receipt or return that it is about."""
        return self.path.split("/")[3] if self.path.count("/") > 3 else self.what


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the agent answers."""

    status: int
    headers: dict[str, str]
    body: Any


Forward = Callable[[Asked], Awaitable[Told]]
Wrong = Callable[["Door", Asked], Awaitable[Told]]


@dataclass
class Door:
    """The way to the real agent, and what a lie has to remember."""

    session: aiohttp.ClientSession
    url: str
    seen: dict[str, Any] = field(default_factory=dict)

    async def ask(self, asked: Asked) -> Told:
        """The real agent's answer."""
        async with self.session.request(
            asked.method,
            self.url + asked.path,
            params=asked.query,
            data=asked.raw or None,
            headers=asked.headers,
        ) as response:
            text = await response.read()
            kept = {
                key: value
                for key, value in response.headers.items()
                if key in {"Content-Type", "WWW-Authenticate", "Retry-After"}
            }
            return Told(status=response.status, headers=kept, body=json.loads(text))


@asynccontextmanager
async def a_wrong_agent(url: str, wrong: Wrong) -> AsyncIterator[str]:
    """The address of an agent that is wrong in one thing.

    One that falls over its own lie fails the test: that is not what the check was to find.
    """
    faults: list[Exception] = []
    async with aiohttp.ClientSession() as session:
        door = Door(session=session, url=url)

        async def answer(request: web.Request) -> web.Response:
            raw = await request.read()
            asked = Asked(
                method=request.method,
                path=request.path,
                query=dict(request.query),
                headers={
                    key: value
                    for key, value in request.headers.items()
                    if key in {"Authorization", "Content-Type"}
                },
                body=_json(raw),
                raw=raw,
            )
            try:
                told = await wrong(door, asked)
            except Exception as error:
                faults.append(error)
                raise
            return web.Response(
                status=told.status, body=json.dumps(told.body).encode(), headers=told.headers
            )

        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", answer)
        async with TestServer(app) as server:
            yield str(server.make_url("")).rstrip("/")
    assert faults == []


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


def changed(asked: Asked, **more: Any) -> Asked:
    """The same call with another body, path or header."""
    asked = replace(asked, **more)
    return replace(asked, raw=json.dumps(asked.body).encode()) if "body" in more else asked


def altered(told: Told, *path: str | int, to: Any) -> Told:
    """The same answer with another value at a place."""
    body = copy.deepcopy(told.body)
    place = body
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return replace(told, body=body)


def accepted(told: Told, body: Any) -> Told:
    """200 instead of a refusal."""
    return Told(status=200, headers={"Content-Type": "application/json"}, body=body)


def refused(status: int, code: str) -> Told:
    """A refusal in good form."""
    keys = {"title": code, "detail": code, "pointer": None, "hint": None}
    return Told(
        status=status,
        headers={"Content-Type": "application/problem+json"},
        body={"status": status, "code": code, **keys},
    )


def in_answers(what: str, *path: str | int, to: Any) -> Wrong:
    """Wrong in one value of every good answer to a call."""

    async def wrong(door: Door, asked: Asked) -> Told:
        told = await door.ask(asked)
        if asked.what != what or told.status != 200:
            return told
        return altered(told, *path, to=to)

    return wrong


def instead_of(codes: str, body: Any) -> Wrong:
    """Accepts what must be refused with one of these codes."""

    async def wrong(door: Door, asked: Asked) -> Told:
        told = await door.ask(asked)
        if told.status == 200 or told.body.get("code") not in codes.split():
            return told
        return accepted(told, {"receipt_id": asked.id, **body})

    return wrong


def refuses(what: str, when: Callable[[Asked], bool], status: int, code: str) -> Wrong:
    """Refuses what must be accepted."""

    async def wrong(door: Door, asked: Asked) -> Told:
        if asked.what == what and when(asked):
            return refused(status, code)
        return await door.ask(asked)

    return wrong


async def asks_no_token(door: Door, asked: Asked) -> Told:
    """Serves whoever comes."""
    return await door.ask(changed(asked, headers={**asked.headers, **HEADERS}))


async def price_wanders(door: Door, asked: Asked) -> Told:
    """The same receipt costs a kopek more when it is asked for again."""
    told = await door.ask(asked)
    if asked.what == "calculate" and told.status == 200:
        receipt_id = asked.body.get("receipt_id", "")
        door.seen[receipt_id] = door.seen.get(receipt_id, 0) + 1
        if door.seen[receipt_id] > 1:
            return altered(told, "total", "to_pay", to="0.01")
    return told


async def calculation_is_a_sale(door: Door, asked: Asked) -> Told:
    """Every calculation is recorded."""
    told = await door.ask(asked)
    if asked.what == "calculate" and told.status == 200 and "receipt_id" in asked.body:
        path = f"/v1/receipts/{asked.body['receipt_id']}/commit"
        await door.ask(changed(asked, path=path, query={}, body={"receipt": asked.body}))
    return told


async def repeat_has_another_price(door: Door, asked: Asked) -> Told:
    """A repeated commit is told another sum."""
    told = await door.ask(asked)
    if asked.what == "commit" and told.status == 200 and "answer" in told.body:
        if asked.id in door.seen:
            return altered(told, "answer", "total", "to_pay", to="0.01")
        door.seen[asked.id] = True
    return told


async def repeat_is_another_sale(door: Door, asked: Asked) -> Told:
    """A repeated commit gives the stored reply, and is secretly sold once more."""
    told = await door.ask(asked)
    if asked.what == "commit" and asked.path.startswith("/v1/receipts/") and told.status == 200:
        if asked.id in door.seen:
            receipt = {**asked.body["receipt"], "receipt_id": f"{asked.id}-again"}
            body = {**asked.body, "receipt": receipt}
            await door.ask(changed(asked, path=f"/v1/receipts/{asked.id}-again/commit", body=body))
        door.seen[asked.id] = True
    return told


async def changed_goods_are_taken(door: Door, asked: Asked) -> Told:
    """A changed receipt gets the stored reply of the first."""
    told = await door.ask(asked)
    if asked.what == "commit" and told.status == 200:
        door.seen[asked.id] = told
    if told.status == 409 and told.body["code"] in {"receipt_changed", "return_changed"}:
        known: Told = door.seen[asked.id]
        return known
    return told


async def faults_have_no_place(door: Door, asked: Asked) -> Told:
    """A refusal does not say where."""
    told = await door.ask(asked)
    return altered(told, "pointer", to=None) if told.status == 400 else told


async def receipt_is_forgotten(door: Door, asked: Asked) -> Told:
    """A sale cannot be had again."""
    if asked.method == "GET" and asked.path.startswith("/v1/receipts/"):
        return refused(404, "not_found")
    return await door.ask(asked)


async def spends_what_is_not_there(door: Door, asked: Asked) -> Told:
    """Whatever is asked for is spent."""
    told = await door.ask(asked)
    wanted = (asked.body or {}).get("spend", {}).get("points", "max")
    if asked.what == "calculate" and wanted != "max" and told.body.get("spent"):
        return altered(told, "spent", 0, "points", to=wanted)
    return told


async def points_never_end(door: Door, asked: Asked) -> Told:
    """What may be spent is what it was at first."""
    told = await door.ask(asked)
    if asked.what == "customers":
        return altered(
            told, "spendable", to=door.seen.setdefault("spendable", told.body["spendable"])
        )
    return told


async def freezes_nothing(door: Door, asked: Asked) -> Told:
    """A freeze is only said."""
    if asked.what != "freeze":
        return await door.ask(asked)
    told = await door.ask(changed(asked, path="/v1/receipts/calculate", body=asked.body["receipt"]))
    return altered(told, "frozen", to=True)


async def freezes_add_up(door: Door, asked: Asked) -> Told:
    """Another freeze of the same receipt sets aside beside the first."""
    told = await door.ask(asked)
    if asked.what != "freeze" or told.status != 200:
        return told
    first = door.seen.setdefault(asked.id, asked.body)
    if first != asked.body:
        receipt = {**first["receipt"], "receipt_id": f"{asked.id}-first"}
        path = f"/v1/receipts/{asked.id}-first/freeze"
        beside = changed(asked, path=path, body={**first, "receipt": receipt})
        assert (await door.ask(beside)).status == 200
    return told


async def other_sums_are_refused(door: Door, asked: Asked) -> Told:
    """The agent's sum or none."""
    told = await door.ask(asked)
    codes = [each["code"] for each in told.body.get("incidents", ())]
    return refused(409, "to_pay_differs") if "to_pay_differs" in codes else told


async def parts_are_rounded_down(door: Door, asked: Asked) -> Told:
    """Each part of a return loses what is behind the point."""
    if not asked.path.startswith("/v1/returns/"):
        return await door.ask(asked)
    body = {key: value for key, value in asked.body.items() if key != "money"}
    told = await door.ask(changed(asked, body=body))
    place = ("money",) if asked.what == "calculate" else ("refund", "money")
    money = told.body["money"] if asked.what == "calculate" else told.body["refund"]["money"]
    return altered(told, *place, to=f"{money.partition('.')[0]}.00")


async def too_much_is_due(door: Door, asked: Asked) -> Told:
    """More than was sold is due."""
    told = await door.ask(asked)
    if told.status == 400 and told.body["code"] == "too_much":
        return accepted(told, {"money": "180.00"})
    return told


async def same_return_twice(door: Door, asked: Asked) -> Told:
    """A repeated return gives money again."""
    told = await door.ask(asked)
    if asked.path.startswith("/v1/returns/") and asked.what == "commit" and told.status == 200:
        if asked.id in door.seen:
            return await door.ask(changed(asked, path=f"/v1/returns/{asked.id}-again/commit"))
        door.seen[asked.id] = True
    return told


async def returns_do_not_count(door: Door, asked: Asked) -> Told:
    """The day's net is what was sold."""
    told = await door.ask(asked)
    return altered(told, "net", to=told.body["to_pay"]) if asked.what == "totals" else told


async def explained_costs_more(door: Door, asked: Asked) -> Told:
    """A price with its reasons is another."""
    told = await door.ask(asked)
    if asked.what == "calculate" and "trace" in asked.query:
        return altered(told, "total", "to_pay", to="1000.00")
    return told


async def each_duplicate_is_new(door: Door, asked: Asked) -> Told:
    """Duplicates at once each get a record."""
    told = await door.ask(asked)
    if asked.what == "commit" and told.status == 200:
        door.seen["count"] = door.seen.get("count", 0) + 1
        return altered(told, "record_uid", to=str(door.seen["count"]))
    return told


async def gives_the_money_twice(door: Door, asked: Asked) -> Told:
    """What had come back before is paid again."""
    told = await door.ask(asked)
    if asked.path.startswith("/v1/returns/") and asked.what == "commit":
        door.seen.setdefault("money", told.body["refund"]["money"])
        return altered(altered(told, "refund", "money", to="90.00"), "incidents", to=[])
    return told


async def redeems_again(door: Door, asked: Asked) -> Told:
    """A repeated payment by gift card pays again."""
    if asked.what == "redeem":
        seen = door.seen.setdefault(asked.body["operation_id"], [])
        seen.append(1)
        if len(seen) == 2:
            operation = f"{asked.body['operation_id']}-again"
            return await door.ask(changed(asked, body={**asked.body, "operation_id": operation}))
    return await door.ask(asked)


async def gift_card_pays_too_much(door: Door, asked: Asked) -> Told:
    """A gift card pays whatever is asked for."""
    told = await door.ask(asked)
    if told.status == 409 and told.body["code"] == "gift_card_balance":
        return accepted(told, {"balance": "0.00"})
    return told


async def registers_anew(door: Door, asked: Asked) -> Told:
    """Whoever registers again is another member."""
    told = await door.ask(asked)
    if asked.what != "register" or told.status != 200:
        return told
    seen = door.seen.setdefault("register", [])
    seen.append(1)
    return altered(told, "member", "id", to=f"c-{len(seen)}")


def always(_asked: Asked) -> bool:
    """Whatever was sent."""
    return True


def has_coupon(asked: Asked) -> bool:
    """A receipt with a coupon."""
    return bool(asked.body.get("coupons"))


def is_nobody(asked: Asked) -> bool:
    """A receipt of a customer whom nobody knows."""
    return "nobody" in json.dumps(asked.body.get("customer"))


COMMITTED: Final = {"state": "committed", "answer": {"total": {"to_pay": "180.00"}}}
WRONG: Final[dict[str, list[Wrong]]] = {
    "health": [in_answers("health", "alive", to=False)],
    "token": [asks_no_token],
    "price": [
        in_answers("calculate", "total", "to_pay", to="180.01"),
        in_answers("calculate", "lines", 0, "net", to="1.00"),
        in_answers("calculate", "total", "to_pay", to=180.0),
        in_answers("calculate", "calculation_id", to=None),
        in_answers("calculate", "lines", to=None),
    ],
    "price_again": [price_wanders, calculation_is_a_sale],
    "card": [
        refuses("customers", always, 404, "not_found"),
        in_answers("calculate", "notices", to=[{"code": "unknown_card"}]),
    ],
    "unknown_card": [
        refuses("calculate", is_nobody, 404, "not_found"),
        in_answers("calculate", "notices", to=[]),
    ],
    "commit": [
        in_answers("commit", "answer", "total", "to_pay", to="200.00"),
        in_answers("commit", "incidents", to=[{"code": "to_pay_differs", "detail": ""}]),
    ],
    "commit_repeated": [repeat_has_another_price, repeat_is_another_sale],
    "changed_body": [changed_goods_are_taken],
    "printed_after_commit": [receipt_is_forgotten],
    "cancel": [instead_of("receipt_cancelled", COMMITTED)],
    "cancel_after_commit": [instead_of("already_committed", {"state": "cancelled"})],
    "faults_are_named": [faults_have_no_place],
    "identify": [
        in_answers("identify", "outcome", to="unknown"),
        in_answers("identify", "may_register", to=False),
        in_answers("identify", "members", 0, "phone_end", to="+79161234567"),
        in_answers("identify", "members", 0, "id", to="c9"),
    ],
    "points": [points_never_end],
    "points_beyond_balance": [spends_what_is_not_there],
    "freeze": [freezes_nothing],
    "changed_after_freeze": [freezes_add_up],
    "freeze_after_commit": [instead_of("already_committed", {"frozen": True})],
    "other_sum_is_recorded": [other_sums_are_refused],
    "coupon": [
        in_answers("coupons", "state", to="used"),
        in_answers("calculate", "notices", to=[{"code": "coupon_used"}]),
    ],
    "unknown_coupon": [refuses("calculate", has_coupon, 400, "coupon")],
    "hints": [explained_costs_more],
    "returns_in_parts": [parts_are_rounded_down],
    "too_much_back": [too_much_is_due],
    "return_repeated": [same_return_twice, changed_goods_are_taken],
    "totals": [returns_do_not_count],
    "preview": [in_answers("preview", "to_pay", to="1.00")],
    "many_tills": [in_answers("commit", "record_uid", to="00")],
    "duplicates_at_once": [each_duplicate_is_new],
    "commit_or_cancel": [
        instead_of("receipt_cancelled already_committed", COMMITTED),
    ],
    "same_piece_back_twice": [gives_the_money_twice],
    "sale_of_elsewhere": [instead_of("sale_not_here", {"money": "0.00"})],
    "offline_notices": [refuses("calculate", is_nobody, 404, "not_found")],
    "long_receipt": [
        refuses("calculate", lambda asked: len(asked.body["lines"]) > 100, 413, "too_large")
    ],
    "contract": [in_answers("openapi.json", "openapi", to="3.0.0")],
    "registration": [
        registers_anew,
        in_answers("identify", "outcome", to="unknown"),
        in_answers("register", "member", "phone_end", to="+79161234567"),
        in_answers("register", "outcome", to="maybe"),
    ],
    "registration_needs_consent": [instead_of("consent_needed", {"outcome": "new"})],
    "gift_card": [redeems_again],
    "gift_card_beyond_balance": [gift_card_pays_too_much],
}
"""By the check that is meant to find it."""
