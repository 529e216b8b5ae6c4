"""The golden bundles: what is written today is what was written when they were reviewed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shared.bundle.golden import prove_golden
from shared.bundle.layout import FORMAT_BARE, FORMAT_GOLDEN
from shared.bundle.trust import open_bundle
from tests.golden.generate import FOLDER, bundles
from tests.support.bundles import TRUSTED, a_program, receipts

NAMES = sorted(bundles())


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_gives_the_file(name: str) -> None:
    """Byte for byte; if that is meant to change, write them anew and review the diff."""
    assert bundles()[name] == (FOLDER / name).read_bytes()


@pytest.mark.parametrize("seed", ["1", "2"])
def test_another_process_gives_the_same_bytes(tmp_path: Path, seed: str) -> None:
    """The order in which a process keeps its sets and mappings does not reach a bundle."""
    script = FOLDER.parent / "generate.py"
    subprocess.run(
        [sys.executable, script, tmp_path], check=True, env={"PYTHONHASHSEED": seed}, timeout=60
    )

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == bundles()


@pytest.mark.parametrize(
    ("name", "payload_format", "count"),
    [
        ("golden.bundle", FORMAT_GOLDEN, 12),
        ("bare.bundle", FORMAT_BARE, 0),
        ("before.bundle", FORMAT_BARE, 0),
    ],
)
def test_every_format_is_read(name: str, payload_format: int, count: int) -> None:
    """Today's and yesterday's bundles give the same program, and their receipts come out."""
    bundle = open_bundle((FOLDER / name).read_bytes(), TRUSTED, version_floor=42)

    assert bundle.program == bundle.ready.program == a_program()
    assert bundle.header.payload_format == payload_format
    assert [each.receipt for each in bundle.golden] == receipts(count)
    prove_golden(bundle)
