"""What befalls the town: one coroutine for each kind of trouble, each with a chance of its own.

They run until the last day is over; the end of a run mends everything that can be mended. How often
they come is measured by the run's length, so that short runs see them too.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from edge_agent.outbox.store import Fact, append_fact
from shared.errors import AppError
from shared.wire.facts import FactKind
from shared.wire.stream import Lane
from tests.simulation.agent import Agent
from tests.simulation.network import CALM, LAN_CALM, LAN_POOR, POOR
from tests.simulation.scenario import Fault
from tests.simulation.town import Town, Trouble
from tests.simulation.world import Dice

HOUR_S: Final = 3_600.0
CENTRAL: Final = "central"
TIME_LOST_MS: Final = 3 * 1_800_000
"""The witness hears of trusted time at least with every upkeep."""
JUMPS_MS: Final = (
    -30 * 86_400_000,
    -3_600_000,
    -56 * 365 * 86_400_000,
    3_600_000,
    40 * 86_400_000,
    20 * 365 * 86_400_000,
)


async def weather(town: Town, dice: Dice) -> None:
    """Good and bad hours."""
    while True:
        town.network.weather = dice.choice((CALM, POOR, POOR))
        town.network.lan_weather = dice.choice((LAN_CALM, LAN_POOR))
        await asyncio.sleep(dice.wait_s(town.span_s / 6))


async def partition(town: Town, dice: Dice) -> None:
    """Links are cut in one of the ways that links are cut."""
    while True:
        await asyncio.sleep(dice.wait_s(town.span_s / 6))
        names = [agent.name for agent in town.alive()]
        kind = dice.choice(("both", "there", "back", "half", "swizzle"))
        if kind == "swizzle":
            await _swizzle(town, dice, names)
            continue
        agent = dice.choice(town.alive())
        name, other = agent.name, dice.choice((CENTRAL, CENTRAL, agent.place.hub.name))
        if kind == "half":
            town.network.open_half(name, other)
        elif kind == "back":
            town.network.cut(other, name, one_way=True)
        else:
            town.network.cut(name, other, one_way=kind == "there")
        await asyncio.sleep(dice.wait_s(town.span_s / 8))
        town.network.mend(name, other)


async def _swizzle(town: Town, dice: Dice, names: list[str]) -> None:
    """Stop connections one by one and free them in another order."""
    dice.shuffle(names)
    for name in names:
        town.network.cut(name, CENTRAL)
        await asyncio.sleep(dice.uniform(1.0, 600.0))
    dice.shuffle(names)
    for name in names:
        town.network.mend(name, CENTRAL)
        await asyncio.sleep(dice.uniform(1.0, 600.0))


async def crash(town: Town, dice: Dice) -> None:
    """A program ends anywhere, and starts again after a while."""
    while True:
        await asyncio.sleep(dice.wait_s(town.span_s / 12))
        agent = dice.choice(town.alive())
        if agent.up:
            await agent.crash()
            town.spawn(_start_later(agent, dice.uniform(5.0, 1_800.0), dice.happens(0.5)))


async def _start_later(agent: Agent, after_s: float, power_cut: bool) -> None:
    await asyncio.sleep(after_s)
    if not agent.up and not agent.gone:
        agent.boot(power_cut=power_cut)


async def clock(town: Town, dice: Dice) -> None:
    """Somebody sets a wall clock, or its battery is dead; later it is put right."""
    while True:
        await asyncio.sleep(dice.wait_s(town.span_s / 4))
        agent = dice.choice(town.alive())
        agent.clock.wall_offset_ms = dice.choice(JUMPS_MS)
        town.world.note(agent.name, "clock.set", offset_ms=agent.clock.wall_offset_ms)
        if dice.happens(0.5):
            await agent.crash()
            await _start_later(agent, dice.uniform(5.0, 600.0), power_cut=True)
        await asyncio.sleep(dice.wait_s(town.span_s / 5))
        agent.clock.wall_offset_ms = 0


async def long_offline(town: Town, dice: Dice) -> None:
    """One shop is cut off for longer than its leases run."""
    await asyncio.sleep(dice.uniform(0.0, 0.3) * town.span_s)
    shop = dice.choice(town.shops)
    for agent in shop.agents:
        town.network.cut(agent.name, CENTRAL)
    await asyncio.sleep(town.scenario.term_hours * HOUR_S + dice.uniform(0.05, 0.5) * town.span_s)
    for agent in shop.agents:
        town.network.mend(agent.name, CENTRAL)


async def redelivery(town: Town, dice: Dice) -> None:
    """The feed begins a new history: every shop gets everything once more."""
    while True:
        await asyncio.sleep(dice.wait_s(town.span_s / 4))
        town.central.tables.feed.generation += 1
        town.world.note("central", "feed.begun_anew")
        town.central.wake_all()


async def returns(town: Town, dice: Dice) -> None:
    """Goods come back to the shop that sold them."""
    while True:
        await asyncio.sleep(dice.wait_s(town.span_s / 15))
        shop = dice.choice(town.shops)
        register = dice.choice(shop.registers)
        sold = [
            sale
            for sale in town.truth.printed.values()
            if sale.fact.store_id == shop.store_id and sale.owner is not None
        ]
        if sold:
            await register.take_back(dice.choice(sold))


async def merge(town: Town, dice: Dice) -> None:
    """Two members turn out to be one person; old cards are shown for a while."""
    await asyncio.sleep(dice.uniform(0.2, 0.8) * town.span_s)
    alias, owner = dice.sample(town.members, 2)
    town.world.note("central", "members.merged", alias=alias, owner=owner)
    town.truth.merged[alias] = owner
    town.central.tables.bank.merge(alias, owner)
    town.central.announce()


async def poison(town: Town, dice: Dice) -> None:
    """Records that nobody can read, or that say the impossible."""
    while True:
        await asyncio.sleep(dice.wait_s(town.span_s / 8))
        agent = dice.choice(town.alive())
        if not agent.up:
            continue
        record = Fact(
            uid=dice.token_bytes(16),
            kind=dice.choice((FactKind.LEASE_SPENT.value, "lease.eaten")),
            body=dice.choice((b"", b"\xc1", b"\x87\x01", dice.token_bytes(40))),
            recorded_at_ms=agent.clock.now_ms(),
        )
        try:
            await agent.writes.run(partial(append_fact, lane=int(Lane.MONEY), fact=record))
        except AppError:
            continue
        town.truth.tally["poison"] += 1


async def central_crash(town: Town, dice: Dice) -> None:
    """Central ends; what was under way is undone."""
    while True:
        await asyncio.sleep(dice.wait_s(town.span_s / 4))
        if town.central.up:
            town.central.crash()
            await asyncio.sleep(dice.uniform(5.0, town.span_s / 10))
            town.central.start()


async def central_restored(town: Town, dice: Dice) -> None:
    """Central's disk is lost and comes back as it was at the last backup."""
    await asyncio.sleep(dice.uniform(0.1, 0.5) * town.span_s)
    image = town.central.image()
    await asyncio.sleep(dice.uniform(0.02, 0.3) * town.span_s)
    if town.central.up:
        town.central.crash()
    await asyncio.sleep(dice.uniform(60.0, town.span_s / 10))
    town.excuse("central restored")
    town.central.restore(image)
    for alias, owner in town.truth.merged.items():
        town.central.tables.bank.merge(alias, owner)
    town.central.start()


async def wiped_witness(town: Town, dice: Dice) -> None:
    """The second medium is lost while the machine is off."""
    await asyncio.sleep(dice.uniform(0.1, 0.8) * town.span_s)
    agent = dice.choice(town.alive())
    await agent.crash()
    agent.media.second.clear()
    town.world.note(agent.name, "witness.lost")
    await _start_later(agent, dice.uniform(5.0, 600.0), power_cut=True)


async def lost(town: Town, dice: Dice) -> None:
    """A machine burns with all its media; it is told to central, and another takes its place."""
    await asyncio.sleep(dice.uniform(0.2, 0.7) * town.span_s)
    agent = dice.choice(town.alive())
    await town.destroy(agent)
    await asyncio.sleep(dice.uniform(0.02, 0.2) * town.span_s)
    town.report_lost(agent)


async def restore(town: Town, dice: Dice) -> None:
    """A database is put back from a copy; what else remembers is as it was."""
    await _put_back(town, dice, dice.uniform(0.1, 0.3) * town.span_s, blind=False)


async def restore_blind(town: Town, dice: Dice) -> None:
    """A whole machine is put back, or the witness was lost with what came after the copy."""
    await _put_back(town, dice, dice.uniform(0.1, 0.3) * town.span_s, blind=True)


async def lost_tail(town: Town, dice: Dice) -> None:
    """A disk had not written what it said it had."""
    while True:
        await _put_back(town, dice, dice.uniform(1.0, 1_800.0), blind=False)


async def _put_back(town: Town, dice: Dice, after_s: float, *, blind: bool) -> None:
    await asyncio.sleep(dice.uniform(0.1, 0.5) * town.span_s)
    agent = dice.choice(town.alive())
    edge_id, image = agent.edge_id, agent.media.image()
    await asyncio.sleep(after_s)
    if agent.gone or agent.edge_id != edge_id:
        return
    await agent.crash()
    second = agent.media.second
    if blind:
        second = dict(image.second) if dice.happens(0.5) else {}
    if blind or not second:
        town.excuse("undetected restore")
    agent.media = image.media()
    agent.media.second = second
    # What trusted time is kept of beside the database; without that nobody knows it any more.
    agent.trusted_low_ms = max(agent.trusted_low_ms - TIME_LOST_MS, 0) if second else 0
    if blind:
        agent.trusted_low_ms = 0
    town.world.note(agent.name, "database.put_back", blind=blind)
    await _start_later(agent, dice.uniform(5.0, 600.0), power_cut=True)


async def clone(town: Town, dice: Dice) -> None:
    """A machine's image is started a second time, and both serve customers."""
    await asyncio.sleep(dice.uniform(0.1, 0.5) * town.span_s)
    agent = dice.choice(town.alive())
    image = agent.media.image()
    town.excuse("clone")
    await asyncio.sleep(dice.uniform(0.0, 0.1) * town.span_s)
    copy = town.start_copy(agent, image)
    if town.scenario.brisk and dice.happens(0.7):
        # One of the two has no link for a while, or the first sale would show that there are two.
        alone = dice.choice((agent, copy))
        town.network.cut(alone.name, CENTRAL)
        await asyncio.sleep(dice.uniform(0.05, 0.3) * town.span_s)
        town.network.mend(alone.name, CENTRAL)


async def till_crash(town: Town, dice: Dice) -> None:
    """Tills and hubs die within seconds of a promise, so that it falls between its steps."""
    while True:
        await town.truth.asked.wait()
        await asyncio.sleep(dice.uniform(0.0, 2.0))
        agent = dice.choice(town.alive())
        if agent.up and dice.happens(0.5):
            await agent.crash()
            town.spawn(_start_later(agent, dice.uniform(1.0, 300.0), power_cut=dice.happens(0.5)))


TROUBLES: Final[dict[Fault, Trouble]] = {
    Fault.WEATHER: weather,
    Fault.PARTITION: partition,
    Fault.CRASH: crash,
    Fault.CLOCK: clock,
    Fault.LONG_OFFLINE: long_offline,
    Fault.REDELIVERY: redelivery,
    Fault.RETURNS: returns,
    Fault.MERGE: merge,
    Fault.POISON: poison,
    Fault.CENTRAL_CRASH: central_crash,
    Fault.CENTRAL_RESTORED: central_restored,
    Fault.WIPED_WITNESS: wiped_witness,
    Fault.LOST: lost,
    Fault.RESTORE: restore,
    Fault.RESTORE_JOURNAL: restore,
    Fault.RESTORE_BLIND: restore_blind,
    Fault.LOST_TAIL: lost_tail,
    Fault.CLONE: clone,
    Fault.TILL_CRASH: till_crash,
}
