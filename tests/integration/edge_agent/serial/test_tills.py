"""Tills on serial lines: real ptys, the real agent, a real database; central out of reach."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge_agent.serial.frames import ACK, ENQ, NAK, Frame, encode_frame
from edge_agent.serial.reference_client import NoAnswerError
from tests.integration.edge_agent.test_till_api import Till, a_till, ask
from tests.support.agent_process import an_agent
from tests.support.examples import NIGHTLY
from tests.support.noise import a_seed, flip_bits
from tests.support.pty_till import PtyTill
from tests.support.serial_line import sometimes
from tests.support.serial_shop import greeted, port_is, ptys_of, sold, till_settings
from tests.support.shop import HEADERS, TIME, a_bundle, make_shop, till_receipt


@pytest.fixture(scope="module")
def bundle() -> bytes:
    return a_bundle(1)


@pytest.fixture
async def shop(tmp_path: Path, bundle: bytes) -> AsyncIterator[tuple[Till, PtyTill, PtyTill]]:
    """An HTTP till, and two serial ones on the same agent, greeted."""
    with ptys_of(tmp_path, "R1", "R2") as ports:
        tills = [PtyTill(port) for port in ports]
        serial = till_settings(tmp_path, "R1", "R2", byte_timeout_ms=100, answer_timeout_ms=300)
        make_shop(tmp_path / "shop", bundle=bundle, serial=serial)
        async with a_till(tmp_path / "shop") as http:
            for till in tills:
                await greeted(http, till)
            yield http, tills[0], tills[1]


async def test_whole_sale_is_the_one_that_http_makes(
    shop: tuple[Till, PtyTill, PtyTill],
) -> None:
    """Same price, same points, same record, and either kind of till finds the other's sale."""
    http, till, _ = shop
    assert await till.done("OPEN", "r1", TIME) == ["r1"]
    assert await till.done("ITEM", "1", "tea", "3", "100.00") == ["1", "300.00"]
    assert await till.done("ITEM", "2", "gum", "1", "9.90") == ["2", "309.90"]
    assert await till.done("ITEM", "1", "tea", "2", "100.00") == ["2", "209.90"]
    assert await till.done("VOID", "2") == ["1", "200.00"]
    assert await till.ask("IDENT", "100") == [
        ["OK", "IDENT", "known", "c1", "", ""],
        ["B", "main", "50.00", "30.00"],
    ]
    assert await till.done("COUPON", "good") == ["1", "200.00"]
    assert await till.done("SPEND", "main", "10") == ["1", "200.00"]
    priced = await till.ask("SUBT", "r1", "1", "200.00")
    body = till_receipt(
        "r1",
        customer={"card": "100"},
        coupons=[{"code": "good"}],
        spend={"account": "main", "points": "10"},
    )
    expected = await ask(http, "/v1/receipts/calculate", body)
    total = expected["total"]
    sums = [total[key] for key in ("to_pay", "net", "list", "discount", "points_spent")]
    assert priced[0] == ["OK", "SUBT", "r1", *sums, "1"]
    assert ["S", "main", "10.00"] in priced
    assert await till.done("COMMIT", "r1", sums[0]) == ["r1", *sums, "1"]
    async with http.get("/v1/receipts/r1") as response:
        found = await response.json()
    assert found["state"] == "committed"
    assert found["answer"] == {**expected_answer(expected), "receipt_id": "r1"}
    repeated = await ask(http, "/v1/receipts/r1/commit", {"receipt": body, "to_pay": sums[0]})
    assert repeated["record_uid"] == found["record_uid"]
    assert found["incidents"] == []


def expected_answer(expected: dict[str, Any]) -> dict[str, Any]:
    more = {"calculation_id", "bundle_version", "receipt_hash", "notices"}
    return {key: value for key, value in expected.items() if key not in more}


async def test_two_tills_do_not_mix(shop: tuple[Till, PtyTill, PtyTill]) -> None:
    """Each has its own receipt, numbers and replies, at the same time."""
    _, first, second = shop
    rounds = await asyncio.gather(
        *(sold(till, f"{name}-1") for till, name in ((first, "a"), (second, "b")))
    )
    assert [each[0] for each in rounds] == ["a-1", "b-1"]
    await first.done("OPEN", "a-2", TIME)
    assert await second.refused("ITEM", "1", "tea", "1", "1.00") == "no_receipt"
    assert await second.refused("COMMIT", "a-2", "1.00") == "no_receipt"


async def test_lost_reply_is_given_again_and_not_made_again(
    shop: tuple[Till, PtyTill, PtyTill],
) -> None:
    """The till hears nothing of its commit; the same frame again brings the very same reply."""
    _, till, _ = shop
    await till.done("OPEN", "r1", TIME)
    await till.done("ITEM", "1", "tea", "2", "100.00")
    first = await till.ask("COMMIT", "r1", "180.00")
    number = till.client.number
    assert first[0][:3] == ["OK", "COMMIT", "r1"]
    assert await till.ask("COMMIT", "r1", "180.00", number=number) == first
    # Under a new number it is executed, and finds the sale that was made.
    assert await till.ask("COMMIT", "r1", "180.00") == first
    assert await till.refused("COMMIT", "r1", "179.00") == "receipt_changed"


async def test_lost_acknowledgements_on_both_sides(shop: tuple[Till, PtyTill, PtyTill]) -> None:
    """Every other ACK disappears; the sale is right."""
    _, till, _ = shop
    dropped = [0]

    def drop(data: bytes) -> bytes:
        if data != bytes([ACK]):
            return data
        dropped[0] += 1
        return b"" if dropped[0] % 2 else data

    till.port.timeout_s = 0.6
    till.port.there = till.port.back = drop
    assert (await sold(till, "r1"))[1] == "180.00"
    assert dropped[0] > 4


async def test_slow_bytes_are_one_frame(tmp_path: Path, bundle: bytes) -> None:
    """A line that brings byte by byte works, within the byte time-out."""
    with ptys_of(tmp_path, "R1") as [port]:
        till = PtyTill(port)
        serial = till_settings(tmp_path, "R1", byte_timeout_ms=5_000)
        make_shop(tmp_path / "shop", bundle=bundle, serial=serial)
        async with a_till(tmp_path / "shop") as http:
            await greeted(http, till)
            till.port.slowly = True
            assert (await sold(till, "r1"))[1] == "180.00"


async def test_noise_never_makes_a_wrong_sale(shop: tuple[Till, PtyTill, PtyTill]) -> None:
    """Bits flip at random in both directions: a sale is the one rung up, or there is none."""
    http, till, _ = shop
    rng = random.Random(a_seed())
    till.port.timeout_s = 0.6

    def noise(data: bytes) -> bytes:
        return flip_bits(data, rng, rng.randint(1, 3))

    made = 0
    for index in range(max(8, NIGHTLY // 100)):
        receipt_id, qty = f"n{index}", str(rng.randint(1, 9))
        till.port.there = sometimes(noise, rng, 0.15)
        till.port.back = sometimes(noise, rng, 0.05)
        told = None
        try:
            told = await sold(till, receipt_id, qty=qty)
        except NoAnswerError:
            pass
        finally:
            till.port.there = till.port.back = bytes
            await greeted(http, till)
        async with http.get(f"/v1/receipts/{receipt_id}") as response:
            found = await response.json()
        if response.status == 404:
            assert told is None
            continue
        right = await ask(
            http,
            "/v1/receipts/calculate",
            till_receipt(
                receipt_id, lines=[{"line": 1, "sku": "tea", "qty": qty, "price": "100.00"}]
            ),
        )
        assert found["answer"]["total"] == right["total"]
        assert found["incidents"] == []
        assert told is None or told[1] == right["total"]["to_pay"]
        made += 1
    # Else the law above was tried on nothing.
    assert made > 0


async def test_noise_costs_one_frame(shop: tuple[Till, PtyTill, PtyTill]) -> None:
    """A frame right behind a damaged one is understood, without any pause."""
    _, till, _ = shop
    damaged = bytearray(encode_frame(Frame(kind="A", number=501, data=b"STAT")))
    damaged[9] ^= 0x10
    good = encode_frame(Frame(kind="A", number=502, data=b"SCAN"))

    def talk() -> bytes:
        till.port.reset_input_buffer()
        till.port.write(bytes(damaged) + good)
        return till.port.read(2)

    assert await asyncio.to_thread(talk) == bytes([ACK, 0x02])


async def test_enq_is_answered(shop: tuple[Till, PtyTill, PtyTill]) -> None:
    """A technician sees at once whether anybody is there."""
    _, till, _ = shop

    def talk() -> bytes:
        till.port.write(bytes([ENQ]))
        return till.port.read(1)

    assert await asyncio.to_thread(talk) == bytes([ACK])


async def test_damage_is_answered_with_nak(shop: tuple[Till, PtyTill, PtyTill]) -> None:
    """So that a till need not wait for its time-out."""
    _, till, _ = shop
    frame = bytearray(encode_frame(Frame(kind="A", number=501, data=b"STAT")))
    frame[-1] ^= 1

    def talk() -> bytes:
        till.port.write(bytes(frame))
        return till.port.read(1)

    assert await asyncio.to_thread(talk) == bytes([NAK])


async def test_unplugged_in_mid_receipt_and_plugged_in_again(
    shop: tuple[Till, PtyTill, PtyTill],
) -> None:
    """The device comes back as another one under the same name; the receipt goes on."""
    http, till, other = shop
    await till.done("OPEN", "r1", TIME)
    await till.done("ITEM", "1", "tea", "2", "100.00")
    frame = encode_frame(Frame(kind="A", number=900, data=b"ITEM|2|gum|1|5.00"))
    await asyncio.to_thread(till.port.write, frame[:12])
    till.port.unplug()
    await port_is(http, "R1", "warn")
    assert (await sold(other, "r2"))[1] == "180.00"
    till.port.plug()
    await port_is(http, "R1", "ok")
    assert await till.done("SUBT", "r1", "1", "200.00") != []
    assert (await till.done("COMMIT", "r1", "180.00"))[1] == "180.00"


async def test_unplugged_in_mid_commit(shop: tuple[Till, PtyTill, PtyTill]) -> None:
    """Whether the agent heard it or not: the same frame again brings the one sale there is."""
    http, till, _ = shop
    for index in range(5):
        receipt_id = f"u{index}"
        await till.done("OPEN", receipt_id, TIME)
        await till.done("ITEM", "1", "tea", "2", "100.00")
        number = till.client.number % 999 + 1
        text = f"COMMIT|{receipt_id}|180.00".encode()
        frame = encode_frame(Frame(kind="A", number=number, data=text))
        till.port.write(frame)
        till.port.unplug()
        await port_is(http, "R1", "warn")
        till.port.plug()
        await port_is(http, "R1", "ok")
        first = await till.ask("COMMIT", receipt_id, "180.00", number=number)
        assert first[0][:4] == ["OK", "COMMIT", receipt_id, "180.00"]
        async with http.get(f"/v1/receipts/{receipt_id}") as response:
            assert (await response.json())["incidents"] == []


@pytest.mark.processes
async def test_agent_killed_in_mid_commit(tmp_path: Path, bundle: bytes) -> None:
    """SIGKILL at any moment of a commit: the till gets its sale by asking again, once."""
    rng = random.Random(a_seed())
    with ptys_of(tmp_path, "R1") as [port]:
        make_shop(tmp_path / "shop", bundle=bundle, serial=till_settings(tmp_path, "R1"))
        till = PtyTill(port)
        found = 0
        for index in range(2):
            receipt_id = f"k{index}"
            async with an_agent(tmp_path / "shop") as (process, address), an_http(address) as http:
                await greeted(http, till)
                await till.done("OPEN", receipt_id, TIME)
                await till.done("ITEM", "1", "tea", "2", "100.00")
                text = f"COMMIT|{receipt_id}|180.00".encode()
                port.write(encode_frame(Frame(kind="A", number=500, data=text)))
                await asyncio.sleep(rng.choice([0, rng.uniform(0, 0.005)]))
                process.kill()
                await process.wait()
            async with an_agent(tmp_path / "shop") as (_, address), an_http(address) as http:
                await greeted(http, till)
                reply = await till.ask("COMMIT", receipt_id, "180.00")
                found += reply[0][0] == "OK"
                if reply[0][0] == "ER":
                    assert reply[0][1] == "no_receipt"
                    reply = [["", "", *await sold(till, receipt_id)]]
                assert reply[0][2:4] == [receipt_id, "180.00"]
                async with http.get(f"/v1/receipts/{receipt_id}") as response:
                    assert (await response.json())["incidents"] == []
                assert (await till.done("LOOK", receipt_id))[0] == "committed"
        print(f"{found} of 2 were recorded when the agent died")


@asynccontextmanager
async def an_http(address: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Ask a running agent."""
    async with aiohttp.ClientSession(address, headers=HEADERS) as http:
        yield http


async def test_agent_that_started_again_asks_for_the_receipt_and_finds_the_sale(
    tmp_path: Path, bundle: bytes
) -> None:
    """What was rung up is gone with the agent's memory, what was sold is not."""
    with ptys_of(tmp_path, "R1") as [port]:
        till = PtyTill(port)
        make_shop(tmp_path / "shop", bundle=bundle, serial=till_settings(tmp_path, "R1"))
        async with a_till(tmp_path / "shop") as http:
            await greeted(http, till)
            await sold(till, "r1")
            await till.done("OPEN", "r2", TIME)
            await till.done("ITEM", "1", "tea", "2", "100.00")
        async with a_till(tmp_path / "shop") as http:
            await greeted(http, till)
            assert await till.refused("ITEM", "2", "tea", "2", "100.00") == "no_receipt"
            assert await till.refused("COMMIT", "r2", "180.00") == "no_receipt"
            assert (await till.done("COMMIT", "r1", "180.00"))[0] == "r1"
            assert (await till.done("LOOK", "r1"))[:2] == ["committed", "r1"]
            assert (await sold(till, "r2"))[0] == "r2"


async def test_flood_is_bounded_and_the_others_sell(
    shop: tuple[Till, PtyTill, PtyTill],
) -> None:
    """A broken device that never stops talking holds up nobody else."""
    http, till, other = shop
    stop = False

    def flood() -> int:
        sent = 0
        while not stop:
            sent += till.port.write(b"\x00x" * 1024)
        return sent

    flooding = asyncio.create_task(asyncio.to_thread(flood))
    try:
        assert (await sold(other, "r2"))[1] == "180.00"
    finally:
        stop = True
    assert await flooding > 0
    await greeted(http, till)
    assert (await sold(till, "r1"))[1] == "180.00"
