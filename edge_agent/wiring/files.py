"""The files carried by hand: who asks and who hears, over the ground and the line."""

from __future__ import annotations

from edge_agent.config import CENTRAL_KEY_FILE
from edge_agent.files.incoming import Incoming
from edge_agent.files.outgoing import Outgoing
from edge_agent.files.service import BringsFiles, SyncFiles
from edge_agent.uplink.loops import Uplink
from edge_agent.wiring.ground import Ground, device_key
from shared.crypto.signing import Signer


def make_files(ground: Ground, uplink: Uplink, central: BringsFiles) -> SyncFiles:
    """The room of files; the device's key is read when something is signed."""
    config = ground.config
    return SyncFiles(
        folder=ground.folder,
        store_id=config.store_id,
        edge_id=config.edge_id,
        reader=ground.reader,
        outgoing=Outgoing(
            edge_id=config.edge_id,
            store_id=config.store_id,
            signer=lambda: Signer(device_key(ground.folder)),
            uplink=uplink,
            writer=ground.writer,
            reader=ground.reader,
            bundles=ground.bundles,
            trusted_now_ms=ground.trusted_clock.trusted_now_ms,
            chance=ground.chance,
            central_key=ground.folder / CENTRAL_KEY_FILE,
        ),
        incoming=Incoming(
            edge_id=config.edge_id,
            trusted=ground.trusted,
            uplink=uplink,
            writer=ground.writer,
            reader=ground.reader,
            bundles=ground.bundles,
            trusted_now_ms=ground.trusted_clock.trusted_now_ms,
            hear_time=ground.trusted_clock.note_central,
        ),
        central=central,
    )
