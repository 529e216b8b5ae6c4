"""All serial ports of this agent, wired together from the ``[serial]`` tables."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from edge_agent.serial.devices import Display, Scanner
from edge_agent.serial.keeper import PortKeeper
from edge_agent.serial.line import Line
from edge_agent.serial.link import Link, Timing
from edge_agent.serial.port import Port
from edge_agent.serial.services import Services
from edge_agent.serial.teller import Teller
from edge_agent.serial_settings import PortSettings, SerialSettings, TillSettings
from shared.status import Status

Round = Callable[[], Awaitable[None]]


class SerialPorts:
    """Every configured port; the supervisor runs ``rounds``, and ``close`` comes after them."""

    def __init__(self, settings: SerialSettings, services: Services) -> None:
        """Nothing is opened before the first round."""
        self._settings = settings
        self._services = services
        self._keepers: dict[str, PortKeeper] = {}
        self._lines: list[Line] = []
        displays: dict[str, Display] = {}
        for each in settings.display:
            displays[each.till] = Display()
            self._keep(each, displays[each.till].serve)
        tellers = {till.name: self._till(till, displays.get(till.name)) for till in settings.till}
        for scanner in settings.scanner:
            take, separator = tellers[scanner.till].take_code, settings.codes.separator_byte
            self._keep(scanner, Scanner(scanner.name, take, separator).serve)

    def rounds(self) -> list[tuple[str, Round]]:
        """The loops for the supervisor, by name."""
        return [(f"serial_{name}", keeper.round) for name, keeper in self._keepers.items()]

    def status(self) -> list[Status]:
        """How each port is."""
        return [keeper.status() for keeper in self._keepers.values()]

    async def close(self) -> None:
        """Let what tills have asked for end; give the ports back."""
        for line in self._lines:
            await line.close()
        for keeper in self._keepers.values():
            keeper.close()

    def _till(self, till: TillSettings, display: Display | None) -> Teller:
        teller = Teller(
            self._services,
            till,
            codes=self._settings.codes,
            language=self._settings.language,
            show=None if display is None else display.show,
        )
        timing = Timing(
            baud=till.baud,
            byte_timeout_ms=till.byte_timeout_ms,
            answer_timeout_ms=till.answer_timeout_ms,
            repeats=till.repeats,
        )
        link = Link(timing)
        line = Line(link, teller.execute, clock=self._services.clock)
        self._lines.append(line)
        self._keep(till, line.serve, note=lambda: _note_of(link))
        return teller

    def _keep(
        self,
        settings: PortSettings,
        serve: Callable[[Port], Awaitable[None]],
        *,
        note: Callable[[], str] = str,
    ) -> None:
        self._keepers[settings.name] = PortKeeper(settings, serve, note=note)


def _note_of(link: Link) -> str:
    """A line that is heard badly is found by its numbers before a cashier complains."""
    if not link.damage_count and not link.repeat_count:
        return ""
    return f"damaged {link.damage_count}, repeated {link.repeat_count} since start"
