"""``kopilka-edge till``: give tills tokens, list them, take them back. The agent need not stop."""

from __future__ import annotations

import argparse
import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.commands import Commands
from edge_agent.config import Config
from edge_agent.tills.policy import (
    TILLS_MAX,
    TOKEN_BYTES,
    TOKEN_PREFIX,
    Right,
    Till,
    is_name,
    token_hash,
)
from edge_agent.tills.service import COMMON
from edge_agent.tills.store import change_tills, read_tills
from shared.clock import Clock
from shared.errors import ConflictError, InputError, NotFoundError
from shared.ids import Chance

TILL_COMMAND: Final = "till"


def add_till_command(commands: Commands) -> None:
    """Add the command with its three verbs."""
    command = commands.add_parser(TILL_COMMAND, help="give tills tokens of their own")
    verbs = command.add_subparsers(dest="verb", required=True)
    for verb, purpose in (
        ("add", "make a token and print it, this once"),
        ("list", "who has a token, and for what"),
        ("revoke", "take a till's token back; it is good for a second more at the most"),
    ):
        each = verbs.add_parser(verb, help=purpose)
        each.add_argument("--folder", type=Path, required=True, help="the agent's folder")
        if verb != "list":
            each.add_argument("name", help="of the till: letters, digits, . _ -")
        if verb == "add":
            each.add_argument(
                "--may",
                action="append",
                choices=[right.value for right in Right],
                help="only this; again for more; without it, everything",
            )


def run(options: argparse.Namespace, clock: Clock, chance: Chance) -> list[str]:
    """Do what was asked; what to print of it.

    Raises:
        AppError: the folder is no agent's, or the name does not do.
    """
    Config.load(options.folder)
    if options.verb == "list":
        return [_line(till) for till in read_tills(options.folder)]
    if options.verb == "revoke":
        change_tills(options.folder, lambda tills: _revoked(tills, options.name, clock.now_ms()))
        return [f"{options.name}: its token is nobody's now"]
    return [_add(options, clock.now_ms(), chance)]


def _add(options: argparse.Namespace, now_ms: int, chance: Chance) -> str:
    token = TOKEN_PREFIX + base64.b32encode(chance.token_bytes(TOKEN_BYTES)).decode().lower()
    may = tuple(Right) if options.may is None else tuple(Right(each) for each in options.may)
    made = Till(name=options.name, token_sha256=token_hash(token), may=may, made_at_ms=now_ms)
    change_tills(options.folder, lambda tills: _added(tills, made))
    return token


def _added(tills: tuple[Till, ...], made: Till) -> tuple[Till, ...]:
    if not is_name(made.name) or made.name == COMMON:
        raise InputError("a till is named with letters, digits and . _ -", code="bad_argument")
    if any(till.name == made.name and till.revoked_at_ms is None for till in tills):
        raise ConflictError(
            f"{made.name} has a token", hint="Revoke it first; then it may have another."
        )
    others = tuple(till for till in tills if till.name != made.name)
    if len(others) >= TILLS_MAX:
        raise ConflictError(f"there are {TILLS_MAX} names already", code="too_many_tills")
    return (*others, made)


def _revoked(tills: tuple[Till, ...], name: str, now_ms: int) -> tuple[Till, ...]:
    if not any(till.name == name and till.revoked_at_ms is None for till in tills):
        raise NotFoundError(f"no till {name} has a token")
    return tuple(
        msgspec.structs.replace(till, revoked_at_ms=now_ms) if till.name == name else till
        for till in tills
    )


def _line(till: Till) -> str:
    may = "everything" if set(till.may) == set(Right) else ", ".join(till.may)
    ended = "" if till.revoked_at_ms is None else f"; revoked {_day(till.revoked_at_ms)}"
    return f"{till.name}: {may}; since {_day(till.made_at_ms)}{ended}"


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).isoformat(sep=" ", timespec="minutes")[:-6]
