"""The engine in machine code answers exactly as its source does."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.reference.generate import a_programme, a_receipt

ROOT: Final = Path(__file__).parents[2]
MECHANICS: Final = ROOT / "tests" / "cases" / "engine" / "mechanics.jsonl"
COMPILED: Final = ROOT / "build" / "compiled"
RANDOM_PAIRS: Final = 400
ENGINE_FILES: Final = """
import importlib, json, pkgutil, shared.engine
names = [each.name for each in pkgutil.iter_modules(shared.engine.__path__)]
print(json.dumps({n: importlib.import_module(f"shared.engine.{n}").__file__ for n in names}))
"""


def environment(*, compiled: bool) -> dict[str, str]:
    paths = [COMPILED, ROOT] if compiled else [ROOT]
    # Nothing is imported from the folder in which a process is started.
    return os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONSAFEPATH": "1"}


@pytest.fixture(scope="module")
def compiled() -> None:
    """build/compiled of the sources as they are; made anew only when they changed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "setup.py", "--quiet", "compiled"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"the engine could not be compiled:\n{done.stderr}", pytrace=False)


def engine_files(*, compiled: bool) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", ENGINE_FILES],
        env=environment(compiled=compiled),
        capture_output=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def answers(cases: bytes, *, compiled: bool) -> list[bytes]:
    """What ``kopilka-rules price`` says of each case, with trace and hints."""
    done = subprocess.run(
        [sys.executable, "-m", "rules_compiler", "price", "--trace", "--hints"],
        env=environment(compiled=compiled),
        input=cases,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.splitlines()


def a_pair(seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    wide = seed % 2 == 1
    programme = a_programme(rng, wide=wide)
    return {
        "seed": seed,
        "programme": programme,
        "receipt": a_receipt(rng, programme, wide=wide),
    }


def differing(lines: list[bytes]) -> list[bytes]:
    """The cases whose answers differ between the two engines; both price nearly all."""
    cases = b"\n".join(lines) + b"\n"
    plain, fast = answers(cases, compiled=False), answers(cases, compiled=True)
    assert len(plain) == len(fast) == len(lines)
    refused = [answer for answer in plain if answer.startswith(b'{"error"')]
    assert not refused, refused[:3]
    return [line for line, a, b in zip(lines, plain, fast, strict=True) if a != b]


@pytest.mark.usefixtures("compiled")
def test_the_compiled_copy_runs_machine_code() -> None:
    """All of the engine but the Structs of the program is machine code; the sources are not."""
    fast = engine_files(compiled=True)
    plain = engine_files(compiled=False)

    assert {name for name, path in fast.items() if not path.endswith(".so")} == {"program"}
    assert all(path.startswith(str(COMPILED)) for path in fast.values())
    assert all(path == str(ROOT / "shared" / "engine" / f"{n}.py") for n, path in plain.items())


@pytest.mark.usefixtures("compiled")
def test_compiled_mechanics_are_equal() -> None:
    """Every worked case has the same answer, byte for byte, with trace and hints."""
    assert differing(MECHANICS.read_bytes().splitlines()) == []


@pytest.mark.usefixtures("compiled")
def test_compiled_answers_are_equal() -> None:
    """Random programmes whose promotions get in each other's way have the same answers."""
    first = random.randrange(10**6)
    print(f"seeds {first} to {first + RANDOM_PAIRS - 1}")

    pairs = [a_pair(seed) for seed in range(first, first + RANDOM_PAIRS)]

    assert differing([json.dumps(pair, ensure_ascii=False).encode() for pair in pairs]) == []
