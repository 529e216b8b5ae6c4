"""The town: central, shops, members, days that pass, troubles that come, and the end of it all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from central.accounts.lending import Holder
from shared.crypto.signing import Signer
from shared.wire.enrol import EdgeKind
from tests.simulation.agent import Agent
from tests.simulation.central import Central
from tests.simulation.disk import MediaImage
from tests.simulation.network import Network
from tests.simulation.register import Register
from tests.simulation.scenario import Fault, Scenario
from tests.simulation.truth import Truth
from tests.simulation.world import DAY_S, Dice, World

OPEN_S: Final = 8 * 3600
CLOSE_S: Final = 22 * 3600
OPENING_POINTS: Final = 15_000
"""150 points each, in hundredths."""
TURN_S: Final = 3 * 3600.0
QUIET_DAYS_MAX: Final = 4
"""After the last trouble a run must come to rest within so many days."""


class Shop:
    """A store: its agents, the one that is its hub now, and its registers."""

    def __init__(self, town: Town, store_id: str) -> None:
        self.store_id = store_id
        self.agents: list[Agent] = []
        self.hub = town.enrol(self, EdgeKind.HUB)
        tills = [town.enrol(self, EdgeKind.TILL) for _ in range(town.scenario.tills)]
        self.registers = [
            Register(agent, town.truth, town.world.dice(f"register/{agent.name}"))
            for agent in tills or [self.hub]
        ]


class Town:
    """Everything of one run."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self.world = world
        self.scenario = scenario
        self.dice = world.dice("town")
        self.network = Network(world)
        self.central = Central(world, scenario)
        self.truth = Truth()
        self.span_s = float(scenario.days * DAY_S)
        if scenario.brisk:
            world.loop.advance(OPEN_S)
            self.span_s -= OPEN_S
        self.end_s = world.now_s() + self.span_s
        self.agents: list[Agent] = []
        self.shops: list[Shop] = []
        self.members: list[str] = []
        self.excuses: set[str] = set()
        self._customer_tasks: list[asyncio.Task[None]] = []
        self._tasks: dict[asyncio.Task[None], None] = {}

    # --- beginning

    def enrol(self, shop: Shop, kind: EdgeKind) -> Agent:
        """A new machine, known to central."""
        agent = self._machine(shop, kind, f"{shop.store_id}-{kind.value}{len(shop.agents)}")
        edge_id, starts = self.central.enrol(shop.store_id, kind, agent.signer.public_key)
        agent.enrol(edge_id, starts)
        self._appoint(agent)
        return agent

    def _machine(self, shop: Shop, kind: EdgeKind, name: str) -> Agent:
        agent = Agent(
            self.world,
            self.scenario,
            self.network,
            self.central,
            name=name,
            store_id=shop.store_id,
            kind=kind,
            place=shop,
            journal=Fault.RESTORE_JOURNAL in self.scenario.faults,
        )
        shop.agents.append(agent)
        self.agents.append(agent)
        return agent

    def _appoint(self, agent: Agent) -> None:
        """A new hub gets its store's leases."""
        if agent.kind is EdgeKind.HUB:
            bank = self.central.tables.bank
            bank.appoint(Holder(edge_id=agent.edge_id, store_id=agent.store_id, epoch=1))
            bank.lend_all(self.world.now_ms())
            self.central.announce()

    def alive(self) -> list[Agent]:
        """Machines that are there, running or not."""
        return [agent for agent in self.agents if not agent.gone]

    # --- what people do about machines

    async def destroy(self, agent: Agent) -> None:
        """Fire."""
        await agent.crash()
        agent.gone = agent.destroyed = True
        self.world.note(agent.name, "machine.destroyed")

    def report_lost(self, agent: Agent) -> None:
        """Central is told; another machine takes the place."""
        self.central.report_lost(agent.edge_id)
        shop = self._shop_of(agent)
        another = self.enrol(shop, agent.kind)
        if shop.hub is agent:
            shop.hub = another
        for register in shop.registers:
            if register.agent is agent:
                register.agent = another
        another.boot()

    def start_copy(self, agent: Agent, image: MediaImage) -> Agent:
        """The same machine once more, with a register of its own."""
        shop = self._shop_of(agent)
        copy = self._machine(shop, agent.kind, f"{agent.name}-copy")
        copy.media, copy.edge_id, copy.signer = image.media(), agent.edge_id, agent.signer
        copy.boot()
        self.world.note(copy.name, "machine.copied")
        register = Register(copy, self.truth, self.world.dice(f"register/{copy.name}"))
        shop.registers.append(register)
        self._customer_tasks.append(asyncio.create_task(self._customers(register)))
        return copy

    async def _people(self) -> None:
        """Somebody looks at the agents' lamps now and then, and enrols again who must be."""
        while True:
            await asyncio.sleep(self.dice.uniform(0.02, 0.1) * self.span_s)
            for agent in self.alive():
                if agent.must_enrol and agent.up and self.central.up:
                    await self._enrol_again(agent)

    async def _enrol_again(self, agent: Agent) -> None:
        await agent.crash()
        signer = Signer(self.dice.token_bytes(32))
        before = agent.edge_id
        edge_id, starts = self.central.enrol(agent.store_id, agent.kind, signer.public_key)
        agent.enrol_again(edge_id, starts, signer)
        self.world.note(agent.name, "agent.enrolled_again", before=before, edge=edge_id)
        shop = self._shop_of(agent)
        if agent.kind is EdgeKind.HUB:
            # hub_of takes the hub that was enrolled last; the address follows it.
            shop.hub = agent
            self._appoint(agent)
        await asyncio.sleep(self.dice.uniform(1.0, 600.0))
        if not agent.up and not agent.gone:
            agent.boot()

    def _shop_of(self, agent: Agent) -> Shop:
        return next(shop for shop in self.shops if agent in shop.agents)

    async def live(self, troubles: Mapping[Fault, Trouble]) -> None:
        """From the first day to rest, with the scenario's troubles out of these."""
        for number in range(self.scenario.stores):
            self.shops.append(Shop(self, f"S{number + 1}"))
        stores = [shop.store_id for shop in self.shops]
        for number in range(self.scenario.members):
            homes = tuple(self.dice.sample(stores, min(self.dice.number(1, 2), len(stores))))
            self.join(f"c{number + 1}", homes)
        for agent in self.agents:
            agent.boot()
        for shop in self.shops:
            for register in shop.registers:
                self._customer_tasks.append(asyncio.create_task(self._customers(register)))
        lasting = [asyncio.create_task(self._turns()), asyncio.create_task(self._people())]
        workers = [self._office()]
        workers += [
            self._watched(troubles[fault](self, self.world.dice(f"trouble/{fault}")))
            for fault in self.scenario.faults
        ]
        tasks = [asyncio.create_task(worker) for worker in workers]
        await asyncio.sleep(self.span_s)
        for task in (*tasks, *self._customer_tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._come_to_rest()
        for task in lasting:
            task.cancel()
        for agent in self.agents:
            await agent.crash()
        await self.network.close()
        await asyncio.gather(*tasks, *lasting, *self._customer_tasks, return_exceptions=True)

    def join(self, customer_id: str, homes: tuple[str, ...]) -> None:
        """A new member."""
        self.members.append(customer_id)
        bank = self.central.tables.bank
        bank.join(customer_id, homes, OPENING_POINTS)
        bank.lend(self.world.now_ms())
        self.central.announce()

    # --- days

    async def _turns(self) -> None:
        """Central's timers: points become free, leases are prolonged and settled."""
        while True:
            await asyncio.sleep(TURN_S - self.world.now_s() % TURN_S + 60.0)
            if not self.central.up:
                continue
            now_ms = self.world.now_ms()
            tables = self.central.tables
            in_touch = {
                edge.edge_id
                for edge in tables.edges.values()
                if now_ms - edge.last_contact_ms < self.scenario.term_hours * 1_800_000
            }
            today = datetime.fromtimestamp(now_ms / 1000, UTC).date().isoformat()
            if self.scenario.plenty_points and self.world.now_s() < self.end_s:
                tables.bank.give(now_ms)
            tables.bank.turn(today, now_ms, in_touch)
            self.central.announce()
            self.world.note("central", "turn.taken", day=today)

    async def _customers(self, register: Register) -> None:
        """One register's day, again and again."""
        dice = self.world.dice(f"customers/{register.agent.name}")
        mean_s = (CLOSE_S - OPEN_S) / self.scenario.receipts_per_day
        while True:
            await asyncio.sleep(dice.wait_s(mean_s))
            of_day_s = self.world.now_s() % DAY_S
            if of_day_s < OPEN_S:
                await asyncio.sleep(OPEN_S - of_day_s)
                continue
            if of_day_s > CLOSE_S:
                await asyncio.sleep(DAY_S - of_day_s + OPEN_S)
                continue
            member = self._customer_of(register.agent.store_id, dice)
            price_minor = dice.number(500, 12_000)
            self.spawn(register.serve(member, price_minor, spends=dice.happens(0.5)))

    def _customer_of(self, store_id: str, dice: Dice) -> str | None:
        """A stranger, a member who lives near, or any member."""
        if dice.happens(0.15):
            return None
        bank = self.central.tables.bank
        near = [name for name in self.members if store_id in bank.members[name].homes]
        return self.truth.owner_of(
            dice.choice(near if near and dice.happens(0.7) else self.members)
        )

    async def _office(self) -> None:
        """Members are edited now and then, in transactions of any length."""
        dice = self.world.dice("office")
        while True:
            edits_a_day, span_s_max = (24, 120.0) if self.scenario.brisk else (6, 30.0)
            await asyncio.sleep(dice.wait_s(DAY_S / edits_a_day))
            if self.central.up:
                some = dice.sample(self.members, dice.number(1, len(self.members)))
                self.spawn(self.central.edit_customers(some, dice.uniform(0.1, span_s_max)))

    def excuse(self, reason: str) -> None:
        """Something happened after which points may be spent beyond what was given (I10)."""
        self.excuses.add(reason)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let it happen; a fault of ours in it fails the run."""
        task = asyncio.create_task(self._watched(work))
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - the run goes on, and has failed
            self.world.surprise("town", error)

    async def _come_to_rest(self) -> None:
        """Fair weather and everybody up, until nothing is left to be said."""
        self.network.mend_all()
        if not self.central.up:
            self.central.start()
        for agent in self.agents:
            if not agent.up and not agent.gone:
                agent.boot()
        looks_a_day = 24 if self.scenario.brisk else 8
        for _ in range(QUIET_DAYS_MAX * looks_a_day):
            await asyncio.sleep(DAY_S / looks_a_day)
            waiting = [agent.name for agent in self.alive() if not agent.up or agent.pending()]
            # A shop whose last answer was lost asks the feed again only after its long wait.
            waiting += list(self.uninformed())
            if not waiting:
                self.world.note("town", "rest.reached")
                return
        self.world.broken(f"I6: the town did not come to rest: {waiting[:5]}")

    # --- the end

    def uninformed(self) -> Iterator[str]:
        """Leases of which a shop knows something else than central does."""
        for agent in self.alive():
            rows = agent.media.database.execute("SELECT lease_id, granted, state FROM lease")
            held = {lease_id: (granted, state) for lease_id, granted, state in rows}
            for lease in self.central.tables.bank.books.leases.values():
                wanted = (lease.granted, lease.state.value)
                if lease.store_id == agent.store_id and held.get(lease.lease_id) != wanted:
                    yield (
                        f"feed: {agent.name} has {held.get(lease.lease_id)} of {lease.lease_id}, "
                        f"central {wanted}"
                    )

    def violations(self) -> list[str]:
        """What did not hold when it happened."""
        return list(dict.fromkeys(self.world.violations + self.central.tables.bank.broken))

    def tally(self) -> Counter[str]:
        """Figures of the run."""
        return self.truth.tally + self.central.tables.bank.incidents


Trouble = Callable[[Town, Dice], Awaitable[None]]
