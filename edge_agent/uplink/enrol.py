"""Make this folder an agent: a device key, a one-time token, and what central answers.

``edge.toml`` is written last, so a folder that has one is a whole agent. A device key that is
already there is used again, since the first try may have been cut.

A folder may be enrolled again, when central has given its place to another copy or has revoked it:
it becomes a new agent with a key of its own, and sends the records it has as those of the old one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.clock.policy import Floor
from edge_agent.clock.store import keep_floor
from edge_agent.config import (
    CENTRAL_KEY_FILE,
    CENTRAL_URL_PATTERN,
    CONFIG_FILE,
    CREDENTIAL_FILE,
    DATABASE_FILE,
    DEVICE_KEY_FILE,
    TILL_TOKEN_FILE,
    TRUSTED_KEYS_FILE,
    Config,
    write_private,
)
from edge_agent.database.connection import open_writer
from edge_agent.limits import store as limits
from edge_agent.outbox.store import begin_epoch, name_owner
from edge_agent.uplink.carried import put_central_key
from edge_agent.uplink.transport import Transport
from shared.crypto.signing import Signer
from shared.errors import ConflictError, InputError
from shared.ids import Chance
from shared.wire.enrol import ENROL_SIGNATURE_KIND, EdgeKind, EnrolReply, EnrolRequest

CA_FILE: Final = "ca.pem"
_DEVICE_KEY_BYTES: Final = 32
_TILL_TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolOrder:
    """What the operator says; ``ca_file``: who signed central's certificate."""

    folder: Path
    central_url: str
    token: str
    kind: EdgeKind
    listen_host: str
    listen_port: int
    ca_file: Path | None
    agent_version: str
    again: bool = False
    """The folder is an agent already; it keeps its settings and its records."""


async def enrol(order: EnrolOrder, chance: Chance) -> Config:
    """Enrol at central and write the whole folder.

    Raises:
        ConflictError: this folder is an agent already, or with ``again`` is not.
        InputError: an argument is wrong, or central refused the token.
        UnavailableError: central cannot be reached or trusted, or the disk refused.
    """
    folder = order.folder
    if re.match(CENTRAL_URL_PATTERN, order.central_url) is None:
        raise InputError("--central is https://HOST:PORT", code="bad_argument")
    before = _config_before(order)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority = None if order.ca_file is None else order.ca_file.read_bytes()
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}", code="bad_argument") from error
    signer = _device_key(folder, chance, new=order.again)
    reply = await _ask(order, signer)
    config = _config_of(order, reply, before)
    if authority is not None:
        write_private(folder / CA_FILE, authority)
    write_private(folder / CREDENTIAL_FILE, reply.credential.encode())
    write_private(folder / TRUSTED_KEYS_FILE, msgspec.json.encode(reply.trusted_keys))
    if before is None or not (folder / TILL_TOKEN_FILE).exists():
        secret = chance.token_bytes(_TILL_TOKEN_BYTES).hex()
        write_private(folder / TILL_TOKEN_FILE, secret.encode())
    write_private(folder / CENTRAL_KEY_FILE, reply.file_key)
    connection = open_writer(folder / DATABASE_FILE)
    try:
        with connection:
            if before is not None:
                name_owner(connection, before.edge_id)
                limits.name_owner(connection, before.edge_id)
            begin_epoch(connection, reply.edge_id, reply.lanes)
            put_central_key(connection, reply.file_key)
            # Trusted time begins with central's word; the machine's clock proves nothing.
            keep_floor(connection, Floor(floor_ms=reply.server_time_ms, boot_id="", boot_ns=0))
    finally:
        connection.close()
    write_private(folder / CONFIG_FILE, config.to_toml().encode())
    return config


def _config_before(order: EnrolOrder) -> Config | None:
    enrolled = (order.folder / CONFIG_FILE).exists()
    if enrolled and not order.again:
        raise ConflictError(
            "this folder is enrolled already",
            hint="Choose an empty folder, or say --again for a new place of this agent.",
        )
    if not enrolled and order.again:
        raise ConflictError("this folder is no agent yet", hint="Leave out --again.")
    return Config.load(order.folder) if enrolled else None


def _device_key(folder: Path, chance: Chance, *, new: bool) -> Signer:
    path = folder / DEVICE_KEY_FILE
    # A copy of this folder has the old key, so a new place needs a new one.
    if new or not path.exists():
        write_private(path, chance.token_bytes(_DEVICE_KEY_BYTES))
    return Signer(path.read_bytes())


def _config_of(order: EnrolOrder, reply: EnrolReply, before: Config | None) -> Config:
    ca_file = None if order.ca_file is None else CA_FILE
    if before is not None:
        return msgspec.structs.replace(
            before,
            central_url=order.central_url,
            edge_id=reply.edge_id,
            store_id=reply.store_id,
            ca_file=ca_file or before.ca_file,
        )
    return Config(
        central_url=order.central_url,
        edge_id=reply.edge_id,
        store_id=reply.store_id,
        ca_file=ca_file,
        listen_host=order.listen_host,
        listen_port=order.listen_port,
        find_hub=order.kind is EdgeKind.TILL,
    )


async def _ask(order: EnrolOrder, signer: Signer) -> EnrolReply:
    ca_file = order.ca_file
    if ca_file is None and order.again and (order.folder / CA_FILE).exists():
        ca_file = order.folder / CA_FILE
    transport = Transport(order.central_url, ca_file=ca_file)
    await transport.open()
    try:
        return await transport.enrol(
            EnrolRequest(
                token=order.token,
                kind=order.kind,
                device_public_key=signer.public_key,
                signature=signer.sign(ENROL_SIGNATURE_KIND, order.token.encode()),
                agent_version=order.agent_version,
            )
        )
    finally:
        await transport.close()
