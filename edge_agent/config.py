"""The agent's configuration: one strict structure, read from ``edge.toml`` in its folder."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import msgspec

from edge_agent.serial_settings import SerialSettings
from shared.errors import InputError, NotFoundError, UnavailableError

CONFIG_FILE: Final = "edge.toml"
DATABASE_FILE: Final = "edge.sqlite"
DEVICE_KEY_FILE: Final = "device.key"
TILL_TOKEN_FILE: Final = "till.token"  # noqa: S105 - the name of the file, not what is in it
CREDENTIAL_FILE: Final = "credential"
TRUSTED_KEYS_FILE: Final = "trusted_keys.json"
CENTRAL_KEY_FILE: Final = "central.key"
"""Head office's public key for files carried by hand; also in the database, which may be lost."""
WITNESS_FILE: Final = "witness"
BUNDLES_FOLDER: Final = "bundles"
CENTRAL_URL_PATTERN: Final = r"^https?://[^/\s]+/?$"

LAN_LISTEN_PATTERN: Final = r"^[^/\s]+:\d{1,5}$"

_Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class ReturnSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given for goods without a receipt (docs/refunds.md); nothing, until a limit is set.

    ``limit``: the most that one return gives. ``right``: what a cashier must be allowed. ``price``:
    what a card's holder pays now (``card``), or the ``lowest`` of that and of ``lowest_days`` here.
    """

    limit: Annotated[str, msgspec.Meta(pattern=r"^\d{1,10}\.\d{2}$")] = "0.00"
    right: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = "return_without_receipt"
    price: Literal["card", "lowest"] = "lowest"
    lowest_days: Annotated[int, msgspec.Meta(ge=1, le=45)] = 30

    @property
    def limit_minor(self) -> int:
        """The limit in minor units."""
        return int(self.limit.replace(".", ""))


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that is set; paths are relative to the folder unless absolute, spans in seconds.

    ``listen_port`` 0 lets the system choose. ``ca_file``: who signs central's certificate; without
    it the machine's own authorities are asked. ``trusted_keys_file``: who may sign bundles.
    ``lan_listen``: HOST:PORT where this hub's tills reach it; ``hub_url``: this agent is a till of
    the hub there; ``find_hub``: of the one that announces itself, as hubs do with ``announce_hub``.
    An agent is a hub, a till, or neither. ``common_token`` False: only tokens that
    `kopilka-edge till` made sell; till.token is then for reports and the page.
    ``serial``: docs/serial.md.
    ``returns``: what is given without a receipt. ``spare_folder``: where sales go while the disk
    is read-only, on another medium.
    """

    central_url: Annotated[str, msgspec.Meta(pattern=CENTRAL_URL_PATTERN)]
    edge_id: Annotated[int, msgspec.Meta(gt=0)]
    store_id: Annotated[str, msgspec.Meta(min_length=1)]
    ca_file: str | None = None
    listen_host: str = "127.0.0.1"
    listen_port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 8470
    credential_file: str = CREDENTIAL_FILE
    trusted_keys_file: str = TRUSTED_KEYS_FILE
    witness_file: str = WITNESS_FILE
    journal_folder: str | None = None
    spare_folder: str | None = None
    hello_interval_s: _Seconds = 30.0
    flush_interval_s: _Seconds = 15.0
    feed_wait_s: Annotated[float, msgspec.Meta(ge=0, le=55)] = 25.0
    backoff_min_s: _Seconds = 1.0
    backoff_max_s: _Seconds = 300.0
    reconnect_window_s: _Seconds = 300.0
    lan_listen: Annotated[str, msgspec.Meta(pattern=LAN_LISTEN_PATTERN)] | None = None
    hub_url: Annotated[str, msgspec.Meta(pattern=CENTRAL_URL_PATTERN)] | None = None
    find_hub: bool = False
    announce_hub: bool = True
    common_token: bool = True
    serial: SerialSettings = SerialSettings()
    returns: ReturnSettings = ReturnSettings()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read and check ``edge.toml``.

        Raises:
            NotFoundError: there is none.
            InputError: it is not TOML, or a key is unknown, missing or out of bounds.
        """
        path = folder / CONFIG_FILE
        try:
            raw = tomllib.loads(path.read_text("utf-8"))
            config = msgspec.convert(raw, cls)
        except FileNotFoundError as error:
            raise NotFoundError(
                f"there is no {CONFIG_FILE} in this folder", hint="Run `kopilka-edge enrol` first."
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
            raise InputError(f"{CONFIG_FILE}: {error}", code="bad_config") from error
        if config.backoff_max_s < config.backoff_min_s:
            raise InputError(
                f"{CONFIG_FILE}: backoff_max_s is below backoff_min_s", code="bad_config"
            )
        if config.lan_listen is not None and config.is_till:
            raise InputError(
                f"{CONFIG_FILE}: an agent with hub_url or find_hub has no lan_listen",
                code="bad_config",
            )
        config.serial.check()
        return config

    @property
    def is_till(self) -> bool:
        """Whether this agent is a till of some hub."""
        return self.hub_url is not None or self.find_hub

    def to_toml(self) -> str:
        """The text that ``load`` reads back as the same configuration."""
        values = msgspec.to_builtins(self)
        if self.serial == SerialSettings():
            del values["serial"]
        if self.returns == ReturnSettings():
            del values["returns"]
        return "".join(
            f"{key} = {_toml(value)}\n" for key, value in values.items() if value is not None
        )


def _toml(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        pairs = [f"{key} = {_toml(each)}" for key, each in value.items() if each is not None]
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    # A JSON string or number is a TOML one too.
    return json.dumps(value, ensure_ascii=False)


def write_private(path: Path, data: bytes) -> None:
    """Put a file that only this user reads in place, whole or not at all.

    Raises:
        UnavailableError: the disk refused.
    """
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise UnavailableError(f"{path.name} could not be written: {error.strerror}") from error


def read_secret(path: Path) -> str:
    """The one line in a file of this folder.

    Raises:
        NotFoundError: there is no such file, or nothing in it.
    """
    try:
        text = path.read_text("utf-8").strip()
    except OSError as error:
        raise NotFoundError(
            f"{path.name} cannot be read", hint="Enrol this agent again."
        ) from error
    if not text:
        raise NotFoundError(f"{path.name} is empty", hint="Enrol this agent again.")
    return text
