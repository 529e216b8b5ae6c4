"""Customers at the till, over the ground and the line."""

from __future__ import annotations

from edge_agent.members.finding import Finding
from edge_agent.members.keys import KeyRing
from edge_agent.members.registering import Registering
from edge_agent.members.service import Members
from edge_agent.wiring.ground import Ground
from edge_agent.wiring.line import Line


def make_members(ground: Ground, line: Line) -> Members:
    """The room of customers; a hub answers its tills from it too."""
    config, clock = ground.config, ground.clock

    def is_online() -> bool:
        return ground.link.online

    keys = KeyRing(
        ground.folder,
        central=line.transport,
        tags_phones=not config.is_till,
        is_online=is_online,
        clock=clock,
    )
    finding = Finding(
        keys=keys,
        central=line.transport,
        hub=line.network.find_member_through_hub,
        reader=ground.reader,
        is_online=is_online,
        trusted_now_ms=ground.trusted_clock.trusted_now_ms,
        clock=clock,
    )
    line.network.find_members_by(finding.for_till)
    registering = Registering(
        edge_id=config.edge_id,
        store_id=config.store_id,
        keys=keys,
        finding=finding,
        central=line.transport,
        writer=ground.writer,
        reader=ground.reader,
        is_online=is_online,
        trusted_now_ms=ground.trusted_clock.trusted_now_ms,
        chance=ground.chance,
        on_recorded=line.uplink.note_flush,
    )
    return Members(
        keys=keys,
        finding=finding,
        registering=registering,
        writer=ground.writer,
        reader=ground.reader,
        trusted_now_ms=ground.trusted_clock.trusted_now_ms,
        clock=clock,
    )
