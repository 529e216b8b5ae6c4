"""The certificate: an agent of ours passes, and each agent that breaks a rule is found out."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from central.database.pool import Pool
from central.gift_cards.importing import register_cards
from edge_agent.app import make_app
from edge_agent.config import Config
from edge_agent.kit.cashier import NO_CARD, NO_GIFT_CARD, NO_PHONE, Cashier, Stand
from edge_agent.kit.check import Check
from edge_agent.kit.command import PACKAGE
from edge_agent.kit.full import NO_HEAD_OFFICE
from edge_agent.kit.level import Level
from edge_agent.kit.printed import report_of, result_lines
from edge_agent.kit.suite import CHECKS, Outcome, Result, is_certified, results_of
from edge_agent.kit.till import a_till
from edge_agent.wiring.ground import Machine
from shared.system import SystemChance, SystemClock
from shared.tongues import Tongue
from tests.support.agent_process import an_agent
from tests.support.both_ends import a_town
from tests.support.gift_cards import CARDS, PIN, SECRET, cards_file
from tests.support.programmes import TEA_AND_POINTS
from tests.support.shop import STORE, TIME, TOKEN, a_bundle, make_shop
from tests.support.wrong_agent import WRONG, a_wrong_agent

GIFT_CARDS = ("gift_card", "gift_card_beyond_balance")
PHONE = "+7 916 123-45-67"
BY_NAME = {check.name: check for check in CHECKS}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    make_shop(tmp_path / "shop", bundle=a_bundle(1))
    return tmp_path / "shop"


def stand(run: str, **changes: Any) -> Stand:
    known = {"sku": "tea", "price": "100.00", "card": "100", "coupon": "GOOD", "phone": PHONE}
    known |= changes
    return Stand(run=run, time=TIME, store=STORE, register="R1", **known)


async def played(url: str, checks: Sequence[Check], at: Stand, token: str = TOKEN) -> list[Result]:
    async with a_till(url, token, connections=16) as till:
        return [result async for result in results_of(Cashier(till, at), checks)]


def outcomes(results: Sequence[Result]) -> Mapping[str, str]:
    return {each.check.name: f"{each.outcome} {each.came or each.reason}" for each in results}


async def command(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge_agent", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


@pytest.mark.processes
async def test_our_agent_is_certified_by_the_command(shop: Path) -> None:
    """Every level, but for gift cards that no head office is there to know; then without a card."""
    async with an_agent(shop) as (_, url):
        common = ("certify", "--url", url, "--token-file", str(shop / "till.token"))
        report = shop / "report.json"
        code, out = await command(
            *common,
            *("--sku", "tea", "--card", "100", "--coupon", "GOOD", "--phone", PHONE),
            *("--report", str(report)),
            *("--without", GIFT_CARDS[0], "--without", GIFT_CARDS[1]),
        )
        assert code == 0, out
        told = json.loads(report.read_text("utf-8"))
        assert told["levels"] == {"minimum": True, "middle": True, "full": True}
        assert {each["outcome"] for each in told["checks"]} == {"passed", "left_out"}
        assert [each["name"] for each in told["checks"]] == list(BY_NAME)
        assert TOKEN not in report.read_text("utf-8")
        assert PHONE not in report.read_text("utf-8")

        code, out = await command(*common, "--level", "minimum", "--lang", "ru")
        assert code == 1, "a card was not given, so the card was not checked"
        assert "[не проверено] minimum/card" in out
        assert "Минимальный: не подтверждён (пройдено 12 из 13)" in out

        code, out = await command(*common[:3], "--token-file", str(shop / "none"))
        assert (code, "token file" in out) == (1, True)
        code, out = await command(*common, "--without", "nothing")
        assert (code, "there is no check nothing" in out) == (1, True)


async def test_each_broken_rule_is_found_by_its_check(shop: Path) -> None:
    """Every check has a wrong agent that it finds, and finds nothing at the right one."""
    assert set(WRONG) == set(BY_NAME)
    machine = Machine(clock=SystemClock(), chance=SystemChance())
    async with TestServer(make_app(shop, Config.load(shop), machine)) as server:
        url = str(server.make_url(""))
        missed = []
        for name, agents in WRONG.items():
            if name in GIFT_CARDS:
                continue
            right = await played(url, [BY_NAME[name]], stand(f"right-{name}"))
            assert right[0].outcome is Outcome.PASSED, outcomes(right)
            for number, wrong in enumerate(agents):
                async with a_wrong_agent(url, wrong) as door:
                    at = stand(f"wrong-{name}-{number}")
                    (result,) = await played(door, [BY_NAME[name]], at)
                if result.outcome is not Outcome.FAILED:
                    missed.append((name, number, result.came, result.reason))
        assert missed == []


async def test_gift_cards_are_checked_where_head_office_answers(pool: Pool, tmp_path: Path) -> None:
    """A card with a PIN at a real head office; then wrong agents; then no line at all."""
    checks = [BY_NAME[name] for name in GIFT_CARDS]
    async with a_town(pool, tmp_path, TEA_AND_POINTS) as town:
        await register_cards(pool, town.central.pins, cards_file(tmp_path, CARDS))
        sale = {"operation_id": "s", "receipt_id": "r", "number": SECRET, "amount": "1000.00"}
        assert (await town.ask("S1", "/v1/gift-cards/activate", sale))[0] == 200
        url = str(town.tills["S1"].server.make_url(""))
        token = town.tills["S1"].session.headers["Authorization"].removeprefix("Bearer ")

        async def at(url: str, run: str) -> list[Result]:
            results = await played(url, checks, stand(run, gift_card=SECRET, pin=PIN), token)
            assert all(SECRET not in str(each.calls) for each in results)
            assert all(PIN not in str(each.calls) for each in results)
            return results

        right = await at(url, "right")
        assert [each.outcome for each in right] == [Outcome.PASSED] * 2, outcomes(right)
        for number, name in enumerate(GIFT_CARDS):
            for wrong in WRONG[name]:
                async with a_wrong_agent(url, wrong) as door:
                    assert (await at(door, f"wrong-{name}"))[number].outcome is Outcome.FAILED
        town.central.cut.add("S1")
        assert {each.reason for each in await at(url, "cut")} == {NO_HEAD_OFFICE}


async def test_what_was_not_checked_is_not_certified(shop: Path) -> None:
    """No card, no gift card: said as such, and the levels that need them stay open."""
    machine = Machine(clock=SystemClock(), chance=SystemChance())
    async with TestServer(make_app(shop, Config.load(shop), machine)) as server:
        at = stand("bare", card=None, coupon=None, phone=None)
        results = await played(str(server.make_url("")), CHECKS, at)
        blocked = await played(str(server.make_url("")), CHECKS[:5], stand("b", card="200"))
        strange = await played(str(server.make_url("")), CHECKS[:5], at, "t" * 45)
    reasons = {each.check.name: each.reason for each in results if each.reason}
    assert reasons["points"] == NO_CARD
    assert reasons["gift_card"] == NO_GIFT_CARD
    assert reasons["registration"] == NO_PHONE
    assert {each.outcome for each in results} == {Outcome.PASSED, Outcome.NOT_CHECKED}
    assert not any(is_certified(results, level) for level in Level)
    assert blocked[-1].outcome is Outcome.FAILED
    assert [each.outcome for each in strange[1:4]] == [Outcome.PASSED, *[Outcome.FAILED] * 2]


async def test_silence_fails_each_check_and_stops_none() -> None:
    """Nobody listens there: the calls fail, the suite goes on."""
    results = await played("http://127.0.0.1:9", CHECKS[:3], stand("silent"))
    assert [each.outcome for each in results] == [Outcome.FAILED] * 3
    assert "no answer" in results[0].came


SHAPES: list[bytes] = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"[" * 100_000,
    b'"text"',
    b"1e999",
    b'{"code": "\\ud800 \\u001b[2J", "total": [], "lines": {}, "spendable": {"main": 5}}',
    b'{"total": {"list": "x"}, "spendable": {"main": "99.00"}, "notices": 1, "incidents": [1]}',
    b'{"sales": 1e999, "calculation_id": 1, "total": {"to_pay": {}}, "hints": null}',
]


@pytest.mark.parametrize("status", [200, 409])
async def test_strange_replies_are_findings(status: int, tmp_path: Path) -> None:
    """Whatever a server says, the suite comes to its end, and can be printed and written."""
    said = [b""]

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=status, body=said[-1], content_type="application/problem+json")

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    async with TestServer(app) as server:
        for shape in SHAPES:
            said.append(shape)
            at = stand("strange", gift_card="1")
            results = await played(str(server.make_url("")), CHECKS, at)
            assert {each.outcome for each in results} <= {Outcome.FAILED, Outcome.NOT_CHECKED}
            told = "\n".join(
                line for each in results for line in result_lines(each, Tongue("ru", PACKAGE))
            )
            assert "\x1b" not in told
            told.encode()
            json.dumps(report_of(results, url="", run="", time="")).encode()


def test_a_level_that_was_left_out_is_not_certified() -> None:
    def result(name: str, outcome: Outcome) -> Result:
        words = {"expected": "", "came": "", "reason": "", "calls": ()}
        return Result(check=BY_NAME[name], outcome=outcome, **words)

    health, points = result("health", Outcome.PASSED), result("points", Outcome.LEFT_OUT)
    assert is_certified([health], Level.MINIMUM)
    assert not is_certified([health, points], Level.MIDDLE)
    assert is_certified([health, points, result("totals", Outcome.PASSED)], Level.MIDDLE)
    for outcome in (Outcome.FAILED, Outcome.NOT_CHECKED):
        below = result("price", outcome)
        assert not is_certified([health, below], Level.MINIMUM)
        assert not is_certified([health, below, result("totals", Outcome.PASSED)], Level.MIDDLE)
