"""The command ``kopilka-central``, each test over processes and an embedded PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import re
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest

from central.database.embedded import EmbeddedPostgres
from installer.demo.dataset import load_week
from installer.demo.programme import programme_of
from shared.wire.receipt import Customer
from shared.wire.stream import Ack
from tests.support.agent import a_receipt, caller, enrol
from tests.support.head_office import HeadOffice
from tests.support.programmes import TEA_AND_POINTS

pytestmark = pytest.mark.processes


def document(version: int, **promotion: Any) -> dict[str, Any]:
    """A small programme: a tenth off tea."""
    tea = {
        "id": "tea",
        "name": "Tea cheaper",
        "group": "shelf",
        "then": [{"do": "discount_goods", "filter": {"sku": ["tea"]}, "percent": "10"}],
    }
    return {
        "programme": "shops",
        "version": version,
        "currency": "RUB",
        "timezone": "Europe/Moscow",
        "groups": [{"id": "shelf", "resolve": "all"}],
        "promotions": [tea | promotion],
    }


@pytest.fixture
def office(tmp_path: Path) -> Iterator[HeadOffice]:
    """A central that was set up on free ports and does not run."""
    made = HeadOffice(tmp_path / "central")
    ports = ("--web", "127.0.0.1:0", "--uplink", "127.0.0.1:0")
    assert made.command("init", "--embedded", *ports).code == 0
    try:
        yield made
    finally:
        made.forget()


def write(folder: Path, name: str, *values: dict[str, Any]) -> str:
    """A file of JSON lines; its path."""
    path = folder / name
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return str(path)


def test_a_folder_is_set_up_once_and_only_its_owner_reads_it(office: HeadOffice) -> None:
    """Keys and configuration are private, a second setup changes nothing, no process stays."""
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in office.folder.iterdir()}
    again = office.command("init", "--embedded")

    assert stat.S_IMODE(office.folder.stat().st_mode) == 0o700
    assert {"central.toml", "bundle-signing.key", "uplink-ca.pem", "uplink-ca.key"} <= set(modes)
    assert {mode for name, mode in modes.items() if name != "postgres"} == {0o600}
    assert again.code == 1
    assert "set up already" in again.err
    assert not office.database_runs()


def test_bad_input_is_told_and_changes_nothing(office: HeadOffice, tmp_path: Path) -> None:
    """No command answers with a stack trace; what can be told without a database is told first."""
    member = write(tmp_path, "rows.jsonl", {"customer_id": "c", "home_store": "S9"})
    for arguments, told in (
        (("store-add", "S2", "Mars", "--timezone", "Mars/Base"), "no time zone 'Mars/Base'"),
        (("import", "--customers", member), "there is no store S9"),
    ):
        answer = office.command(*arguments)
        assert (answer.code, told in answer.err) == (1, True), answer.err
        assert "Traceback" not in answer.err
    other = HeadOffice(tmp_path / "other").command("init", "--embedded", "--web", "nonsense")
    assert (other.code, "is no address" in other.err) == (1, True), other.err
    assert not (tmp_path / "other").exists()


def test_a_document_is_in_force_only_when_it_is_good_and_newer(
    office: HeadOffice, tmp_path: Path
) -> None:
    """A refusal names every fault and leaves the last version in force; versions only rise."""
    good = write(tmp_path, "good.json", document(3))
    bad = write(
        tmp_path,
        "bad.json",
        document(
            4,
            group="nowhere",
            then=[
                {"do": "discount_goods", "filter": {"sku": ["tea"]}, "percent": "110"},
                {"do": "dance"},
            ],
        ),
    )
    newer = write(tmp_path, "newer.json", document(4))

    first = office.command("publish", good)
    refused = office.command("publish", bad)
    same = office.command("publish", good)
    older = office.command("publish", write(tmp_path, "older.json", document(2)))
    missing = office.command("publish", str(tmp_path / "none.json"))
    second = office.command("publish", newer)

    assert first.code == 0, first.err
    assert "version 3" in first.out
    assert refused.code == 1
    for place in ("/promotions/0/group", "then/0/percent", "then/1/do"):
        assert place in refused.err
    assert '"110"' in refused.err
    for done in (same, older):
        assert done.code == 1
        assert done.err.startswith("version_not_above")
    assert missing.code == 1
    assert "Traceback" not in missing.err
    # A refusal kept nothing: version 4 is still free.
    assert second.code == 0, second.err


def test_the_programme_of_the_demo_is_published(office: HeadOffice, tmp_path: Path) -> None:
    """What `make demo` publishes compiles without one finding."""
    path = write(tmp_path, "demo.json", programme_of(load_week(seed=1)))

    done = office.command("publish", path)

    assert done.code == 0, done.err
    assert done.out.count("\n") == 1


def test_stores_people_and_goods_come_in_by_commands(office: HeadOffice, tmp_path: Path) -> None:
    """Counts are told, faults name their line, and the books agree afterwards."""
    customers = write(
        tmp_path,
        "customers.jsonl",
        {
            "customer_id": "c1",
            "cards": ["1001"],
            "home_store": "S1",
            "segments": ["vip"],
            "level": "gold",
            "points": {"main": "150.00"},
        },
        {"customer_id": "c2", "home_store": "S1", "points": {"main": "0.01"}},
    )
    products = write(
        tmp_path,
        "products.jsonl",
        {"sku": "tea", "name": "Tea", "min_price": "1.50", "max_discount": "30"},
    )
    coupons = write(tmp_path, "coupons.jsonl", {"code": "ab", "series": "s"})
    broken = write(tmp_path, "broken.jsonl", {"sku": "a", "name": "A"}, {"sku": "b"})

    store = office.command("store-add", "S1", "Shop one", "--timezone", "Europe/Moscow")
    loaded = office.command(
        "import", "--customers", customers, "--products", products, "--coupons", coupons
    )
    refused = office.command("import", "--products", broken)
    user = office.command("user-add", "anna", stdin="a long password\n")
    short = office.command("user-add", "boris", stdin="short\n")
    token = office.command("enrol-token", "--store", "S1")
    nowhere = office.command("enrol-token", "--store", "S9")
    checked = office.command("verify", "--json")

    assert store.code == 0, store.err
    assert loaded.out.split() == ["products", "1", "coupons", "1", "customers", "2"]
    assert refused.code == 1
    assert "broken.jsonl, line 2" in refused.err
    assert user.code == 0, user.err
    assert short.code == 1
    assert len(token.out.split()[-1]) == 32
    assert nowhere.code == 1
    assert nowhere.err.startswith("not_found")
    found = json.loads(checked.out)
    assert checked.code == 0
    assert found["ok"] is True
    assert (found["issued_centi"], found["ledger_sum_centi"]) == (15_001, 0)


async def test_a_running_central_takes_sales_and_shows_them(
    office: HeadOffice, tmp_path: Path
) -> None:
    """Both listeners serve while commands work beside them; the books agree; nothing stays."""
    await asyncio.to_thread(office.start)
    document_path = write(tmp_path, "document.json", TEA_AND_POINTS | {"version": 1})
    customers = write(
        tmp_path,
        "customers.jsonl",
        {"customer_id": "c1", "cards": ["1001"], "home_store": "S1", "points": {"main": "50.00"}},
    )
    for name, *rest in (
        ("store-add", "S1", "Shop one"),
        ("import", "--customers", customers),
        ("publish", document_path),
    ):
        done = await asyncio.to_thread(office.command, name, *rest)
        assert done.code == 0, done.err
    user = await asyncio.to_thread(office.command, "user-add", "anna", stdin="a long password\n")
    token = await asyncio.to_thread(office.command, "enrol-token", "--store", "S1")
    ca = (office.folder / "uplink-ca.pem").read_text()
    async with caller(office.uplink, ca) as http:
        agent = await enrol(http, token.out.split()[-1])
        await agent.read_feed()
        program = (await agent.bundle(1)).program
        member = Customer(id="c1", points_centi={"main": 5_000})
        lease = agent.lease("c1").lease_id
        uids = [
            agent.sell(a_receipt(1), program),
            agent.sell(a_receipt(2, customer=member, spends=True), program, lease_id=lease),
        ]
        taken = await agent.send(1, 2)
        await agent.hello(bundle_version=1)
    pages = await pages_of(office.web, uids)
    checked = await asyncio.to_thread(office.command, "verify", "--json")
    left = await asyncio.to_thread(office.stop)

    assert user.code == 0, user.err
    assert isinstance(taken, Ack)
    assert (taken.seq, taken.verdicts) == (2, [])
    for path, (status, text) in pages.items():
        assert (path, status) == (path, 200)
        assert "Traceback" not in text
    assert "Shop one" in pages["/stores"][1]
    assert "S1-2" in pages["/receipts"][1]
    assert "Tea cheaper" in pages["/promotions"][1]
    for uid in uids:
        assert "Tea cheaper" in pages[f"/receipts/{uid.hex()}"][1]
    found = json.loads(checked.out)
    assert checked.code == 0, found
    assert (found["ok"], found["receipts"], found["different_answers"]) == (True, 2, 0)
    assert found["spent_centi"] == found["redeemed_centi"] == 5_000
    assert found["shortage_centi"] == found["quarantined"] == found["incidents"] == 0
    assert left == 0
    assert not office.database_runs()


async def pages_of(web: str, uids: list[bytes]) -> dict[str, tuple[int, str]]:
    """Every page of the site as a signed-in person gets it, and all that the pages ask for."""
    paths = ["/", "/stores", "/stores/live", "/receipts", "/promotions"]
    paths += [f"/receipts/{uid.hex()}" for uid in uids]
    pages: dict[str, tuple[int, str]] = {}
    jar = aiohttp.CookieJar(unsafe=True)  # the site has an address and no name
    async with aiohttp.ClientSession(web, cookie_jar=jar, headers={"Origin": web}) as http:
        async with http.get("/stores") as stranger:
            assert stranger.url.path == "/login"
        form = {"login": "anna", "password": "a long password"}
        async with http.post("/login", data=form) as answer:
            assert answer.url.path == "/stores"
        for path in paths:
            async with http.get(path) as page:
                pages[path] = (page.status, await page.text())
        assets = set(re.findall(r'(?:src|href)="(/static/[^"#]+)', pages["/stores"][1]))
        assert assets
        for path in sorted(assets):
            async with http.get(path) as asset:
                pages[path] = (asset.status, await asset.text())
    return pages


def test_feed_tells_how_it_stands_and_begins_anew(office: HeadOffice) -> None:
    """After a restart of the feed nothing is lost, but its generation is another."""
    assert office.command("store-add", "S1", "Shop").code == 0
    before = json.loads(office.command("feed").out)
    restarted = office.command("feed", "--restart")
    after = json.loads(office.command("feed").out)

    assert restarted.code == 0
    assert "next contact" in restarted.out
    assert before["log_rows"] == after["log_rows"] == 1
    assert before["generation"] != after["generation"]
    assert before["erasures_owed"] == []


def test_a_person_decides_on_leases_and_on_drift(office: HeadOffice, tmp_path: Path) -> None:
    """What is undecided is listed, written off by name; one kopeck of drift fails the proof."""
    office.start()
    customers = write(
        tmp_path,
        "customers.jsonl",
        {"customer_id": "c1", "home_store": "S1", "points": {"main": "50.00"}},
    )
    assert office.command("store-add", "S1", "Shop one").code == 0
    with psycopg.connect(EmbeddedPostgres(office.folder).conninfo(), autocommit=True) as database:
        database.execute(
            "insert into edge (edge_id, store_id, kind, device_public_key, credential_sha256)"
            " values (7, 'S1', 'hub', '', '')"
        )
        database.execute(
            "insert into stream_head (edge_id, lane, epoch, nonce, hash) values (7, 0, 1, '', '')"
        )
        assert office.command("import", "--customers", customers).code == 0
        nothing = office.command("leases")
        database.execute("update lease set spend_until = '2026-01-02 00:00Z'")
        database.execute("update edge set state = 'revoked'")
        listed = office.command("leases")
        lease_id = listed.out.split()[0]
        done = office.command("write-off", lease_id)
        again = office.command("write-off", lease_id)
        unknown = office.command("write-off", "L0")
        good = office.command("verify")
        database.execute("update ledger_account set balance = balance + 1 where kind = 'avail'")
        drifted = office.command("verify", "--json")
        database.execute("update ledger_account set balance = balance - 1 where kind = 'avail'")
        cleared = office.command("drift-cleared")
        mended = office.command("verify", "--json")

    assert nothing.out == ""
    told = "c1 points:main 5000 open store S1 edge 7 until 2026-01-02T00:00Z"
    assert listed.out == f"{lease_id} {told}\n"
    assert done.out == f"{lease_id}: 5000 went back\n"
    assert again.out == "it had ended already\n"
    assert (unknown.code, unknown.err.split(":")[0]) == (1, "not_found")
    assert good.code == 0
    assert drifted.code == 1
    assert json.loads(drifted.out)["unbalanced_accounts"] == 1
    # The account, the asset's sum, and the statements that changed one balance: each leaves a row.
    assert cleared.out == "cleared 4\n"
    assert (mended.code, json.loads(mended.out)["drift"]) == (0, 0)


def test_commands_at_once_wait_for_each_other(office: HeadOffice) -> None:
    """No command loses its database because another one, which started it, has ended."""
    with ThreadPoolExecutor(max_workers=4) as threads:
        jobs = [threads.submit(office.command, "verify", "--json") for _ in range(4)]
        # A server that comes up meanwhile waits for its turn, and is then shared by all.
        office.start()
        jobs += [threads.submit(office.command, "verify", "--json") for _ in range(4)]
        done = [job.result() for job in jobs]

    assert [(one.code, one.err) for one in done] == [(0, "")] * 8
    assert office.database_runs()
    assert office.command("run").code == 1
