"""Customers at the till end to end: agents and head office over HTTP, with lines that are cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from central.accounts.audit import audit
from central.customers.store import put_customers
from central.database.pool import Pool, rows_of
from central.members.finding import PhoneOf, hash_phones, put_phones
from edge_agent.config import DATABASE_FILE
from edge_agent.database.connection import open_reader
from edge_agent.members.keys import KEYS_FILE
from shared.crypto.tags import card_tag
from shared.system import SystemClock
from shared.wire.feed import CustomerEntry
from tests.support.both_ends import Town, a_till_of, a_town
from tests.support.programmes import TEA_AND_POINTS
from tests.support.shop import till_receipt

IDENTIFY: Final = "/v1/customers/identify"
REGISTER: Final = "/v1/customers/register"
PHONE: Final = "+7 916 123-45-67"
DIGITS: Final = "9161234567"
AGREED: Final = {"rules": True, "sms": True}


def form(operation_id: str, **more: Any) -> dict[str, Any]:
    return {"operation_id": operation_id, "phone": PHONE, "consents": AGREED} | more


async def identified(town: Town, store: str, **shown: str) -> dict[str, Any]:
    status, answer = await town.ask(store, IDENTIFY, shown)
    assert status == 200, answer
    return answer


async def registered(town: Town, store: str, **asked: Any) -> dict[str, Any]:
    status, answer = await town.ask(store, REGISTER, form(**asked))
    assert status == 200, answer
    return answer


async def keys_are_here(town: Town, *stores: str) -> None:
    """Agents fetch the keys of members soon after they have a line."""

    async def done() -> bool:
        answers = [await town.ask(each, IDENTIFY, {"phone": "+79990000000"}) for each in stores]
        return all(status == 200 for status, _ in answers)

    await town.until(done)


async def cut(town: Town, *stores: str) -> None:
    """No line, and the agents know it."""
    town.central.cut |= set(stores)

    async def done() -> bool:
        found = [await town.status(each) for each in stores]
        return not any(each["link"]["online"] for each in found)

    await town.until(done)


async def sold(town: Town, store: str, receipt_id: str, customer: dict[str, str]) -> int:
    """Sell something that gives points; how many, in hundredths."""
    receipt = till_receipt(receipt_id, customer=customer, store=store)
    status, answer = await town.ask(
        store, f"/v1/receipts/{receipt_id}/commit", {"receipt": receipt}
    )
    assert status == 200, answer
    [given] = answer["answer"]["accrued"]
    return round(float(given["points"]) * 100)


async def named(town: Town, store: str, customer_id: str) -> str:
    """Who this name is in a shop now."""
    async with town.tills[store].get(f"/v1/customers?id={customer_id}") as response:
        return str((await response.json())["id"])


async def points_of(pool: Pool, owner: str) -> int:
    async with pool.connection() as connection:
        rows = await rows_of(
            connection,
            "select coalesce(sum(balance), 0) as sum from ledger_account"
            " where kind in ('pending', 'avail', 'escrow') and (owner = %(name)s"
            " or owner in (select lease_id from lease where owner = %(name)s))",
            {"name": owner},
        )
    return int(rows[0]["sum"])


async def test_new_member_is_known_at_once_and_everywhere_soon(pool: Pool, tmp_path: Path) -> None:
    """With the line: a member of the till's own shop at once, of the other by head office."""
    async with a_town(pool, tmp_path, TEA_AND_POINTS) as town:
        await keys_are_here(town, "S1", "S2")
        unknown = await identified(town, "S1", card="700")
        assert (unknown["outcome"], unknown["may_register"]) == ("unknown", True)
        made = await registered(town, "S1", operation_id="R1-1", card="700")
        assert (made["outcome"], made["card_taken"]) == ("new", True)
        assert made["member"]["phone_end"] == "67"
        member = made["member"]["id"]
        assert await registered(town, "S1", operation_id="R1-1", card="700") == made
        status, answer = await town.ask("S1", REGISTER, form("R1-1", card="701"))
        assert (status, answer["code"]) == (409, "operation_changed")
        for shown in ({"card": "700"}, {"phone": PHONE}, {"phone": "8" + DIGITS}):
            found = await identified(town, "S1", **shown)
            assert found["outcome"] == "found"
            assert found["by"] == "here"
            assert found["members"][0]["id"] == found["member"]["id"] == member
        other = await identified(town, "S2", phone=PHONE)
        assert other["members"][0]["id"] == member
        assert other["members"][0]["phone_end"] == "67"
        again = await registered(town, "S2", operation_id="R1-1", card="702")
        assert (again["outcome"], again["card_taken"]) == ("known", False)
        assert again["member"]["id"] == member
        assert (await identified(town, "S2", card="702"))["outcome"] == "unknown"


async def test_one_phone_in_two_shops_without_a_line_is_one_member(
    pool: Pool, tmp_path: Path
) -> None:
    """Both sell and give points meanwhile; then there is one member with all of them."""
    async with a_town(pool, tmp_path, TEA_AND_POINTS) as town:
        await keys_are_here(town, "S1", "S2")
        await cut(town, "S1", "S2")
        names: dict[str, str] = {}
        given = 0
        for store in ("S1", "S2"):
            made = await registered(town, store, operation_id="R1-1", card=f"7{store}")
            assert (made["outcome"], made["card_taken"]) == ("provisional", True)
            names[store] = made["member"]["id"]
            assert await registered(town, store, operation_id="R1-1", card=f"7{store}") == made
            found = await identified(town, store, phone=PHONE)
            assert found["members"][0]["id"] == names[store]
            given += await sold(town, store, f"{store}-1", {"card": f"7{store}"})
            given += await sold(town, store, f"{store}-2", {"id": names[store]})
        assert len(set(names.values())) == 2
        town.central.cut.clear()

        async def together() -> bool:
            await town.central.registering.settle_waiting()
            ids = {await named(town, store, name) for store, name in names.items()}
            queued = [(await town.status(store))["queue_depth"] for store in names]
            return len(ids) == 1 and not any(queued)

        await town.until(together)
        found = await identified(town, "S1", phone=PHONE)
        owner = found["members"][0]["id"]
        [alias] = set(names.values()) - {owner}
        assert await points_of(pool, owner) == given
        assert await points_of(pool, alias) == 0
        loser = next(store for store, name in names.items() if name == alias)

        # A till may go on with the name it was given, and it is the member's sale.
        given += await sold(town, loser, f"{loser}-3", {"id": alias})
        late = await registered(town, loser, operation_id="R1-1", card=f"7{loser}")
        assert late["outcome"] == "known"
        assert late["member"]["id"] == owner

        async def counted() -> bool:
            return await points_of(pool, owner) == given

        await town.until(counted)
        async with pool.connection() as connection:
            audited = await audit(connection)
        assert not any(audited[key] for key in ("ledger_sum_centi", "negative_accounts", "drift"))


async def test_lost_answer_makes_no_second_member(pool: Pool, tmp_path: Path) -> None:
    """Head office has done it and nobody heard: the record under the same uid changes nothing."""
    async with a_town(pool, tmp_path, TEA_AND_POINTS, stores=("S1",)) as town:
        await keys_are_here(town, "S1")
        town.central.lose_reply = True
        made = await registered(town, "S1", operation_id="R1-1", card="700")
        assert made["outcome"] == "provisional"

        async def sent() -> bool:
            await town.central.registering.settle_waiting()
            return (await town.status("S1"))["queue_depth"] == 0

        await town.until(sent)
        async with pool.connection() as connection:
            rows = await rows_of(connection, "select owner, is_new from registration")
            members = await rows_of(connection, "select customer_id from customer")
        assert [(row["owner"], row["is_new"]) for row in rows] == [(made["member"]["id"], True)]
        assert len(members) == 1


async def test_code_is_good_without_a_line_and_at_one_till(pool: Pool, tmp_path: Path) -> None:
    """The member's telephone shows it; another till, another moment and another shop's are not."""
    async with a_town(pool, tmp_path, TEA_AND_POINTS, stores=("S1",)) as town:
        async with pool.connection() as connection:
            entry = CustomerEntry(customer_id="c1", card_tags=[card_tag("100")], level="gold")
            await put_customers(connection, [(entry, "S1")])
        await keys_are_here(town, "S1")

        async def known() -> bool:
            return (await identified(town, "S1", card="100"))["outcome"] == "found"

        await town.until(known)
        await cut(town, "S1")
        code = town.central.secret.member_code("c1", SystemClock().now_ms())
        found = await identified(town, "S1", code=code, register="R1")
        assert found["outcome"] == "found"
        assert (found["members"][0]["id"], found["members"][0]["level"]) == ("c1", "gold")
        again = await identified(town, "S1", card=code, register="R1")
        assert {**again, "proof": ""} == {**found, "proof": ""}
        for wrong in (
            {"code": code, "register": "R2"},
            {"code": code + "x", "register": "R1"},
            {"code": "KQ1:AAAAAAAAAAAAAAAA:c1", "register": "R1"},
            {"code": town.central.secret.member_code("c1", 1_790_000_000_000)},
        ):
            status, answer = await town.ask("S1", IDENTIFY, wrong)
            assert (status, answer["code"]) == (409, "code_not_good")


async def test_familys_phone_is_chosen_from(pool: Pool, tmp_path: Path) -> None:
    """Several members of one phone: head office tells them, without a name or a whole phone."""
    async with a_town(pool, tmp_path, TEA_AND_POINTS, stores=("S1",)) as town:
        async with pool.connection() as connection:
            entries = [CustomerEntry(customer_id=each, card_tags=[]) for each in ("c1", "c2")]
            await put_customers(connection, [(entry, "S1") for entry in entries])
            phones = [PhoneOf(customer_id=each, phone="+7" + DIGITS) for each in ("c1", "c2")]
            await put_phones(connection, await hash_phones(town.central.secret, phones))
        await keys_are_here(town, "S1")
        found = await identified(town, "S1", phone=PHONE)
        assert (found["outcome"], found["by"], found["member"]) == ("choose", "central", None)
        assert {each["id"] for each in found["members"]} == {"c1", "c2"}
        assert DIGITS not in str(found)


async def test_till_asks_its_hub(pool: Pool, tmp_path: Path) -> None:
    """A till has no key of phones: the hub knows whose they are, also whom it made itself."""
    async with (
        a_town(pool, tmp_path, TEA_AND_POINTS, stores=("S1",)) as town,
        a_till_of(town, "S1") as till,
    ):
        await keys_are_here(town, "S1", till)
        await cut(town, "S1")
        made = await registered(town, "S1", operation_id="R1-1", card="700")
        for shown in ({"phone": PHONE}, {"card": "700"}):
            found = await identified(town, till, **shown)
            assert (found["outcome"], found["by"]) == ("found", "hub")
            assert found["members"][0]["id"] == made["member"]["id"]


async def test_phone_is_in_no_file_and_no_log(pool: Pool, tmp_path: Path, capsys: Any) -> None:
    """Looked up, registered with and without a line: nothing of it stands in clear anywhere."""
    async with a_town(pool, tmp_path, TEA_AND_POINTS, stores=("S1",)) as town:
        await keys_are_here(town, "S1")
        await identified(town, "S1", phone=PHONE)
        await cut(town, "S1")
        await registered(town, "S1", operation_id="R1-1", card="700")
        await identified(town, "S1", phone=PHONE)
        status, _ = await town.ask("S1", IDENTIFY, {"phone": PHONE + "x"})
        assert status == 400
        kept = dict(_files(town.folders["S1"]))
        key = town.central.secret.agent_keys(0).phone_key
        assert len(kept) > 5
        for path, data in kept.items():
            assert DIGITS.encode() not in data, path
            assert key not in data, path
    told = capsys.readouterr()
    assert DIGITS not in told.out + told.err


async def test_revoked_agent_keeps_nobody(pool: Pool, tmp_path: Path) -> None:
    """Keys, newcomers and who looked whom up are gone; records stay."""
    async with a_town(pool, tmp_path, TEA_AND_POINTS, stores=("S1",)) as town:
        await keys_are_here(town, "S1")
        await registered(town, "S1", operation_id="R1-1", card="700")
        folder = town.folders["S1"]
        assert _is_kept(folder) == (True, True, True)
        async with pool.connection() as connection:
            await connection.execute("update edge set state = 'revoked'")

        async def wiped() -> bool:
            return _is_kept(folder) == (False, False, False)

        await town.until(wiped)


def _is_kept(folder: Path) -> tuple[bool, bool, bool]:
    """The file of keys, newcomers, counts of look-ups."""
    reader = open_reader(folder / DATABASE_FILE)
    try:
        newcomers = reader.execute("SELECT count(*) FROM newcomer").get
        counts = reader.execute("SELECT count(*) FROM look_up").get
    finally:
        reader.close()
    return (folder / KEYS_FILE).exists(), newcomers > 0, counts > 0


def _files(folder: Path) -> list[tuple[Path, bytes]]:
    return [(path, path.read_bytes()) for path in folder.rglob("*") if path.is_file()]
