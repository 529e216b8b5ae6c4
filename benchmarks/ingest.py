"""How many receipts a second does head office take in? From sockets to PostgreSQL, everything on.

Shops' streams are made beforehand: chained, in frames as agents send them, 7.6 lines a receipt,
six of ten with a member who earns points. Then they are put over HTTP to central's own processes,
which decode, check the chain, validate, post to the ledger and commit durably. Beside it, in the
same run and on the same server: COPY of exactly the rows that came of it, into tables with the same
indexes and into bare ones. Load generator, central and PostgreSQL share this machine. Prints a
table and writes build/bench/ingest.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import psycopg
from aiohttp import web
from receipt_records import Chain
from support.measuring import ROOT, against, percentile, report

from central.accounts.audit import audit as audit_ledger
from central.app import COLLECT_AFTER, INGEST_CONNECTIONS
from central.customers.store import put_customers
from central.database.embedded import EmbeddedPostgres
from central.database.migrate import migrate
from central.database.pool import open_pool
from central.feed import store as feed
from central.fleet.store import put_store
from central.receipts import store as receipts
from central.uplink.admission import Admission, Bounds
from central.uplink.enrol import Enrolment
from central.uplink.ingest import Ingest
from central.uplink.server import Uplink
from shared.crypto.chain import chain_genesis
from shared.crypto.signing import Signer
from shared.frames import make_batch
from shared.system import SystemChance, SystemClock
from shared.wire.answer import Accrued
from shared.wire.enrol import ENROL_SIGNATURE_KIND, EdgeKind, EnrolReply, EnrolRequest
from shared.wire.facts import FactKind, ReceiptCommitted
from shared.wire.feed import CustomerEntry, StoreEntry
from shared.wire.stream import Ack, Lane, Record

TARGET_PER_S: Final = 3_000
TARGET_RATIO: Final = 0.25
CORES: Final = 2
SHOPS: Final = 12
MEMBERS: Final = 40_000
COPY_ROUNDS: Final = 3
COPIED: Final = ("receipt", "stream_run", "ledger_transfer", "pending_lot")
"""Tables whose rows are what was taken in; balances are changed, not added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """One request, ready to be sent."""

    path: str
    body: bytes
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """One agent with everything that it will send."""

    headers: dict[str, str]
    puts: list[Put]


async def serve(conninfo: str, port: int) -> None:
    """One process of central, until it is told to stop."""
    stop = asyncio.Event()
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    clock = SystemClock()
    async with (
        open_pool(conninfo, size_max=4) as pool,
        open_pool(conninfo, size_max=INGEST_CONNECTIONS) as own,
    ):
        enrolment = Enrolment(pool, clock, SystemChance(), [])
        uplink = Uplink(
            pool,
            clock,
            SystemChance(),
            enrolment,
            Ingest(own, clock),
            Admission(Bounds(turns=INGEST_CONNECTIONS)),
        )
        runner = web.AppRunner(uplink.application(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, reuse_port=True).start()
        print("ready", flush=True)
        await stop.wait()
        await runner.cleanup()


@contextlib.contextmanager
def central_processes(conninfo: str, port: int, count: int) -> Any:
    """Central, listening; the kernel deals connections out to its processes."""
    started = []
    try:
        for _ in range(count):
            command = [sys.executable, __file__, "--serve", conninfo, "--port", str(port)]
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
            started.append(process)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        yield started
    finally:
        for process in started:
            process.terminate()
            process.wait()


async def set_up(conninfo: str) -> list[tuple[str, EnrolReply]]:
    """Stores with their agents and members."""
    clock = SystemClock()
    enrolled = []
    async with open_pool(conninfo) as pool:
        async with pool.connection() as connection:
            await migrate(connection)
        for number in range(SHOPS):
            store = f"S{number}"
            async with pool.connection() as connection:
                await put_store(
                    connection,
                    StoreEntry(store_id=store, name=store, timezone="UTC", currency="RUB"),
                )
            enrolment = Enrolment(pool, clock, SystemChance(), [])
            token = await enrolment.issue_token(store, EdgeKind.HUB)
            device = Signer(number.to_bytes(32, "big"))
            request = EnrolRequest(
                token=token,
                kind=EdgeKind.HUB,
                device_public_key=device.public_key,
                signature=device.sign(ENROL_SIGNATURE_KIND, token.encode()),
                agent_version="bench",
            )
            enrolled.append((store, await enrolment.enrol(request)))
        members = [
            (CustomerEntry(customer_id=f"c-{number}", card_tags=[]), f"S{number % SHOPS}")
            for number in range(MEMBERS)
        ]
        for at in range(0, MEMBERS, 1000):
            async with pool.connection() as connection:
                await put_customers(connection, members[at : at + 1000])
        # What the set-up wrote is told to the shops before anything is measured.
        while True:
            async with pool.connection() as connection:
                if not await feed.log_waits(connection):
                    break
            async with pool.connection() as connection:
                await feed.publish(connection)
    return enrolled


def make_shop(store: str, reply: EnrolReply, *, seed: int, count: int, batch: int) -> Shop:
    """Everything that one agent will send."""
    start = next(lane for lane in reply.lanes if lane.lane is Lane.RECEIPTS)
    head = chain_genesis(reply.edge_id, start.lane, start.epoch, start.nonce)
    facts = Chain("first", seed).facts(store)
    chance = random.Random(seed)
    encoded = [
        _record(seq, _earning(next(facts)), chance.randbytes(16)) for seq in range(1, count + 1)
    ]
    puts = []
    first = 1
    while first <= count:
        made = make_batch(
            encoded[first - 1 :], first_seq=first, previous_hash=head, records_max=batch
        )
        path = f"/v1/streams/{reply.edge_id}/{start.lane.value}/1/{first}-{made.last_seq}"
        puts.append(
            Put(path=path, body=msgspec.msgpack.encode(made), count=made.last_seq - first + 1)
        )
        first, head = made.last_seq + 1, made.last_hash
    return Shop(headers={"Authorization": f"Bearer {reply.credential}"}, puts=puts)


def _earning(fact: ReceiptCommitted) -> ReceiptCommitted:
    """The sale, its member earning a hundredth of it: free at once or the day after, in turn."""
    if fact.receipt.customer is None:
        return fact
    later = fact.committed_at_ms % 2
    day = date.fromisoformat(fact.business_date) + timedelta(days=later)
    accrued = Accrued(
        account="main",
        promotion="one percent",
        points_centi=max(1, fact.answer.total.to_pay_minor // 100),
        active_on_date=day.isoformat(),
    )
    answer = msgspec.structs.replace(fact.answer, accrued=[accrued])
    return msgspec.structs.replace(fact, answer=answer)


def _record(seq: int, fact: ReceiptCommitted, uid: bytes) -> bytes:
    return msgspec.msgpack.encode(
        Record(
            uid=uid,
            lane=Lane.RECEIPTS.value,
            epoch=1,
            seq=seq,
            recorded_at_ms=fact.committed_at_ms,
            kind=FactKind.RECEIPT_COMMITTED,
            schema_version=1,
            body=msgspec.msgpack.encode(fact),
        )
    )


async def send_all(url: str, shops: list[Shop], skip: int, upto: int) -> list[float]:
    """Every shop its batches ``skip`` to ``upto``, one after another; milliseconds of each."""
    spent_ms: list[float] = []

    async def send(http: aiohttp.ClientSession, shop: Shop) -> None:
        for put in shop.puts[skip:upto]:
            while True:
                began_ns = time.perf_counter_ns()
                async with http.put(put.path, data=put.body, headers=shop.headers) as answer:
                    body = await answer.read()
                if answer.status == 429:
                    await asyncio.sleep(0.05)
                    continue
                assert answer.status == 200, (answer.status, body)
                spent_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
                ack = msgspec.msgpack.decode(body, type=Ack)
                assert not ack.verdicts, ack.verdicts[:3]
                break

    async with contextlib.AsyncExitStack() as stack:
        sessions = [
            await stack.enter_async_context(
                aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=1))
            )
            for _ in shops
        ]
        await asyncio.gather(*map(send, sessions, shops))
    return spent_ms


def copy_rates(conninfo: str, receipts_count: int, batch: int) -> dict[str, float]:
    """Receipts a second when their rows are only copied, in transactions of a batch.

    And ``cpu_us``, what the server's process and we spend on one, with indexes. The median of three
    rounds each: a neighbour on the machine must not decide.
    """
    rounds = [_copy_once(conninfo, receipts_count, batch) for _ in range(COPY_ROUNDS)]
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def _copy_once(conninfo: str, receipts_count: int, batch: int) -> dict[str, float]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        rows = {}
        for table in COPIED:
            with connection.cursor().copy(f"copy {table} to stdout".encode()) as copy:
                rows[table] = b"".join(copy).splitlines(keepends=True)
        rates = {}
        for name, kept in (("indexed", "including all"), ("bare", "including defaults")):
            for table in COPIED:
                connection.execute(f"create table {name}_{table} (like {table} {kept})".encode())
                if table == "receipt":
                    connection.execute(
                        f"alter table {name}_receipt alter body set storage external".encode()
                    )
            began_ns = time.perf_counter_ns()
            cpu_s = time.process_time() + _cpu_s(connection.info.backend_pid)
            rounds = -(-receipts_count // batch)
            for number in range(rounds):
                with connection.transaction():
                    for table, lines in rows.items():
                        size = -(-len(lines) // rounds)
                        part = b"".join(lines[number * size : (number + 1) * size])
                        if part:
                            target = f"copy {name}_{table} from stdin".encode()
                            with connection.cursor().copy(target) as copy:
                                copy.write(part)
            rates[name] = receipts_count / ((time.perf_counter_ns() - began_ns) / 1e9)
            cpu_s = time.process_time() + _cpu_s(connection.info.backend_pid) - cpu_s
            rates.setdefault("cpu_us", cpu_s / receipts_count * 1e6)
            for table in COPIED:
                connection.execute(f"drop table {name}_{table}".encode())
    return rates


async def books_agree(conninfo: str) -> dict[str, Any]:
    """What has to be zero after all that."""
    async with open_pool(conninfo) as pool, pool.connection() as connection:
        counted = await receipts.audit(connection)
        assert counted["wrong_sums"] == counted["counted_twice"] == counted["quarantined"] == 0
        return {"receipts": counted["receipts"], "ledger": await audit_ledger(connection)}


def measure(options: argparse.Namespace) -> None:
    folder = Path(tempfile.mkdtemp(prefix="kpl-ingest"))
    server = EmbeddedPostgres(folder)
    server.wipe()
    server.start()
    try:
        enrolled = asyncio.run(set_up(server.conninfo()))
        shops = [
            make_shop(store, reply, seed=number, count=options.receipts, batch=options.batch)
            for number, (store, reply) in enumerate(enrolled)
        ]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        warm = max(1, options.receipts // options.batch // 5)
        with central_processes(server.conninfo(), port, options.processes) as processes:
            url = f"http://127.0.0.1:{port}"
            asyncio.run(send_all(url, shops, 0, warm))
            own_s = time.process_time()
            cpu_s = sum(_cpu_s(process.pid) for process in processes)
            database_s = _database_cpu_s(server.conninfo())
            began_ns = time.perf_counter_ns()
            spent_ms = asyncio.run(send_all(url, shops, warm, 10**9))
            taken_s = (time.perf_counter_ns() - began_ns) / 1e9
            own_s = time.process_time() - own_s
            cpu_s = sum(_cpu_s(process.pid) for process in processes) - cpu_s
            database_s = _database_cpu_s(server.conninfo()) - database_s
        count = sum(put.count for shop in shops for put in shop.puts[warm:])
        agreed = asyncio.run(books_agree(server.conninfo()))
        rates = copy_rates(server.conninfo(), agreed["receipts"], options.batch)
    finally:
        server.stop()
        server.wipe()
    tell(
        options,
        count / taken_s,
        rates,
        spent_ms,
        {
            "central_cpu_us_a_receipt": cpu_s / count * 1e6,
            "postgres_cpu_us_a_receipt": database_s / count * 1e6,
            "generator_cpu_us_a_receipt": own_s / count * 1e6,
        },
    )


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _database_cpu_s(conninfo: str) -> float:
    """Of the server's processes that are there now; central's connections stay open."""
    with psycopg.connect(conninfo) as connection:
        pids = connection.execute("select pid from pg_stat_activity where pid <> pg_backend_pid()")
        return sum(_cpu_s(row[0]) for row in pids.fetchall())


def tell(
    options: argparse.Namespace,
    per_s: float,
    rates: dict[str, float],
    spent_ms: list[float],
    cpu: dict[str, float],
) -> None:
    ratio = per_s / rates["indexed"]
    cores_per_s = CORES * 1e6 / sum(cpu.values())
    by_cpu = cores_per_s / (1e6 / rates["cpu_us"])
    figures = {
        "shops": SHOPS,
        "processes": options.processes,
        "batch_records": options.batch,
        "receipts_per_s": round(per_s),
        "batch_p50_ms": round(percentile(spent_ms, 50), 1),
        "batch_p99_ms": round(percentile(spent_ms, 99), 1),
        "copy_indexed_per_s": round(rates["indexed"]),
        "copy_bare_per_s": round(rates["bare"]),
        "ratio_to_copy": round(ratio, 3),
        "by_cpu_time_per_s": round(cores_per_s),
        "copy_cpu_us_a_receipt": round(rates["cpu_us"], 1),
        "ratio_by_cpu_time": round(by_cpu, 3),
    } | {name: round(value, 1) for name, value in cpu.items()}
    report(
        "ingest",
        f"Receipts a second, {SHOPS} shops, batches of {options.batch}",
        ("", "measured", "target"),
        [
            ("end to end", f"{per_s:.0f}", against(per_s, TARGET_PER_S, at_least=True)),
            ("COPY of the same rows, same indexes", f"{rates['indexed']:.0f}", ""),
            ("COPY of the same rows, no indexes", f"{rates['bare']:.0f}", ""),
            (
                "share of the first COPY",
                f"{ratio:.2f}",
                against(ratio, TARGET_RATIO, at_least=True),
            ),
            (f"by processor time, {CORES} cores to itself", f"{cores_per_s:.0f}", ""),
            ("share of COPY by processor time, of its one core", f"{by_cpu:.2f}", ""),
            ("batch p50 / p99, ms", f"{figures['batch_p50_ms']} / {figures['batch_p99_ms']}", ""),
        ],
        figures,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--receipts", type=int, default=3000, help="of each shop")
    parser.add_argument("--batch", type=int, default=100, help="records in a request")
    parser.add_argument("--processes", type=int, default=1, help="of central")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve, options.port))
    else:
        measure(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
