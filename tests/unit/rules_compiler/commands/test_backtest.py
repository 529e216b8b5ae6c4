"""``backtest``: sums over many receipts are the sums of their answers."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.rules_compiler.commands.samples import COMMAND, DOCUMENT, RECEIPT, ROOT, Run, Write


def sales(count: int) -> list[dict[str, Any]]:
    """Receipts of three customers and of nobody."""
    return [
        RECEIPT
        | {
            "receipt_id": f"r-{number}",
            "customer": {"id": f"c-{number % 4}"} if number % 4 else None,
        }
        for number in range(count)
    ]


def figures(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return told


def by_promotion(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["promotion"]: each for each in told["promotions"]}


@pytest.mark.parametrize("jobs", [1, 2])
def test_cost_and_reach_add_up(
    run: Run, document: Path, write: Write, tmp_path: Path, jobs: int
) -> None:
    """Over two files, one of them packed, in one process or in two."""
    packed = tmp_path / "more.jsonl.gz"
    packed.write_bytes(gzip.compress("\n".join(map(json.dumps, sales(600))).encode()))
    plain = write("some.jsonl", sales(200))

    said = run("backtest", document, plain, packed, "--json", tmp_path / "out", "--jobs", jobs)

    told = figures(tmp_path / "out")
    each = by_promotion(told)
    assert said.code == 0, said.err
    assert (told["receipts"], told["customers"], told["anonymous_receipts"]) == (800, 3, 200)
    assert (told["discount"], told["to_pay"]) == ("16000.00", "184000.00")
    assert told["complete"] is True
    assert (each["tenth"]["receipts"], each["tenth"]["customers"]) == (800, 3)
    assert (each["tenth"]["discount"], each["tenth"]["qty"]) == ("8000.00", "1600")
    assert each["base"]["points_earned"] == "1380.00"
    assert each["lost"]["receipts"] == 0
    assert "receipts per second" in said.out
    assert "1 promotions did nothing" in said.out


def test_floors_and_conflicts_are_counted(
    run: Run, document: Path, write: Write, tmp_path: Path
) -> None:
    """Lines sold at their floor, and who lost goods to whom in the receipts asked why."""
    run(
        *("backtest", document, write("some.jsonl", sales(20))),
        *("--trace-every", 2, "--json", tmp_path / "out"),
    )

    told = figures(tmp_path / "out")
    assert told["lines_at_floor"] == 20
    assert by_promotion(told)["tenth"]["lines_at_floor"] == 20
    assert told["traced_receipts"] == 10
    assert told["conflicts"] == [
        {"lost": "lost", "reason": "used_by_another", "won": "won", "receipts": 10}
    ]


def test_receipts_that_are_refused_are_told_and_the_others_count(
    run: Run, document: Path, write: Write, tmp_path: Path
) -> None:
    """File and line of each; exit code 1; a blank line is nothing."""
    good = json.dumps(RECEIPT)
    path = write("some.jsonl", f'{good}\n\n{{"store": 1}}\n[\n{good}\n')

    said = run("backtest", document, path, "--json", tmp_path / "out")

    told = figures(tmp_path / "out")
    assert (said.code, told["receipts"], told["refused"]) == (1, 2, 2)
    assert f"{path}:3: /" in said.err
    assert f"{path}:4: /" in said.err


def test_files_that_cannot_be_read_are_told_kindly(
    run: Run, document: Path, write: Write, tmp_path: Path
) -> None:
    """Missing: exit code 2. Damaged: exit code 1. Neither shows a stack trace."""
    missing = run("backtest", document, tmp_path / "none.jsonl")
    damaged = run("backtest", document, write("some.jsonl.gz", gzip.compress(b"{}\n" * 99)[:-9]))
    no_gzip = run("backtest", document, write("more.jsonl.gz", b"plain"))

    assert (missing.code, damaged.code, no_gzip.code) == (2, 1, 1)
    assert "Traceback" not in missing.err + damaged.err + no_gzip.err


def test_wrong_numbers_are_wrong_usage(run: Run, document: Path, receipt: Path) -> None:
    """--jobs 0 and --jobs x are refused before anything is read."""
    assert run("backtest", document, receipt, "--jobs", "0").code == 2
    assert run("backtest", document, receipt, "--jobs", "x").code == 2


def test_all_shows_those_that_did_nothing(run: Run, document: Path, receipt: Path) -> None:
    """``--all`` names every promotion."""
    said = run("backtest", document, receipt, "--all")

    assert all(each["id"] in said.out for each in DOCUMENT["promotions"])


def test_control_c_shows_the_table_so_far(document: Path, tmp_path: Path) -> None:
    """The figures of what was done, marked as incomplete; no stack trace."""
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)

    with (
        subprocess.Popen(
            [*COMMAND, "backtest", document, pipe, "--json", tmp_path / "out"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        ) as process,
        pipe.open("wb") as sink,
    ):
        # More than pipe and buffers hold: when all is written, some of it was counted.
        sink.write("".join(json.dumps(each) + "\n" for each in sales(3_000)).encode())
        sink.flush()
        process.send_signal(signal.SIGINT)
        said, complaints = process.communicate(timeout=60)

    assert (process.returncode, complaints) == (130, b"")
    assert b"Interrupted: this is the table so far." in said
    told = figures(tmp_path / "out")
    assert told["complete"] is False
    assert 0 < told["receipts"] < 3_000
