"""The parts of a support bundle, each made of whatever can still be read.

A part that fails says so and stops no other: a bundle is asked for when something is broken.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from edge_agent.config import DATABASE_FILE, Config
from edge_agent.database.connection import open_reader
from edge_agent.database.migrate import pragma_int
from edge_agent.outbox.store import streams_of
from edge_agent.support.masking import MASK, masked_log, masked_text, masked_value
from edge_agent.witness.proof import prove
from shared.errors import AppError
from shared.log_tail import LOG_FILE, tail_of
from shared.sqlfile import load_queries
from shared.wire.facts import ReceiptCommitted

INCIDENT_SALES: Final = 500
"""Of so many last sales the incidents are told, by code and time."""
FOLDER_ENTRIES_MAX: Final = 300
LOG_BYTES_MAX: Final = 512 * 2**10
PROBLEMS_MAX: Final = 100
_QUERIES: Final = load_queries("edge_agent.support")
_SALE: Final = msgspec.msgpack.Decoder(ReceiptCommitted)
Part = Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What only the running agent can tell: its status and its metrics; None: it did not answer."""

    status: dict[str, Any] | None
    metrics: str | None


def collect(folder: Path, asked: Asked, *, version: str, now_ms: int) -> dict[str, Any]:
    """Every part by the name of its file: texts, or what becomes JSON. Never raises."""
    log = _or_failed(lambda: masked_log(tail_of(folder / LOG_FILE, LOG_BYTES_MAX).splitlines()))
    parts: dict[str, Part] = {
        "about.json": lambda: _about(folder, version, now_ms),
        "settings.json": lambda: _settings(folder),
        "status.json": lambda: _status(asked),
        "verify.json": lambda: _verified(folder),
        "database.json": lambda: _database(folder),
        "problems.json": lambda: _problems(folder, asked, log if isinstance(log, str) else ""),
        "folder.json": lambda: _listing(folder),
    }
    found = {name: _or_failed(part) for name, part in parts.items()}
    found["metrics.txt"] = asked.metrics or "the agent does not answer\n"
    found["log.jsonl"] = log
    return found


def _or_failed(part: Part) -> Any:
    try:
        return part()
    except AppError as error:
        return {"failed": error.stable_code, "message": masked_text(error.message)}
    except Exception as error:  # noqa: BLE001 - what cannot be read must not hide the rest
        return {"failed": type(error).__name__}


def _about(folder: Path, version: str, now_ms: int) -> dict[str, Any]:
    disk = shutil.disk_usage(folder)
    return {
        "agent_version": version,
        "made_at_ms": now_ms,
        "python": sys.version.split()[0],
        "sqlite": apsw.sqlite_lib_version(),
        "system": platform.system(),
        "system_release": platform.release(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "disk_bytes": disk.total,
        "disk_free_bytes": disk.free,
    }


def _settings(folder: Path) -> dict[str, Any]:
    """What is set. No secret is: those are in files of their own, of which only the names are."""
    values: dict[str, Any] = msgspec.to_builtins(Config.load(folder))
    url = str(values["central_url"])
    scheme, _, rest = url.partition("://")
    host = rest.rpartition("@")[2]
    kept = {"edge_id", "central_url", "store_id"}
    told = {key: value if key in kept else masked_value(value) for key, value in values.items()}
    told["central_url"] = f"{scheme}://{host}" if "@" not in rest else f"{scheme}://{MASK}@{host}"
    told["store_id"] = masked_text(str(values["store_id"]))
    return told


def _status(asked: Asked) -> Any:
    if asked.status is None:
        return {"failed": "the agent does not answer"}
    return masked_value(asked.status)


def _verified(folder: Path) -> dict[str, Any]:
    config = Config.load(folder)
    proof = prove(
        _existing(folder / DATABASE_FILE),
        witness=folder / config.witness_file,
        journal=None if config.journal_folder is None else folder / config.journal_folder,
        edge_id=config.edge_id,
    )
    return {
        "records": {lane.name.lower(): count for lane, count in proof.records.items()},
        "sales": proof.sales,
        "witness": proof.witness,
        "journal": proof.journal,
    }


def _database(folder: Path) -> dict[str, Any]:
    connection = open_reader(_existing(folder / DATABASE_FILE))
    try:
        recovery: Any = connection.execute(_QUERIES["recovery"]).fetchone()
        return {
            "schema_version": pragma_int(connection, "user_version"),
            "page_count": pragma_int(connection, "page_count"),
            "free_pages": pragma_int(connection, "freelist_count"),
            "recovery": None
            if recovery is None
            else {"reason": masked_text(recovery[0]), "since_ms": recovery[1]},
            "rows": {str(name): count for name, count in connection.execute(_QUERIES["rows"])},
            "streams": [
                {
                    "own": head.edge_id is None,
                    "lane": head.lane,
                    "epoch": head.epoch,
                    "current": head.current,
                    "seq": head.seq,
                    "acked_seq": head.acked_seq,
                    "pruned_seq": head.pruned_seq,
                }
                for head in streams_of(connection)
            ],
        }
    finally:
        connection.close()


def _problems(folder: Path, asked: Asked, log: str) -> dict[str, Any]:
    components = [] if asked.status is None else asked.status.get("components", [])
    lines = deque(
        (line for line in log.splitlines() if '"level": "info"' not in line), PROBLEMS_MAX
    )
    return {
        "components": masked_value([each for each in components if each.get("health") != "ok"]),
        "incidents": _or_failed(lambda: _incidents(folder)),
        "log": [msgspec.json.decode(line) for line in lines],
    }


def _incidents(folder: Path) -> list[dict[str, Any]]:
    """Codes and times only: the details are of somebody's receipt."""
    connection = open_reader(_existing(folder / DATABASE_FILE))
    try:
        rows: list[Any] = connection.execute(
            _QUERIES["facts"], {"count": INCIDENT_SALES}
        ).fetchall()
    finally:
        connection.close()
    return [
        {"code": incident.code, "recorded_at_ms": recorded_at_ms}
        for fact, recorded_at_ms in rows
        for incident in _SALE.decode(fact).incidents
    ][:PROBLEMS_MAX]


def _listing(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(folder.rglob("*"))[:FOLDER_ENTRIES_MAX]:
        state = path.lstat()
        found.append(
            {
                "name": masked_text(str(path.relative_to(folder))),
                "size_bytes": state.st_size,
                "mode": f"{state.st_mode & 0o7777:o}",
                "changed_at_ms": state.st_mtime_ns // 1_000_000,
            }
        )
    return found


def _existing(path: Path) -> Path:
    """The same; opening a database that is not there would make one."""
    path.stat()
    return path
