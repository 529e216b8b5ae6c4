"""Whatever is sent to the till API, in its form or out of it, is answered as it is described."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.support.agent_process import an_agent
from tests.support.examples import NIGHTLY
from tests.support.shop import TOKEN, a_bundle, make_shop

EXAMPLES = max(10, NIGHTLY // 10)
TIMEOUT_S = 90 + EXAMPLES
LEFT_OUT = "positive_data_acceptance,unsupported_method,allow_header_conformance"
"""The form of a body is looser than its meaning (days that do not exist, sums beyond bounds), and
GET /v1/receipts/{id} answers for the id ``calculate`` too."""

SETTINGS = """
[[operations]]
include-path-regex = "^/v1/(gift-cards|customers|sales|returns)/"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 503]
"""
"""Only head office knows gift cards, phones and other shops' sales, and there is none here: that
is said with 503."""


@pytest.mark.processes
async def test_any_request_is_answered_as_described(tmp_path: Path) -> None:
    """No server error, no undescribed status, type or body, no token not asked for."""
    seed = os.environ.get("KOPILKA_SEED") or str(int.from_bytes(os.urandom(4), "big"))
    print(f"KOPILKA_SEED={seed}")
    make_shop(tmp_path / "shop", bundle=a_bundle(1))
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    async with an_agent(tmp_path / "shop") as (_, url):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
            *("-H", f"Authorization: Bearer {TOKEN}", "--seed", seed, "--no-color"),
            *("--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing"),
            *("--exclude-checks", LEFT_OUT),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(TIMEOUT_S):
            told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()
