"""The ground that every room stands on: the folder, its disk and records, time and chance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.bundles.service import BundleService
from edge_agent.checkout.replay import REPLAYS as SALE_REPLAYS
from edge_agent.checkout.store import forget_receipts
from edge_agent.clock.shop import ShopClock
from edge_agent.clock.store import kept_floor
from edge_agent.clock.trusted import TrustedClock
from edge_agent.config import BUNDLES_FOLDER, DATABASE_FILE, DEVICE_KEY_FILE, Config, read_secret
from edge_agent.database.connection import open_writer
from edge_agent.database.disk import Disk, is_for_want_of_room, is_read_only
from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.leases.till import lapse_parts
from edge_agent.members.replay import REPLAYS as MEMBER_REPLAYS
from edge_agent.returns.replay import REPLAYS as RETURN_REPLAYS
from edge_agent.returns.store import forget_returns
from edge_agent.supervisor import Round
from edge_agent.uplink.link import LinkState
from edge_agent.witness.guard import Guard
from edge_agent.witness.scrub import Scrub
from edge_agent.witness.spare import Spare, SpareGuard, take_in
from edge_agent.witness.start import RECOVERY_ID_BYTES, Media, Opened, open_media
from edge_agent.witness.upkeep import Upkeep, look_again
from edge_agent.witness.working_copy import make_working_copy, places
from shared.clock import BootClock, Clock
from shared.errors import CorruptionError, UnavailableError
from shared.ids import Chance
from shared.status import Health, Status
from shared.unreadable import UNREADABLE
from shared.wire.enrol import TrustedKey

_REPLAYS: Final = {**SALE_REPLAYS, **RETURN_REPLAYS, **MEMBER_REPLAYS}
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
    guard: Guard | SpareGuard
    database: Path
    trusted_clock: TrustedClock
    disk: Disk
    writer: Writer
    reader: Reader
    link: LinkState
    spare_error: str = ""

    def rounds(self) -> list[tuple[str, Round]]:
        """The loops that keep the records well; of a read-only disk, that look at it again."""
        if isinstance(self.guard, SpareGuard):
            return [("upkeep", partial(look_again, self.disk))]
        upkeep = Upkeep(
            writer=self.writer,
            guard=self.guard,
            clock=self.trusted_clock,
            disk=self.disk,
            forgets=(forget_receipts, forget_returns),
        )
        return [
            ("upkeep", upkeep.round),
            ("scrub", Scrub(self.database, self.disk).round),
        ]

    def statuses(self) -> list[Status]:
        """How the disk, the records and the clock are."""
        found = [self.disk.status(), *self.guard.statuses(), self.trusted_clock.status()]
        if self.spare_error:
            found.append(Status(component="spare", health=Health.ERROR, message=self.spare_error))
        return found

    @property
    def shop_clock(self) -> Clock:
        """By which records are dated, and what a till does not date itself."""
        return ShopClock(self.clock, self.trusted_clock)

    @property
    def keeps_still(self) -> bool:
        """Whether the disk was read-only at the start: then nobody is talked to about records."""
        return isinstance(self.guard, SpareGuard)


def lay_ground(folder: Path, config: Config, machine: Machine, disk: Disk) -> Ground:
    """Open the folder's records and everything that lives in this process for them.

    Raises:
        AppError: a file of the folder is missing, damaged or of another release.
    """
    (folder / BUNDLES_FOLDER).mkdir(mode=0o700, exist_ok=True)
    trusted = _trusted_keys(folder / config.trusted_keys_file)
    bundles = BundleService(folder / BUNDLES_FOLDER, trusted)
    if is_read_only(folder):
        return _on_read_only_disk(folder, config, machine, disk, trusted, bundles)
    opened = _open(folder, config, machine, disk)
    spare_error = _take_in(folder, config)
    disk.hold_reserve()
    return Ground(
        folder=folder,
        config=config,
        clock=machine.clock,
        chance=machine.chance,
        trusted=trusted,
        bundles=bundles,
        guard=opened.guard,
        database=folder / DATABASE_FILE,
        trusted_clock=opened.clock,
        disk=disk,
        writer=Writer(folder / DATABASE_FILE, opened.guard, disk),
        reader=Reader(folder / DATABASE_FILE, disk),
        link=LinkState(machine.clock),
        spare_error=spare_error,
    )


def _open(folder: Path, config: Config, machine: Machine, disk: Disk) -> Opened:
    """Open the media; on a full disk in the room of the reserve, for without it nobody sells."""

    def attempt() -> Opened:
        return open_media(
            _media(folder, config),
            _REPLAYS,
            clock=machine.clock,
            chance=machine.chance,
            lapse=lapse_parts,
        )

    disk.make_room_to_start()
    try:
        return attempt()
    except UnavailableError as error:
        # A quota, or another disk's want of room, is not told beforehand.
        if not is_for_want_of_room(error) or not disk.give_up_reserve():
            raise
    return attempt()


def _take_in(folder: Path, config: Config) -> str:
    """Take in what was sold while the disk was read-only; what is wrong with the spare medium."""
    if config.spare_folder is None:
        return ""
    try:
        spare = Spare(folder / config.spare_folder, config.edge_id)
        take_in(folder / DATABASE_FILE, spare, _REPLAYS)
        if spare.folder.stat().st_dev == folder.stat().st_dev:
            return "it is on the disk of the database: it would be read-only with it"
    except UnavailableError as error:
        return error.message
    return ""


def _on_read_only_disk(
    folder: Path,
    config: Config,
    machine: Machine,
    disk: Disk,
    trusted: dict[str, bytes],
    bundles: BundleService,
) -> Ground:
    """Prices go on from a copy; sales go to the spare medium, or are refused where there is none.

    The agent stands alone meanwhile: no hub, no tills, no rights.
    """
    spare: Spare | None = None
    spare_error = ""
    if config.spare_folder is not None:
        try:
            spare = Spare(folder / config.spare_folder, config.edge_id)
        except UnavailableError as error:
            spare_error = error.message
    database = make_working_copy(
        folder / DATABASE_FILE,
        places(None if spare is None else spare.folder),
        edge_id=config.edge_id,
        recovery_id=machine.chance.token_bytes(RECOVERY_ID_BYTES),
        now_ms=machine.clock.now_ms(),
    )
    guard = SpareGuard(spare)
    connection = open_writer(database)
    try:
        guard.opened(connection, _REPLAYS)
        trusted_clock = TrustedClock(machine.clock, kept_floor(connection), None)
    finally:
        connection.close()
    disk.found_read_only(sales_go_elsewhere=spare is not None)
    return Ground(
        folder=folder,
        config=msgspec.structs.replace(config, lan_listen=None, hub_url=None, find_hub=False),
        clock=machine.clock,
        chance=machine.chance,
        trusted=trusted,
        bundles=bundles,
        guard=guard,
        database=database,
        trusted_clock=trusted_clock,
        disk=disk,
        writer=Writer(database, guard, disk),
        reader=Reader(database, disk),
        link=LinkState(machine.clock),
        spare_error=spare_error,
    )


def agent_version() -> str:
    """The release of this program."""
    return metadata.version("kopilka")


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
    except UNREADABLE as error:
        raise CorruptionError(f"{path.name} is damaged", hint="Enrol this agent again.") from error
    return {key.key_id: key.public_key for key in keys}
