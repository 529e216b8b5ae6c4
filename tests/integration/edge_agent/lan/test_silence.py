"""A hub or a head office that is slow or silent: who waits at a till waits for it once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from edge_agent.checkout.pricing import Elsewhere, Pricing, Wishes
from edge_agent.checkout.proof import Proofs
from edge_agent.discovery.policy import Places
from edge_agent.lan.http import HubHttp
from edge_agent.lan.hub import BRING_PATIENCE_S
from edge_agent.lan.link import NotReachedError
from edge_agent.leases.policy import Reason, Wanted
from edge_agent.uplink.coupon_loans import COUPONS_AT_ONCE_MAX, CouponLoans
from edge_agent.uplink.visits import LOAN_TIMEOUT_S
from shared.crypto.tags import CARD_TAG_BYTES
from shared.errors import UnavailableError
from shared.limits import LAN_TIMEOUT_S
from shared.wire.lan import RightsAsk
from shared.wire.loan import LoanReply, LoanRequest
from shared.wire.members import FindRequest
from tests.simulation.loop import VirtualLoop
from tests.support.clocks import FakeClock
from tests.support.shop_network import ASSET, OWNER, Shop, Till

WISHES = Wishes(
    owner=OWNER, promotions=("first",), coupons_of=OWNER, coupons=("coupon:A",), uses_of=OWNER
)
WANTED = [Wanted(owner=owner, asset=ASSET, amount=1) for owner in (OWNER, "c2", "c3")]
MANY = 8


class Slow:
    """A line to the hub on which every question takes its time, and may then get no answer."""

    def __init__(self, till: Till, seconds: float, *, is_silent: bool) -> None:
        self._line, self._seconds, self._is_silent = till.line, seconds, is_silent
        self.count = 0

    async def __call__(self, data: bytes) -> bytes:
        self.count += 1
        await asyncio.sleep(self._seconds)
        if self._is_silent:
            raise UnavailableError("no answer")
        return await self._line(data)


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A shop whose loop has a time of its own, by which its agents go."""
    shop = Shop()
    shop.loop.close()
    shop.loop = VirtualLoop()
    shop.hub.lease("L1", 1_000, 1)
    yield shop
    shop.close()


def slowly(shop: Shop, monkeypatch: pytest.MonkeyPatch, seconds: float, *, is_silent: bool) -> Slow:
    till = shop.tills[0]
    line = Slow(till, seconds, is_silent=is_silent)
    monkeypatch.setattr(till, "line", line)
    monkeypatch.setattr(shop.time, "mono_ns", lambda: int(shop.loop.time() * 10**9))
    till.begin()
    return line


def pricing_of(till: Till) -> Pricing:
    def nobody(*_: Any) -> Any:
        raise AssertionError("nothing is looked up")

    return Pricing(look_up=nobody, desk=till.desk, proofs=Proofs("secret"), now_ms=lambda: 0)


def took_s(shop: Shop, doing: Callable[[], Awaitable[Any]]) -> float:
    async def timed() -> float:
        begun_s = shop.loop.time()
        await doing()
        return shop.loop.time() - begun_s

    return shop.run(timed())


def test_silent_hub_costs_a_sale_one_second(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Priced and recorded in one call: all is asked at once, and after the silence nothing more."""
    till, line = shop.tills[0], slowly(shop, monkeypatch, LAN_TIMEOUT_S, is_silent=True)
    pricing = pricing_of(till)

    async def sale() -> None:
        assert await pricing.ask(WISHES) == Elsewhere(points={}, budgets={}, uses=())
        asked = line.count
        await till.desk.prepare("r1", WANTED)
        assert asked == line.count

    assert pytest.approx(took_s(shop, sale)) == LAN_TIMEOUT_S
    assert not till.desk.hub_answers
    shop.loop.run_until_complete(asyncio.sleep(LAN_TIMEOUT_S))
    before = line.count
    assert pytest.approx(took_s(shop, lambda: till.desk.elsewhere(OWNER))) == LAN_TIMEOUT_S
    assert line.count == before + 1, "one silence is one failure: the hub is asked again"


def test_silent_hub_holds_up_freezing_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither freezing nor a look-up asks after the silence, not even at a new address."""
    till, line = shop.tills[0], slowly(shop, monkeypatch, LAN_TIMEOUT_S, is_silent=True)
    monkeypatch.setattr(till.desk, "_untried", lambda: True)

    async def frozen() -> None:
        assert await till.desk.elsewhere(OWNER) == {}
        assert await till.desk.promise("r1", WANTED) is Reason.NOT_COVERED
        await till.desk.prepare("r1", WANTED)
        assert await till.desk.find_member(FindRequest(card_tag=bytes(CARD_TAG_BYTES))) is None

    assert pytest.approx(took_s(shop, frozen)) == LAN_TIMEOUT_S
    assert line.count == 1


def test_slow_hub_is_waited_for_once_for_a_price(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four answers come in the time of one."""
    till, line = shop.tills[0], slowly(shop, monkeypatch, 0.7, is_silent=False)
    pricing = pricing_of(till)
    assert took_s(shop, lambda: pricing.ask(WISHES)) == pytest.approx(0.7)
    assert line.count == 4


@pytest.mark.parametrize("what", ["promise", "prepare"])
def test_slow_hub_is_not_asked_for_ever(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """It answers, but each answer takes long: the rest of a receipt is done without it."""
    till, line = shop.tills[0], slowly(shop, monkeypatch, 0.4, is_silent=False)
    many = [Wanted(owner=f"c{n}", asset=ASSET, amount=1) for n in range(MANY)]
    shop.hub.lease("L2", 5, 2, owner="c0")
    shop.hub.lease("L3", 5, 3, owner="c1")
    shop.hub.lease("L4", 5, 4, owner="c2")
    assert took_s(shop, lambda: getattr(till.desk, what)("r1", many)) < 1.0
    assert line.count == 2
    assert till.desk.hub_answers


def test_hub_answers_though_head_office_is_slow(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The till hears what is here before it would take the hub for dead."""

    async def bring(_owner: str, _assets: Any) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(shop.hub.own, "bring_coupons", bring)
    ask = RightsAsk(owner=OWNER, coupons=["coupon:A"])
    answers = []

    async def asked() -> None:
        answers.append(await shop.hub.desk.rights(shop.tills[0].edge_id, ask))

    assert pytest.approx(took_s(shop, asked)) == BRING_PATIENCE_S
    assert BRING_PATIENCE_S < LAN_TIMEOUT_S
    assert answers[0].spendable == {ASSET: 1_000}


class SlowCentral:
    """Head office at the end of a slow line; it lends nothing."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def borrow(self, request: LoanRequest) -> LoanReply:
        self.asked.append(request.asset)
        await asyncio.sleep(0.9 * LOAN_TIMEOUT_S)
        return LoanReply(lease=None, recalled=True)


def test_coupons_are_asked_for_together(shop: Shop) -> None:
    """As many as a receipt may bring take no longer than one; one named twice is asked for once."""
    central = SlowCentral()
    loans = CouponLoans(
        central=central,
        writer=shop.hub.memory,
        is_online=lambda: True,
        clock=FakeClock(),
    )
    assets = [f"coupon:{n}" for n in range(COUPONS_AT_ONCE_MAX)]
    took = took_s(shop, lambda: loans.bring(OWNER, [*assets, "coupon:one-more"]))
    assert took == pytest.approx(0.9 * LOAN_TIMEOUT_S)
    assert central.asked == assets


def full(stack: ExitStack, host: str) -> str:
    """An address that lets nobody connect any more, and refuses nobody."""
    listener = stack.enter_context(socket.socket())
    listener.bind((host, 0))
    listener.listen(0)
    for _ in range(3):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return f"http://{host}:{listener.getsockname()[1]}"


async def test_addresses_of_one_question_share_its_second() -> None:
    """Where no address answers, those that there was no time for are first at the next question."""
    places = Places()
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        urls = [full(stack, f"127.0.1.{n + 1}") for n in range(MANY)]
        places.found("hub", urls)
        http = HubHttp(places)
        await http.open()
        try:
            begun_s = loop.time()
            with pytest.raises(NotReachedError):
                await http.exchange(b"question")
            took = loop.time() - begun_s
        finally:
            await http.close()
    current = places.current()
    assert current in urls[1:4], f"half the second, a quarter, an eighth ({took} s)"
    assert places.untried
