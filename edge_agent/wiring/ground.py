"""The ground that every room stands on: the folder, its disk and records, time and chance."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.bundles.service import BundleService
from edge_agent.checkout.replay import REPLAYS as SALE_REPLAYS
from edge_agent.clock.trusted import TrustedClock
from edge_agent.config import BUNDLES_FOLDER, DATABASE_FILE, DEVICE_KEY_FILE, Config, read_secret
from edge_agent.database.connection import open_writer
from edge_agent.database.disk import Disk, is_read_only
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.leases.till import lapse_parts
from edge_agent.returns.replay import REPLAYS as RETURN_REPLAYS
from edge_agent.supervisor import Round
from edge_agent.uplink.link import LinkState
from edge_agent.witness.guard import Guard
from edge_agent.witness.scrub import Scrub
from edge_agent.witness.start import Media, open_media
from edge_agent.witness.upkeep import Upkeep
from shared.clock import BootClock
from shared.errors import CorruptionError
from shared.ids import Chance
from shared.status import Status
from shared.wire.enrol import TrustedKey

_REPLAYS: Final = {**SALE_REPLAYS, **RETURN_REPLAYS}
"""What makes the business rows of each kind of fact again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Time and chance, as the root hands them down."""

    clock: BootClock
    chance: Chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What every room stands on: the folder, its disk and records, time and chance."""

    folder: Path
    config: Config
    clock: BootClock
    chance: Chance
    trusted: dict[str, bytes]
    bundles: BundleService
    guard: Guard
    trusted_clock: TrustedClock
    disk: Disk
    writer: Writer
    reader: Reader
    link: LinkState

    def rounds(self) -> list[tuple[str, Round]]:
        """The loops that keep the records well."""
        upkeep = Upkeep(
            writer=self.writer, guard=self.guard, clock=self.trusted_clock, disk=self.disk
        )
        return [
            ("upkeep", upkeep.round),
            ("scrub", Scrub(self.folder / DATABASE_FILE, self.disk).round),
        ]

    def statuses(self) -> list[Status]:
        """How the disk, the records and the clock are."""
        return [self.disk.status(), *self.guard.statuses(), self.trusted_clock.status()]


def lay_ground(folder: Path, config: Config, machine: Machine, disk: Disk) -> Ground:
    """Open the folder's records and everything that lives in this process for them.

    Raises:
        AppError: a file of the folder is missing, damaged or of another release.
    """
    (folder / BUNDLES_FOLDER).mkdir(mode=0o700, exist_ok=True)
    trusted = _trusted_keys(folder / config.trusted_keys_file)
    bundles = BundleService(folder / BUNDLES_FOLDER, trusted)
    opened = open_media(
        _media(folder, config),
        _REPLAYS,
        clock=machine.clock,
        chance=machine.chance,
        lapse=lapse_parts,
    )
    disk.hold_reserve()
    return Ground(
        folder=folder,
        config=config,
        clock=machine.clock,
        chance=machine.chance,
        trusted=trusted,
        bundles=bundles,
        guard=opened.guard,
        trusted_clock=opened.clock,
        disk=disk,
        writer=Writer(folder / DATABASE_FILE, opened.guard, disk),
        reader=Reader(folder / DATABASE_FILE),
        link=LinkState(machine.clock),
    )


def agent_version() -> str:
    """The release of this program."""
    return metadata.version("kopilka")


def _media(folder: Path, config: Config) -> Media:
    return Media(
        database=folder / DATABASE_FILE,
        witness=folder / config.witness_file,
        journal=None if config.journal_folder is None else folder / config.journal_folder,
        edge_id=config.edge_id,
    )


def _trusted_keys(path: Path) -> dict[str, bytes]:
    try:
        keys = msgspec.json.decode(read_secret(path), type=list[TrustedKey])
    except msgspec.DecodeError as error:
        raise CorruptionError(f"{path.name} is damaged", hint="Enrol this agent again.") from error
    return {key.key_id: key.public_key for key in keys}
def device_key(folder: Path) -> bytes:
    """The key that this agent signs with.

    Raises:
        CorruptionError: it is not there, as after central has revoked this agent.
    """
    try:
        return (folder / DEVICE_KEY_FILE).read_bytes()
    except OSError as error:
        raise CorruptionError(
            f"{DEVICE_KEY_FILE} cannot be read", hint="Enrol this agent again."
        ) from error


