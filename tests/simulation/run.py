"""Run a scenario from its beginning to the last check, and say what came out."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog
from structlog.typing import EventDict

from tests.simulation.judgement import judge
from tests.simulation.scenario import Scenario
from tests.simulation.town import Town
from tests.simulation.troubles import TROUBLES
from tests.simulation.world import DAY_S, World

GARBAGE: Final = 20_000
"""Objects between two collections: a run makes many and keeps most of them to its end."""
_UNTRACED: Final = frozenset({"event", "exc_info"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run. ``violations`` says which invariant did not hold, and how; none: all is well."""

    scenario: Scenario
    digest: str
    violations: tuple[str, ...]
    counts: Counter[str]
    tally: Counter[str]
    trace: tuple[str, ...]
    store_days: float
    layouts: dict[str, list[int]]
    """Of the frames that central took, by what sent them."""

    def __str__(self) -> str:
        """What a failing test shows: how to have it again, what broke, and how it ended."""
        return "\n".join(
            [
                f"scenario {scenario_text(self.scenario)}",
                f"trace {self.digest}",
                *self.violations,
                "the end of the trace:",
                *self.trace[-80:],
            ]
        )


def simulate(scenario: Scenario, *, keep_trace: bool = False) -> Outcome:
    """The whole run. The same scenario gives the same digest, on any machine."""
    world = World(scenario.seed, keep_trace=keep_trace)
    before = structlog.get_config()
    structlog.configure(processors=[_into(world)], cache_logger_on_first_use=False)
    thresholds = gc.get_threshold()
    gc.set_threshold(GARBAGE, *thresholds[1:])
    try:
        town = Town(world, scenario)
        world.loop.run_until_complete(town.live(TROUBLES))
        # After a first fault the last judgement would only echo it.
        violations = town.violations() or judge(town)
        tally = town.tally()
    finally:
        gc.set_threshold(*thresholds)
        structlog.configure(**before)
        world.loop.close()
    return Outcome(
        scenario=scenario,
        digest=world.trace.digest(),
        violations=tuple(dict.fromkeys(violations)),
        counts=world.trace.counts,
        tally=tally,
        trace=tuple(world.trace.lines),
        store_days=scenario.stores * world.now_s() / DAY_S,
        layouts={kind.value: sorted(seen) for kind, seen in town.central.layouts.items()},
    )


def _into(world: World) -> Callable[..., Any]:
    """The product's log becomes part of the trace."""

    def process(_logger: Any, _method: str, event: EventDict) -> EventDict:
        facts = {name: value for name, value in event.items() if name not in _UNTRACED}
        world.note("log", str(event["event"]), **facts)
        raise structlog.DropEvent

    return process


def scenario_text(scenario: Scenario) -> str:
    """The scenario as JSON, for ``regressions`` and the command line."""
    return msgspec.json.encode(scenario).decode()
