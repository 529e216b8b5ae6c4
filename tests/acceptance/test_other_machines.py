"""Another machine takes over: a replica that lags, a new disk while the old one comes back."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from central.database.embedded import EmbeddedPostgres
from tests.acceptance.test_new_epoch import PATIENCE_S, Selling, Shop, known_sales
from tests.support.head_office import HeadOffice
from tests.support.shop import PROGRAMME, till_receipt

POINTS = 150


@pytest.fixture
def office(tmp_path: Path) -> Iterator[HeadOffice]:
    """A head office with a store, a member at home in it and a programme."""
    made = HeadOffice(tmp_path / "central")
    member = {"customer_id": "c1", "cards": ["100"], "home_store": "S1"}
    members = tmp_path / "members.jsonl"
    members.write_text(json.dumps({**member, "points": {"main": f"{POINTS}.00"}}) + "\n")
    document = tmp_path / "programme.json"
    # Nobody earns here, so that what may be spent is known beforehand.
    promotions = [each for each in PROGRAMME["promotions"] if each["id"] != "back"]
    document.write_text(json.dumps({**PROGRAMME, "promotions": promotions, "version": 1}))
    try:
        for words in (
            ("init", "--embedded", "--web", "127.0.0.1:0", "--uplink", "127.0.0.1:0"),
            ("store-add", "S1", "Shop"),
            ("import", "--customers", str(members)),
            ("publish", str(document)),
        ):
            done = made.command(*words)
            assert done.code == 0, done.err
        made.start()
        yield made
    finally:
        made.forget()


class Replica:
    """A second PostgreSQL that follows central's, beside it."""

    def __init__(self, office: HeadOffice) -> None:
        self._home = EmbeddedPostgres(office.folder).home
        self._data = self._home / "replica"
        owner = self._home.stat().st_uid
        self._user = pwd.getpwuid(owner).pw_name if owner != os.geteuid() else None

    def follow(self) -> None:
        """Copy the database while it works, and follow it from there on."""
        self._run("pg_basebackup", "-h", str(self._home), "-U", "kopilka", "-D", str(self._data),
                  "--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream")  # fmt: skip
        self.start()

    def start(self) -> None:
        """With the primary or without."""
        sockets = f"-c listen_addresses= -c unix_socket_directories={self._home} -c port=5433"
        log = str(self._home / "replica.log")
        self._run("pg_ctl", "-D", str(self._data), "-o", sockets, "-l", log, "--wait", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "--wait", "--mode=fast", "stop")

    def promote(self) -> None:
        """It is the database from now on; what it never received is gone."""
        self._run("pg_ctl", "-D", str(self._data), "--wait", "promote")
        self.stop()
        (self._home / "data").rename(self._home / "lost")
        self._data.rename(self._home / "data")

    def sales(self) -> int:
        with psycopg.connect(
            host=str(self._home), port=5433, user="kopilka", dbname="kopilka"
        ) as connection:
            row = connection.execute("select count(*) from receipt").fetchone()
            assert row is not None
            return int(row[0])

    def _run(self, name: str, *arguments: str) -> None:
        binary = max(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        done = subprocess.run(
            [str(binary), *arguments],
            user=self._user, cwd=self._home, capture_output=True, text=True, timeout=PATIENCE_S,
            check=False, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def kill_database(office: HeadOffice) -> None:
    """SIGKILL for PostgreSQL and every process of it."""
    pid = (EmbeddedPostgres(office.folder).home / "data" / "postmaster.pid").read_text().split()[0]
    subprocess.run(["pkill", "-9", "-P", pid], check=False)
    subprocess.run(["kill", "-9", pid], check=False)


@pytest.mark.processes
async def test_replica_that_lost_the_last_seconds_is_filled_again(
    office: HeadOffice, tmp_path: Path
) -> None:
    """Fault 49: what only the dead primary had confirmed comes once more from the shop."""
    shop = Shop(office, tmp_path / "shop")
    assert await asyncio.to_thread(shop.enrol) == 0
    shop.hurry()
    replica = Replica(office)
    async with shop.open() as selling:
        await selling.until_ready()
        await selling.sell(3)
        await selling.until_sent()
        await asyncio.to_thread(replica.follow)
        async with asyncio.timeout(PATIENCE_S):
            while replica.sales() < 3:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        await asyncio.to_thread(replica.stop)
        await selling.sell(4)
        await selling.until_sent()
        assert len(known_sales(office)) == 7

        await asyncio.to_thread(kill_database, office)
        await asyncio.to_thread(office.stop)
        await asyncio.to_thread(replica.start)
        assert replica.sales() == 3
        await asyncio.to_thread(replica.promote)
        keep_port(office)
        await asyncio.to_thread(office.start)
        await selling.sell(2)
        async with asyncio.timeout(PATIENCE_S):
            while len(known_sales(office)) < shop.sold:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
    assert len(known_sales(office)) == shop.sold == 9
    verified = await asyncio.to_thread(office.command, "verify")
    assert verified.code == 0, verified.out + verified.err


def keep_port(office: HeadOffice) -> None:
    """Agents look for central where it was."""
    config = office.folder / "central.toml"
    port = office.uplink.rpartition(":")[2]
    lines = config.read_text("utf-8").splitlines()
    changed = [f"uplink_port = {port}" if x.startswith("uplink_port") else x for x in lines]
    config.write_text("\n".join(changed) + "\n", "utf-8")


@pytest.mark.processes
async def test_old_disk_that_comes_back_spends_its_own_leases_alone(
    office: HeadOffice, tmp_path: Path
) -> None:
    """Fault 52: old and new hub sell at once; together they spend what there is, and no more."""
    old, new = Shop(office, tmp_path / "old"), Shop(office, tmp_path / "new")
    assert await asyncio.to_thread(old.enrol) == 0
    old.hurry()
    async with old.open() as selling:
        await selling.until_ready()
        await selling.sell(1)
        await selling.until_sent()
        assert await pay(selling, "o1", 10) == 10
        await selling.until_sent()
    # The disk is thought to be dead: a new one is put in and enrolled.
    assert await asyncio.to_thread(new.enrol) == 0
    new.hurry()
    async with new.open() as selling:
        await selling.until_ready()
        spent_by_new = await pay(selling, "n1", POINTS)
        async with old.open() as again:
            spent_by_old = await pay(again, "o2", POINTS)
            spent_by_new += await pay(selling, "n2", POINTS)
            await again.until_sent()
            await selling.until_sent()
    print(f"old {spent_by_old}, new {spent_by_new}")
    assert 10 + spent_by_old + spent_by_new <= POINTS
    assert spent_by_old > 0, "what it was lent is its own"
    verified = await asyncio.to_thread(office.command, "verify", "--json")
    books = json.loads(verified.out)
    assert books["ok"], books
    assert books["shortage_centi"] == 0, books
    assert books["spent_centi"] == 100 * (10 + spent_by_old + spent_by_new)


async def pay(selling: Selling, receipt_id: str, points: int) -> int:
    """A dear sale; how many points it was paid with."""
    receipt = till_receipt(
        receipt_id,
        customer={"card": "100"},
        spend={"account": "main", "points": f"{points}.00"},
        lines=[{"line": 1, "sku": "tea", "qty": "1", "price": "1000.00"}],
    )
    reply = await selling.commit(receipt_id, receipt)
    return sum(int(each["points"].partition(".")[0]) for each in reply["answer"]["spent"])
