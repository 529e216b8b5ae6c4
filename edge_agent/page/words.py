"""The parts of the agent and how they are, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from shared.status import Health

COMPONENTS: Final = {
    "link": "Line to head office",
    "hello": "Greeting head office",
    "flush": "Sending records",
    "feed": "News from head office",
    "bundle": "Programme",
    "upkeep": "Upkeep",
    "clock": "Clock",
    "records": "Records",
    "streams": "Order of records",
    "witness": "Witness file",
    "journal": "Second journal",
    "disk": "Disk",
    "hub_line": "Line to the shop's server",
    "announce": "Letting tills find this server",
    "find_hub": "Looking for the shop's server",
    "relay": "Records of tills",
    "hub": "Settling with the shop's server",
    "leases": "Rights to points",
    "budgets": "Shares of budgets",
    "spare": "Spare medium",
    "zones": "Time zones",
    "zone": "Time zone",
    "scrub": "Reading through the records",
    "tills": "Tokens of tills",
    "members": "Customers at the till",
}
"""A part that is not here is shown by its own name."""
LANES: Final = {0: "Money", 1: "Receipts", 2: "Log of the shop", 3: "Figures"}
"""What is sent first stands first."""
HEALTHS: Final = {
    Health.OK: "in order",
    Health.WARN: "look at it",
    Health.NOT_READY: "not yet its turn",
    Health.ERROR: "broken",
}
VERDICTS: Final = {
    Health.OK: "Everything works",
    Health.WARN: "It works; something wants a look",
    Health.NOT_READY: "Not ready to price yet",
    Health.ERROR: "Something is broken: call for help",
}
KINDS: Final = {"hub": "shop's server", "till": "till"}
STATES: Final = {"active": "in use", "frozen": "frozen", "revoked": "removed"}
WAITS_FOR_LINE: Final = "waits for the line"
OFFLINE: Final = "It works without head office"
NEEDS_HEAD_OFFICE: Final = frozenset({"link", "hello", "flush", "feed", "members"})
"""Parts that cannot succeed while there is no line; the shop sells on without them."""
NEEDED_TO_PRICE: Final = frozenset({"bundle", "records", "disk", "find_hub", "hub"})
"""Other parts have their first turn in a minute or in a day; until then nothing is missing."""


def verdict_of(components: Iterable[Mapping[str, Any]], *, online: bool) -> tuple[Health, str]:
    """How the agent is as somebody in the shop sees it, and in words.

    A line that is down is not a broken agent: what it was made for goes on.
    """
    healths = [
        Health(each["health"])
        for each in components
        if (online or each["component"] not in NEEDS_HEAD_OFFICE)
        and (each["health"] != Health.NOT_READY or each["component"] in NEEDED_TO_PRICE)
    ]
    for health in (Health.ERROR, Health.NOT_READY, Health.WARN):
        if health in healths:
            return health, VERDICTS[health]
    return (Health.OK, VERDICTS[Health.OK]) if online else (Health.WARN, OFFLINE)


def by_part(components: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each part: its worst word, its first message, its latest success."""
    parts: dict[str, dict[str, Any]] = {}
    order = list(HEALTHS)
    for each in components:
        part = parts.setdefault(each["component"], dict(each))
        part["health"] = max(part["health"], each["health"], key=lambda x: order.index(Health(x)))
        part["message"] = part["message"] or each["message"]
        times = [part["last_success_at_ms"], each["last_success_at_ms"]]
        part["last_success_at_ms"] = max((x for x in times if x is not None), default=None)
    return list(parts.values())
