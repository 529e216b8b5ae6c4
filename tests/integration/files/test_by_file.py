"""Records and news by file between a real agent and a real head office, and what is refused."""

from __future__ import annotations

import io
import json
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from central.accounts.audit import audit
from central.accounts.books import Purse
from central.accounts.service import open_balances
from central.customers.store import put_customers
from central.database.pool import Pool, rows_of
from edge_agent.files import incoming
from edge_agent.uplink import loops
from shared.crypto.signing import Signer
from shared.crypto.tags import card_tag
from shared.errors import AppError, UnavailableError
from shared.sync_file import SyncReader, SyncWriter, central_key, public_key_of
from shared.system import SystemClock
from shared.wire.assets import points_asset
from shared.wire.feed import CustomerEntry
from tests.support.both_ends import SIGNER, Town, a_till_of, a_town
from tests.support.courier import Courier
from tests.support.programmes import TEA_AND_POINTS
from tests.support.shop import till_receipt


@pytest.fixture
async def town(pool: Pool, tmp_path: Path) -> AsyncIterator[Town]:
    """Two shops; the line of the first is cut."""
    async with a_town(pool, tmp_path, TEA_AND_POINTS) as town:
        town.central.cut.add("S1")
        yield town


@pytest.fixture
def courier(town: Town, pool: Pool) -> Courier:
    return Courier(town, pool)


async def sell(town: Town, name: str, store: str = "S1", **more: Any) -> Any:
    """The answer of a recorded sale."""
    receipt = till_receipt(name, store=store.partition("-")[0], **more)
    status, told = await town.ask(store, f"/v1/receipts/{name}/commit", {"receipt": receipt})
    assert status == 200, told
    return told["answer"]


async def add_member(pool: Pool, number: int) -> None:
    entry = CustomerEntry(customer_id=f"m{number}", card_tags=[card_tag(f"card-{number}")])
    purse = Purse(entry.customer_id, points_asset("main"))
    async with pool.connection() as connection:
        await put_customers(connection, [(entry, "S1")])
        await open_balances(connection, {purse: 100_00}, now_ms=SystemClock().now_ms())


async def knows(town: Town, store: str, number: int) -> bool:
    params = {"card": f"card-{number}"}
    async with town.tills[store].get("/v1/customers", params=params) as response:
        assert response.status in {200, 404}, await response.text()
        return response.status == 200


async def everything(pool: Pool) -> list[tuple[Any, ...]]:
    """How far head office is."""
    statements = (
        "select edge_id, lane, epoch, seq from stream_head order by 1, 2, 3",
        "select edge_id, last_contact_at from edge where store_id = 'S1'",
        "select count(*) as quarantined from quarantine",
        "select edge_id, file_id from edge_file order by 1, 2",
    )
    found: list[tuple[Any, ...]] = []
    async with pool.connection() as connection:
        for statement in statements:
            found += [tuple(row.values()) for row in await rows_of(connection, statement)]
    return found


async def test_sales_go_out_and_members_and_programmes_come_in(
    town: Town, courier: Courier, pool: Pool
) -> None:
    for number in range(3):
        await sell(town, f"r{number}")
    await add_member(pool, 1)
    await town.central.publishing.publish(
        json.dumps(TEA_AND_POINTS | {"version": 2}).encode(), by="test"
    )
    assert not await knows(town, "S1", 1)
    told = await courier.round("S1")
    assert await courier.receipts() == ["r0", "r1", "r2"]
    status = await town.status("S1")
    assert status["queue_depth"] == 0
    assert status["bundle_version"] == 2
    assert await knows(town, "S1", 1)
    assert told["imported"]["complete"]
    assert told["state"]["questions"][0]["records"] == 3
    assert told["state"]["questions"][0]["answered_at_ms"] is not None
    # What the shop then knows adds up, so the line has nothing to mend.
    town.central.cut.clear()
    await sell(town, "r3")
    await town.until(lambda: _empty(town))
    assert await courier.receipts() == ["r0", "r1", "r2", "r3"]


async def _empty(town: Town) -> bool:
    return bool((await town.status("S1"))["queue_depth"] == 0)


@pytest.mark.parametrize(("members", "anew"), [(5_200, False), (1_500, True)])
async def test_much_news_comes_in_by_file(
    town: Town, courier: Courier, pool: Pool, members: int, *, anew: bool
) -> None:
    """More than one page of the feed; and a new generation, which begins from a snapshot."""
    entries = [
        (CustomerEntry(customer_id=f"x{n}", card_tags=[card_tag(f"card-{n}")]), None)
        for n in range(members)
    ]
    async with pool.connection() as connection:
        await put_customers(connection, entries)
        if anew:
            await connection.execute("update feed_state set generation = generation + 1")
    told = await courier.round("S1")
    assert told["imported"]["complete"]
    assert await knows(town, "S1", 0)
    assert await knows(town, "S1", members - 1)


async def test_a_file_is_good_once_and_only_where_it_belongs(
    town: Town, courier: Courier, pool: Pool
) -> None:
    await sell(town, "r1")
    question = await courier.export("S1")
    answer = await courier.ask(question)
    other = await courier.ask(await courier.export("S2"))
    for wrong, code in (
        (question, "not_an_answer"),
        (other, "other_agent"),
        (b"", "no_sync_file"),
        (b"PK\3\4 some other thing", "no_sync_file"),
        (answer[:-1], "file_cut"),
        (answer + b"x", "damaged"),
    ):
        status, told = await courier.take("S1", wrong)
        assert (status, told["refused"]["code"]) == (409, code)
        assert told["refused"]["hint"]
    assert (await town.status("S1"))["queue_depth"] == 1
    before = await everything(pool)
    with pytest.raises(AppError) as refused:
        await courier.ask(answer)
    assert refused.value.stable_code == "not_a_question"
    assert await everything(pool) == before
    assert (await courier.take("S1", answer))[0] == 200
    status, told = await courier.take("S1", answer)
    assert (status, told["refused"]["code"]) == (409, "file_used")
    # An old question does no harm; its answer says what is known.
    assert (await courier.answered(question))[0].records == 1
    assert await courier.receipts() == ["r1"]


async def test_whatever_happens_to_the_bytes_changes_nothing(
    town: Town, courier: Courier, pool: Pool
) -> None:
    """Cut anywhere, one bit anywhere, a header of somebody else's: refused, with a reason."""
    seed = int(os.environ.get("SEED", "7"))
    print(f"seed {seed}")
    rng = random.Random(seed)
    await sell(town, "r1")
    question = await courier.export("S1")
    answer = await courier.ask(await courier.export("S1"))
    before = await everything(pool)
    depth = (await town.status("S1"))["queue_depth"]
    head = SyncReader(io.BytesIO(question)).header
    assert head.store_id == "S1"
    for number in range(120):
        cut = rng.random() < 0.4
        for good, at_agent in ((question, False), (answer, True)):
            place = rng.randrange(len(good))
            if number < 60:  # the header, and the signature
                place = number if number < 40 else len(good) - 1 - 3 * (number - 40)
            damaged = bytearray(good)
            if cut:
                damaged = damaged[:place]
            else:
                damaged[place] ^= 1 << rng.randrange(8)
            if at_agent:
                status, told = await courier.take("S1", bytes(damaged))
                assert status == 409, (place, cut)
                assert told["refused"]["message"]
            else:
                with pytest.raises(AppError):
                    await courier.ask(bytes(damaged))
    assert await everything(pool) == before
    assert (await town.status("S1"))["queue_depth"] == depth
    assert (await courier.take("S1", answer))[0] == 200


async def test_who_has_not_the_device_key_makes_no_question(
    town: Town, courier: Courier, pool: Pool
) -> None:
    """Everything right, closed to the right reader, but signed by somebody else."""
    question = io.BytesIO(await courier.export("S1"))
    good = SyncReader(question)
    good.open_with(central_key(SIGNER))
    private_key, stranger = b"\6" * 32, Signer(b"\5" * 32)
    before = await everything(pool)
    for named in (good.header.signer_key_id, stranger.key_id):
        forged = io.BytesIO()
        header = msgspec.structs.replace(
            good.header, public_key=public_key_of(private_key), signer_key_id=named
        )
        writing = SyncWriter(forged, header, private_key=private_key, signer=stranger)
        for _, part in good.parts():
            writing.add(part)
        writing.finish()
        with pytest.raises(AppError) as refused:
            await courier.ask(forged.getvalue())
        assert refused.value.stable_code == "signature"
    assert await everything(pool) == before


async def test_foreign_head_office_is_refused(town: Town, courier: Courier, pool: Pool) -> None:
    """A head office that does not know the agent, and one that has another key."""
    question = await courier.export("S1")
    async with pool.connection() as connection:
        await connection.execute("update edge set store_id = 'S2' where store_id = 'S1'")
    with pytest.raises(AppError) as refused:
        await courier.ask(question)
    assert refused.value.stable_code == "unknown_agent"
    async with pool.connection() as connection:
        await connection.execute(
            "update edge set store_id = 'S1', device_public_key = %s where edge_id = %s",
            [b"\5" * 32, SyncReader(io.BytesIO(question)).header.edge_id],
        )
    with pytest.raises(AppError) as refused:
        await courier.ask(question)
    assert refused.value.stable_code == "signature"


async def test_an_import_that_is_cut_anywhere_is_done_again(
    town: Town, courier: Courier, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It breaks off at each part of the answer in turn; the same file goes on from there."""
    for number in range(3):
        await sell(town, f"r{number}")
    await add_member(pool, 1)
    async with pool.connection() as connection:
        await connection.execute("update feed_state set generation = generation + 1")
    await town.central.publishing.publish(
        json.dumps(TEA_AND_POINTS | {"version": 2}).encode(), by="test"
    )
    answer = await courier.ask(await courier.export("S1"))
    whole = incoming._of
    cuts = 0
    while True:
        left = cuts

        def until_cut(*arguments: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise UnavailableError("the stick was pulled")
            return whole(*arguments)

        monkeypatch.setattr(incoming, "_of", until_cut)
        status, told = await courier.take("S1", answer)
        if status == 200:
            break
        assert told["refused"]["message"] == "the stick was pulled"
        cuts += 1
    assert cuts >= 4  # a verdict, pieces, a page, the programme
    assert await courier.receipts() == ["r0", "r1", "r2"]
    found = await town.status("S1")
    assert (found["queue_depth"], found["bundle_version"]) == (0, 2)
    assert await knows(town, "S1", 1)


async def test_hub_carries_what_its_tills_gave_it(
    town: Town, courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A till behind a hub, none of them with a line: the hub's file holds both, once."""
    # For so long a till leaves the line to hello before it tries its hub all the same.
    monkeypatch.setattr(loops, "_LINK_WAIT_S_MAX", 0.2)
    town.central.cut.clear()
    async with a_till_of(town, "S1") as till:
        town.central.cut.add("S1")
        await sell(town, "h1")
        await sell(town, "t1", till)

        async def given() -> bool:
            question = await courier.export("S1")
            return (await courier.answered(question))[0].records >= 2

        await town.until(given)
        await courier.round("S1")
        await courier.round(till)
        assert await courier.receipts() == ["h1", "t1"]
        assert (await town.status(till))["queue_depth"] == 0


async def test_an_agent_with_a_line_brings_the_file_of_one_without(
    town: Town, courier: Courier
) -> None:
    await sell(town, "r1")
    question = await courier.export("S1")
    status, answer = await courier.forward("S2", question)
    assert status == 200, answer
    assert await courier.receipts() == ["r1"]
    assert (await courier.take("S1", answer))[0] == 200
    assert (await town.status("S1"))["queue_depth"] == 0
    # What is wrong with a file is head office's to say, and its words arrive.
    damaged = bytearray(question)
    damaged[-1] ^= 1
    status, refused = await courier.forward("S2", bytes(damaged))
    assert (status, json.loads(refused)["refused"]["code"]) == (409, "signature")
    status, refused = await courier.forward("S2", answer)
    assert (status, json.loads(refused)["refused"]["code"]) == (409, "not_a_question")
    status, refused = await courier.forward("S1", question)
    assert (status, json.loads(refused)["refused"]["code"]) == (409, "no_link")


async def test_revoked_agent_is_told_so_by_file(town: Town, courier: Courier, pool: Pool) -> None:
    await sell(town, "r1")
    async with pool.connection() as connection:
        await connection.execute("update edge set state = 'revoked' where store_id = 'S1'")
    status, told = await courier.take("S1", await courier.ask(await courier.export("S1")))
    assert (status, told["refused"]["code"]) == (409, "revoked")
    assert (await town.status("S1"))["queue_depth"] == 1
    assert await courier.receipts() == []


@pytest.mark.parametrize("seed", range(int(os.environ.get("FILE_SEEDS", "4"))))
async def test_any_order_of_lines_and_files_gives_the_same_books(
    town: Town, courier: Courier, pool: Pool, seed: int
) -> None:
    """Sales, a line that comes and goes, files that are lost, doubled, late: all of it once.

    Points are spent by the rights that came in by either way, and never beyond them.
    """
    rng = random.Random(f"files {os.environ.get('SEED', '')} {seed}")
    sold: list[str] = []
    members = spent_centi = 0
    questions: list[bytes] = []
    answers: list[bytes] = []
    for _ in range(60):
        step = rng.choice(
            ["sell", "sell", "line", "member", "export", "ask", "ask", "take", "take"]
        )
        if step == "sell":
            sold.append(f"r{len(sold):03}")
            points = f"{rng.randrange(1, 60)}.00"
            member = {"card": f"card-{rng.randint(1, members)}"} if members else None
            more = {"customer": member, "spend": {"account": "main", "points": points}}
            answer = await sell(town, sold[-1], **(more if member else {}))
            spent_centi += int(answer["total"]["points_spent"].replace(".", ""))
        elif step == "line":
            (town.central.cut.discard if "S1" in town.central.cut else town.central.cut.add)("S1")
        elif step == "member":
            members += 1
            await add_member(pool, members)
        elif step == "export":
            questions.append(await courier.export("S1"))
        elif step == "ask" and questions:
            answers.append(await courier.ask(rng.choice(questions)))
        elif step == "take" and answers:
            status, told = await courier.take("S1", rng.choice(answers))
            assert status == 200 or told["refused"]["code"] == "file_used", told
    by_file = rng.random() < 0.5
    if by_file:
        town.central.cut.add("S1")
        await courier.round("S1")
        await courier.round("S1")
    else:
        town.central.cut.clear()
        await town.until(lambda: _empty(town))
    assert await courier.receipts() == sold
    assert (await town.status("S1"))["queue_depth"] == 0
    for number in range(1, members + 1):
        await town.until(lambda number=number: knows(town, "S1", number))
    async with pool.connection() as connection:
        found = await audit(connection)
        [posted] = await rows_of(
            connection,
            """select count(*) as n, count(distinct record_uid) as u,
            coalesce(sum(points_spent_centi), 0) as spent from receipt""",
        )
        told = await rows_of(
            connection, "select code from receipt_incident where code <> 'unknown_card'"
        )
        [aside] = await rows_of(connection, "select count(*) as n from quarantine")
    assert (found["ledger_sum_centi"], found["drift"], found["unbalanced_accounts"]) == (0, 0, 0)
    assert (found["wrong_leases"], found["negative_accounts"]) == (0, 0)
    assert (posted["n"], posted["u"], posted["spent"]) == (len(sold), len(sold), spent_centi)
    assert told == []
    print(f"seed {seed}: {len(sold)} sales, {spent_centi} centi spent, {members} members")
    assert aside["n"] == 0
