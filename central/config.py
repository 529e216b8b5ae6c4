"""central.toml and the files beside it."""

from __future__ import annotations

import base64
import binascii
import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import msgspec

from central.processes import PROCESSES_MAX
from shared.errors import CorruptionError, InputError, NotFoundError
from shared.ids import Chance
from shared.unreadable import UNREADABLE

CONFIG_FILE: Final = "central.toml"
SIGNING_KEY_FILE: Final = "bundle-signing.key"
CA_FILE: Final = "uplink-ca.pem"
CA_KEY_FILE: Final = "uplink-ca.key"
SERVER_CERTIFICATE_FILE: Final = "uplink-server.pem"
SERVER_KEY_FILE: Final = "uplink-server.key"
GIFT_CARDS_KEY_FILE: Final = "gift-cards.key"
MEMBERS_KEY_FILE: Final = "members.key"
KEY_BYTES: Final = 32


class CentralConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this central runs. Port 0 takes any free one; ``embedded``: run PostgreSQL ourselves.

    ``processes``: of the agents' port; with more than one, pages and timers are one more.
    """

    database_url: str
    embedded: bool = False
    web_host: str = "127.0.0.1"
    web_port: int = 8080
    uplink_host: str = "127.0.0.1"
    uplink_port: int = 8443
    uplink_insecure: bool = False
    processes: Annotated[int, msgspec.Meta(ge=1, le=PROCESSES_MAX)] = 1


def load_config(folder: Path) -> CentralConfig:
    """The configuration of a folder.

    Raises:
        NotFoundError: the folder was not set up.
        InputError: the file is not what it should be.
    """
    path = folder / CONFIG_FILE
    try:
        return msgspec.toml.decode(path.read_bytes(), type=CentralConfig)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"{path} does not exist", hint="Run `kopilka-central init` first."
        ) from error
    except UNREADABLE as error:
        raise InputError(f"{path}: {error}") from error


def config_text(config: CentralConfig) -> str:
    """The configuration as TOML."""
    lines: list[str] = []
    for key, value in msgspec.structs.asdict(config).items():
        text = f'"{value}"' if isinstance(value, str) else str(value).lower()
        lines.append(f"{key} = {text}")
    return "\n".join(lines) + "\n"


def gift_cards_key(folder: Path, chance: Chance) -> bytes:
    """The key of the gift cards' tags and PINs, which is in no database; made at first use.

    Raises:
        CorruptionError: the file is no key.
    """
    return _kept_key(folder / GIFT_CARDS_KEY_FILE, chance)


def members_key(folder: Path, chance: Chance) -> bytes:
    """The secret behind members' phones and codes, which is in no database; made at first use.

    Raises:
        CorruptionError: the file is no key.
    """
    return _kept_key(folder / MEMBERS_KEY_FILE, chance)


def _kept_key(path: Path, chance: Chance) -> bytes:
    if not path.exists():
        # Several processes may come at once: the first to give it its name has made it.
        made = path.with_suffix(f".{chance.token_bytes(8).hex()}")
        write_private(made, base64.b64encode(chance.token_bytes(KEY_BYTES)))
        with suppress(FileExistsError):
            os.link(made, path)
        made.unlink()
    try:
        key = base64.b64decode(path.read_bytes(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise CorruptionError(
            f"{path} is damaged", hint="Put the file back from the copy of the folder."
        )
    return key


def write_private(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can read, durably."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
