"""Start on an image as the agent does, and compare what is there with what tills were told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import apsw

from edge_agent.bundles.service import BundleService
from edge_agent.catalogue.store import products_of
from edge_agent.checkout.replay import REPLAYS as SALE_REPLAYS
from edge_agent.checkout.store import is_cancelled, recorded_sale
from edge_agent.config import BUNDLES_FOLDER
from edge_agent.database.connection import is_sound, open_reader
from edge_agent.database.migrate import SCHEMA_VERSION, copies_of, pragma_int
from edge_agent.outbox.store import verify_chain
from edge_agent.returns.replay import REPLAYS as RETURN_REPLAYS
from edge_agent.uplink.feed_state import feed_cursor
from edge_agent.witness.policy import Action
from edge_agent.witness.start import Opened, open_media
from shared.system import SystemChance, SystemClock
from shared.wire.answer_json import answer_to_json
from shared.wire.stream import Lane
from tests.power_loss.scripts import GOODS, OLD_SALES, SHOP, Disks, media_of
from tests.support.shop import SIGNER

_REPLAYS: Final = {**SALE_REPLAYS, **RETURN_REPLAYS}


@dataclass(kw_only=True)
class Told:
    """What tills were told up to a moment, and what was begun by then."""

    sales: dict[str, tuple[str, Any]] = field(default_factory=dict)
    selling: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)
    cancelling: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    checkpoint: tuple[int, int] = (0, 0)
    """Told, begun."""
    bundle: tuple[int, int] = (1, 1)

    def hear(self, mark: Sequence[Any]) -> None:
        """Go on by one mark of the tape."""
        when, what, *rest = mark
        begun = when == "begun"
        if what == "committed" and begun:
            self.selling.add(rest[0])
        elif what == "committed":
            self.sales[rest[0]] = rest[1], rest[2]
        elif what == "frozen":
            self.frozen.add(rest[0])
        elif what == "cancelled":
            (self.cancelling if begun else self.cancelled).add(rest[0])
        elif what == "checkpoint":
            self.checkpoint = (self.checkpoint[0] if begun else rest[0]), rest[0]
        elif what == "bundle":
            self.bundle = (self.bundle[0] if begun else rest[0]), rest[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a start went. ``noticed``: the agent knows that not all is as it was left.

    ``lost``: sales that tills were told of and are not there; ``forgotten``: what was set aside
    or cancelled. ``stale``: what central told is not there whole; it is told again. ``wrong``: what
    no start may leave behind.
    """

    noticed: bool
    reason: str = ""
    rebuilt: int = 0
    lost: list[str]
    forgotten: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    wrong: list[str]


def start(root: Path, disks: Disks) -> Opened:
    """What ``kopilka-edge run`` does before it answers anybody."""
    opened = open_media(media_of(root, disks), _REPLAYS, clock=SystemClock(), chance=SystemChance())
    opened.guard.close()
    return opened


def judge_trade(root: Path, told: Told, disks: Disks) -> Verdict:
    """Start on an image of a day's trade."""
    opened = start(root, disks)
    connection = open_reader(root / SHOP / "edge.sqlite")
    try:
        lost, forgotten = _lost(connection, told), _forgotten(connection, told)
        wrong = _wrong(connection)
        stale = _feed(connection, told)
    finally:
        connection.close()
    bundles = BundleService(root / SHOP / BUNDLES_FOLDER, {SIGNER.key_id: SIGNER.public_key})
    version = 0 if bundles.active is None else bundles.active.header.version
    if not told.bundle[0] <= version <= told.bundle[1]:
        stale.append(f"bundle {version}, told {told.bundle}")
    return Verdict(
        noticed=opened.start.action is Action.RECOVER or opened.rebuilt > 0,
        reason=opened.start.reason,
        rebuilt=opened.rebuilt,
        lost=lost,
        forgotten=forgotten,
        stale=stale,
        wrong=wrong,
    )


def judge_update(root: Path) -> Verdict:
    """Start on an image of an update: the old file or the new one, and the copy with the new."""
    opened = start(root, Disks.ONE)
    path = root / SHOP / "edge.sqlite"
    connection = open_reader(path)
    try:
        wrong = _wrong(connection)
        if pragma_int(connection, "user_version") != SCHEMA_VERSION:
            wrong.append("not of this release")
        sales = [f"r{number}" for number in range(1, OLD_SALES + 1)]
        lost = [sale for sale in sales if recorded_sale(connection, sale) is None]
    finally:
        connection.close()
    copies = copies_of(path)
    if [copy.name for copy in copies] != ["edge.sqlite.v1"]:
        wrong.append("no copy of the old database")
    else:
        copy = apsw.Connection(str(copies[0]), flags=apsw.SQLITE_OPEN_READONLY)
        if copy.execute("SELECT count(*) FROM receipt").get != OLD_SALES + 1:
            wrong.append("the copy lacks something")
        copy.close()
    return Verdict(noticed=opened.start.action is Action.RECOVER, lost=lost, wrong=wrong)


def _lost(connection: apsw.Connection, told: Told) -> list[str]:
    lost = []
    for receipt_id, (uid, answer) in told.sales.items():
        sale = recorded_sale(connection, receipt_id)
        if sale is None:
            lost.append(receipt_id)
        elif (sale.record_uid.hex(), answer_to_json(sale.fact.answer)) != (uid, answer):
            lost.append(f"{receipt_id}: another answer")
    return lost


def _forgotten(connection: apsw.Connection, told: Told) -> list[str]:
    forgotten = [each for each in told.cancelled if not is_cancelled(connection, each)]
    for receipt_id in told.frozen - told.cancelling - told.selling:
        held = connection.execute(
            "SELECT 1 FROM hold WHERE receipt_id = ? AND state = 'held'", (receipt_id,)
        ).get
        if held is None:
            forgotten.append(receipt_id)
    return forgotten


def _wrong(connection: apsw.Connection) -> list[str]:
    wrong = [] if is_sound(connection) else ["damaged"]
    for lane in Lane:
        verify_chain(connection, int(lane))
    sales = connection.execute("SELECT count(*) FROM receipt WHERE state = 'committed'").get
    facts = connection.execute(
        "SELECT count(*) FROM receipt r WHERE state = 'committed' AND (EXISTS"
        " (SELECT 1 FROM outbox WHERE uid = r.record_uid)"
        " OR EXISTS (SELECT 1 FROM held WHERE uid = r.record_uid))"
    ).get
    if sales != facts:
        wrong.append(f"{sales} sales, {facts} records of them")
    return wrong


def _feed(connection: apsw.Connection, told: Told) -> list[str]:
    names = {
        entry.name for entry in products_of(connection, [f"p{n}" for n in range(GOODS)]).values()
    }
    cursor = feed_cursor(connection)
    versions = {int(name[1:]) for name in names} or {0}
    done = int(cursor or 0)
    # A checkpoint is shown as a whole, and then its entries are moved; the cursor comes last.
    if len(versions) != 1 or not {done} <= {
        version - moved for version in versions for moved in (0, 1)
    }:
        return [f"half a checkpoint: {sorted(names)} at {cursor!r}"]
    if not told.checkpoint[0] <= done <= max(versions) <= told.checkpoint[1]:
        return [f"checkpoint {sorted(names)} at {cursor!r}, told {told.checkpoint}"]
    return []
