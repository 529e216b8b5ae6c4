"""The agent's place on the shop's network: a hub that listens, a till that asks, or neither."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from aiohttp import web

from edge_agent.checkout.desk import Desk, ShopDesk, Writes
from edge_agent.lan.http import HubHttp, HubPlaces, lan_application
from edge_agent.lan.hub import CarriesToCentral, HubDesk, HubGate
from edge_agent.lan.link import SealedLink
from edge_agent.lan.members import FindMember
from edge_agent.lan.path import HubPath
from edge_agent.lan.sales import FindSale
from edge_agent.lan.till import TillDesk
from shared.clock import Clock
from shared.crypto.signing import Signer
from shared.errors import InputError, UnavailableError
from shared.ids import Chance
from shared.listening import PatientSite, connections_of_a_shop, patiently
from shared.status import Health, Status
from shared.wire.members import FindReply, FindRequest
from shared.wire.sales import SaleAsk, SaleReply

UPKEEP_S: Final = 1.0
"""How late a recalled lease is closed: somebody may wait for it in another shop."""
BEAT_S: Final = 5.0
"""How often a till says that it lives, and asks what to give back."""
_STOP_GRACE_S: Final = 1.0
Round = Callable[[], Awaitable[None]]


class ShopNetwork:
    """Everything of the shop's network for ``app`` to wire; ``desk`` is what the checkout asks.

    ``places``: this agent is a till of the hub at one of them. ``listen``: HOST:PORT where tills
    reach this hub; port 0 lets the system choose. ``signer`` may be None where both are.
    ``on_recorded`` is called when something about money waits for central; it must not wait.
    ``is_roomy``: whether the disk has room for tills' records on their way to central.
    """

    def __init__(
        self,
        *,
        edge_id: int,
        signer: Signer | None,
        writer: Writes,
        trusted_now_ms: Callable[[], int],
        clock: Clock,
        chance: Chance,
        may_spend: Callable[[], bool] = lambda: True,
        bring: Callable[[str], Awaitable[Mapping[str, int]]] | None = None,
        want_more: Callable[[str, str, int], None] | None = None,
        on_recorded: Callable[[], None] = lambda: None,
        is_roomy: Callable[[], bool] = lambda: True,
        places: HubPlaces | None = None,
        listen: str | None = None,
    ) -> None:
        self._own = ShopDesk(
            writer=writer,
            edge_id=edge_id,
            trusted_now_ms=trusted_now_ms,
            chance=chance,
            may_spend=may_spend,
            bring=bring,
            want_more=want_more,
        )
        self._relayed = asyncio.Event()
        self._sold = asyncio.Event()
        self.hub = HubDesk(
            own=self._own,
            writer=writer,
            trusted_now_ms=trusted_now_ms,
            on_relayed=self._relayed.set,
            on_recorded=on_recorded,
            is_roomy=is_roomy,
        )
        self.desk: Desk = self._own
        self.path: HubPath | None = None
        self._till: TillDesk | None = None
        self._http: HubHttp | None = None
        if places is not None:
            assert signer is not None, "a till signs what it asks"
            self._http = HubHttp(places)
            link = SealedLink(
                edge_id=edge_id,
                signer=signer,
                exchange=self._http.exchange,
                chance=chance,
                believe=self._http.believe,
            )
            self._till = TillDesk(
                own=self._own,
                writer=writer,
                link=link,
                edge_id=edge_id,
                trusted_now_ms=trusted_now_ms,
                mono_ns=clock.mono_ns,
                chance=chance,
                untried=lambda: places.untried,
            )
            self.desk = self._till
            self.path = HubPath(desk=self._till, edge_id=edge_id, pause=asyncio.sleep)
        self._listen: tuple[str, int] | None = None
        if listen is not None:
            assert signer is not None, "a hub signs what it answers"
            self._listen = _host_port(listen)
            self._gate = HubGate(desk=self.hub, edge_id=edge_id, signer=signer, writer=writer)
        self._runner: web.AppRunner | None = None

    async def open(self) -> None:
        """Listen and be ready to ask; call inside the event loop.

        Raises:
            UnavailableError: the address cannot be listened at.
        """
        if self._http is not None:
            await self._http.open()
        if self._listen is None:
            return
        self._runner = patiently(lan_application(self._gate), stop_grace_s=_STOP_GRACE_S)
        await self._runner.setup()
        host, port = self._listen
        try:
            most = connections_of_a_shop()
            site = PatientSite(self._runner, host, port, connections_max=most)
            await site.start()
        except OSError as error:
            raise UnavailableError(
                f"{host}:{port} cannot be listened at",
                hint="Is the port taken? See lan_listen in edge.toml.",
            ) from error

    async def close(self) -> None:
        """Stop listening and asking."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._http is not None:
            await self._http.close()

    @property
    def port(self) -> int:
        """Where this hub listens, when it does."""
        assert self._runner is not None, "a hub that was opened"
        return int(self._runner.addresses[0][1])

    def bring_coupons_by(self, bring: Callable[[str, Sequence[str]], Awaitable[None]]) -> None:
        """Who has central lend this agent the right to use coupons of an owner's."""
        self._own.bring_coupons = bring

    def carry_questions_by(self, find: FindSale) -> None:
        """Who asks central about sales for this hub's tills."""
        self.hub.find_sale = find

    @property
    def find_sale_through_hub(self) -> Callable[[SaleAsk], Awaitable[SaleReply | None]] | None:
        """A till's way to ask about a sale; None: this agent is no till."""
        return None if self._till is None else self._till.find_sale

    def find_members_by(self, find: FindMember) -> None:
        """Who knows phones and cards for this hub's tills."""
        self.hub.find_member = find

    @property
    def find_member_through_hub(
        self,
    ) -> Callable[[FindRequest], Awaitable[FindReply | None]] | None:
        """A till's way to ask for a phone or a card; None: this agent is no till."""
        return None if self._till is None else self._till.find_member

    def note_sold(self) -> None:
        """A sale was recorded: the hub may have to be told. Must not wait."""
        self._sold.set()

    def rounds(self, central: CarriesToCentral) -> list[tuple[str, Round]]:
        """The loops for the supervisor, by name."""

        async def upkeep() -> None:
            await self.hub.upkeep()
            await asyncio.sleep(UPKEEP_S)

        async def relay() -> None:
            await self._relayed.wait()
            self._relayed.clear()
            try:
                more = await self.hub.forward(central)
            except UnavailableError:
                self._relayed.set()
                raise
            if more:
                self._relayed.set()

        async def settle() -> None:
            assert self._till is not None, "only a till settles"
            self._sold.clear()
            try:
                done = await self._till.settle()
            except UnavailableError:
                # A hub in the next room may be back any moment; ``status`` says that it is gone.
                done = True
            if done:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._sold.wait(), BEAT_S)

        found: list[tuple[str, Round]] = [("leases", upkeep)]
        if self._listen is not None:
            # What was carried before this start may still wait.
            self._relayed.set()
            found.append(("relay", relay))
        if self._till is not None:
            found.append(("hub", settle))
        return found

    def status(self) -> list[Status]:
        """How the line to the hub is; a shop sells without it, so a dead one is a warning."""
        if self._till is None:
            return []
        well = self._till.hub_answers
        return [
            Status(
                component="hub_line",
                health=Health.OK if well else Health.WARN,
                message="" if well else self._till.last_error or "",
            )
        ]


def _host_port(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise InputError("lan_listen is HOST:PORT", code="bad_config")
    return host.strip("[]"), int(port)
