"""Codes of the app, and a shop that has the keys to check them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.config import write_private
from edge_agent.members.keys import KEYS_FILE
from shared.crypto.member_codes import member_code, member_key, period_key, period_of, step_of
from shared.system import SystemClock
from shared.wire.members import CodeKey
from tests.support.shop import MEMBER_KEYS

SECRET: Final = b"c" * 32


def put_code_keys(folder: Path) -> None:
    """The keys of this period and the next, as head office gives them."""
    period = period_of(step_of(SystemClock().now_ms()))
    keys = [CodeKey(period=each, key=period_key(SECRET, each)) for each in (period, period + 1)]
    kept = msgspec.structs.replace(MEMBER_KEYS, code_keys=keys)
    write_private(folder / KEYS_FILE, base64.b64encode(msgspec.msgpack.encode(kept)))


def shown_code(customer_id: str) -> str:
    """What this member's telephone shows now."""
    step = step_of(SystemClock().now_ms())
    key = member_key(period_key(SECRET, period_of(step)), customer_id)
    return member_code(key, customer_id, step)
