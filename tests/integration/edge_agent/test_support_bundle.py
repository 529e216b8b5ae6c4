"""The support bundle of a real folder: with the agent up, down and broken; nobody's data in it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge_agent.__main__ import main
from edge_agent.config import CREDENTIAL_FILE, DATABASE_FILE, TILL_TOKEN_FILE
from edge_agent.support.bundle import BUNDLE_BYTES_MAX, PART_BYTES_MAX, pack
from edge_agent.support.collecting import Asked, collect
from shared.log_tail import LOG_FILE, LOG_FILE_BYTES_MAX, LogTail, tail_of
from tests.support.agent_process import an_agent
from tests.support.shop import HEADERS, a_bundle, make_shop, till_receipt

PHONE, CARD, MAIL, NAME = "+79219998877", "4276380012345678", "anna@example.com", "Каренина"
CANARIES = (PHONE[1:], "9998877", CARD, MAIL, NAME, "KPTSECRET" + "A7" * 20)
NAMES = {
    "about.json",
    "settings.json",
    "status.json",
    "verify.json",
    "database.json",
    "problems.json",
    "folder.json",
    "metrics.txt",
    "log.jsonl",
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    make_shop(tmp_path / "shop", bundle=a_bundle(1))
    return tmp_path / "shop"


def opened(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def made(shop: Path, out: Path) -> dict[str, str]:
    """What the command makes."""
    assert main(["support-bundle", "--folder", str(shop), str(out)]) == 0
    assert out.stat().st_size < BUNDLE_BYTES_MAX
    assert out.stat().st_mode & 0o777 == 0o600
    parts = opened(out.read_bytes())
    assert set(parts) == NAMES
    return parts


def check_nobody(shop: Path, parts: dict[str, str]) -> None:
    """No canary and no secret in any file."""
    secrets = [(shop / name).read_text().strip() for name in (TILL_TOKEN_FILE, CREDENTIAL_FILE)]
    for name, text in parts.items():
        for canary in (*CANARIES, *secrets):
            assert canary not in text, (name, canary)


def plant(shop: Path) -> None:
    """People and secrets wherever text can get to."""
    token = (shop / TILL_TOKEN_FILE).read_text().strip()
    texts = [*CANARIES, token, "8 (921) 999-88-77", "4276 3800 1234 5678"]
    with (shop / LOG_FILE).open("a") as log:
        for text in texts:
            for key in ("detail", "reason", "path", "event", "phone", "whatever", "code"):
                log.write(json.dumps({"level": "error", "event": "x.y", key: f"of {text}!"}) + "\n")
            trace = f'Traceback\n  File "a.py", line 1, in f\n    f({text})\nValueError: {text}'
            log.write(json.dumps({"event": "x.y", "exception": trace}) + "\n")
            log.write(f"not json {text}\n")
    for text in (CARD, MAIL, PHONE):
        (shop / f"photo of {text}.jpg").write_bytes(b"")


async def test_a_running_agent_tells_how_it_is_and_nothing_of_people(
    shop: Path, tmp_path: Path
) -> None:
    plant(shop)
    async with an_agent(shop) as (_, url), aiohttp.ClientSession(headers=HEADERS) as http:
        receipt = till_receipt("r1", customer={"card": CARD, "attributes": {"n": NAME}})
        body = {"receipt": receipt, "to_pay": "1.00"}
        async with http.post(f"{url}/v1/receipts/r1/commit", json=body) as response:
            assert response.status == 200, await response.text()
        async with http.get(f"{url}/v1/customers", params={"card": PHONE}) as response:
            assert response.status == 404
        parts = await asyncio.to_thread(made, shop, tmp_path / "a.support.zip")
    check_nobody(shop, parts)
    told: dict[str, Any] = {
        name: json.loads(text) for name, text in parts.items() if name.endswith(".json")
    }
    assert told["verify.json"]["records"]["receipts"] == 1
    assert told["database.json"]["rows"]["receipts"] == 1
    assert told["settings.json"]["edge_id"] == 7
    assert {each["component"] for each in told["status.json"]["components"]} >= {"disk", "records"}
    assert told["problems.json"]["incidents"][0]["code"]
    assert "kopilka_edge_queue_records 1.0" in parts["metrics.txt"]
    events = [json.loads(line)["event"] for line in parts["log.jsonl"].splitlines()]
    assert "link.lost" in events


def test_an_agent_that_is_down_is_told_about_as_well(shop: Path, tmp_path: Path) -> None:
    parts = made(shop, tmp_path / "a.zip")
    assert json.loads(parts["status.json"]) == {"failed": "the agent does not answer"}
    assert json.loads(parts["verify.json"])["sales"] == 0
    check_nobody(shop, parts)


@pytest.mark.parametrize("harm", ["noise", "cut", "gone", "settings", "all"])
def test_whatever_is_broken_the_rest_is_told(shop: Path, tmp_path: Path, harm: str) -> None:
    database = shop / DATABASE_FILE
    plant(shop)
    if harm in {"noise", "all"}:
        damaged = bytearray(database.read_bytes())
        damaged[5_000:] = os.urandom(len(damaged) - 5_000)
        database.write_bytes(damaged)
    if harm == "cut":
        os.truncate(database, 6_000)
    if harm == "gone":
        database.unlink()
    if harm in {"settings", "all"}:
        (shop / "edge.toml").write_text(f"phone = '{PHONE}'\n")
    parts = made(shop, tmp_path / "a.zip")
    check_nobody(shop, parts)
    assert "failed" in json.loads(parts["verify.json"])
    assert json.loads(parts["about.json"])["sqlite"]
    assert parts["log.jsonl"]
    assert database.exists() == (harm != "gone")


def test_no_part_is_larger_than_agreed(shop: Path) -> None:
    parts = {f"p{n}.txt": os.urandom(PART_BYTES_MAX).hex() for n in range(9)}
    assert len(pack(parts, shop)) <= BUNDLE_BYTES_MAX
    listed = opened(pack(parts, shop))
    assert all(len(text) <= PART_BYTES_MAX + 100 for text in listed.values())


def test_a_folder_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["support-bundle", "--folder", str(tmp_path / "no"), str(tmp_path / "a.zip")]) == 1
    assert "no such folder" in capsys.readouterr().err


def test_secrets_are_taken_out_even_of_a_part_that_holds_them(shop: Path) -> None:
    token = (shop / TILL_TOKEN_FILE).read_text().strip()
    parts = collect(shop, Asked(status=None, metrics=f"x {token}\n"), version="1", now_ms=1)
    assert token not in opened(pack(parts, shop))["metrics.txt"]


def test_the_log_is_kept_at_its_end_and_bounded(tmp_path: Path) -> None:
    """Across a change of files nothing of the last lines is missing; old ones go."""
    path, stream = tmp_path / LOG_FILE, io.StringIO()
    tail = LogTail(path, stream)
    lines = [f"{number:07} {'x' * 90}\n" for number in range(12_000)]
    for line in lines:
        tail.write(line)
        tail.flush()
    tail.close()
    kept = tail_of(path, 100_000)
    assert kept == "".join(lines)[-len(kept) :]
    assert len(kept) > 99_000
    sizes = [each.stat().st_size for each in tmp_path.iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= LOG_FILE_BYTES_MAX + 200
    assert stream.getvalue() == "".join(lines)


def test_a_log_that_cannot_be_kept_stops_nobody(tmp_path: Path) -> None:
    stream = io.StringIO()
    tail = LogTail(tmp_path / "gone" / LOG_FILE, stream)
    tail.write("a line\n")
    tail.flush()
    assert stream.getvalue() == "a line\n"
