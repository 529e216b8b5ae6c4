"""``/metrics`` for Prometheus: how many calls, how long, and how the agent is. No personal data.

A call is named by its route, never by its address, so that no receipt id becomes a label.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from shared.clock import Clock
from shared.status import Health

BUCKETS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_HEALTHS: Final = {health.value: number for number, health in enumerate(Health)}


class Metrics:
    """The figures of one agent. ``report``: what ``GET /v1/status`` answers."""

    def __init__(self, report: Callable[[], Awaitable[dict[str, Any]]], clock: Clock) -> None:
        self._report = report
        self._clock = clock
        self._registry = CollectorRegistry()
        labels = ("method", "route")
        self._calls = Counter(
            "kopilka_edge_calls",
            "Calls of the till API by status.",
            (*labels, "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "kopilka_edge_call_seconds",
            "How long tills waited.",
            labels,
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self._queue = self._gauge("queue_records", "Records that wait for head office.")
        self._oldest = self._gauge("queue_oldest_seconds", "For how long the oldest has waited.")
        self._online = self._gauge("link_online", "1: head office was reached lately.")
        self._bundle = self._gauge("bundle_version", "The programme in force; 0: none.")
        self._started = self._gauge("start_time_seconds", "When this agent was started.")
        self._rss = self._gauge("resident_memory_bytes", "Memory of the agent.")
        self._health = Gauge(
            "kopilka_edge_component_health",
            f"{', '.join(f'{number} {name}' for name, number in _HEALTHS.items())}.",
            ("component",),
            registry=self._registry,
        )

    def watching(self) -> Middleware:
        """Count and time every call; outermost, so that refusals count as what they are."""

        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            resource = request.match_info.route.resource
            route = "unknown" if resource is None else resource.canonical
            began_ns = self._clock.mono_ns()
            response = await handler(request)
            self._seconds.labels(request.method, route).observe(
                (self._clock.mono_ns() - began_ns) / 1e9
            )
            self._calls.labels(request.method, route, str(response.status)).inc()
            return response

        return middleware

    def routes(self) -> list[web.RouteDef]:
        """What the listener adds to its own addresses."""
        return [web.get("/metrics", self.told)]

    async def told(self, _request: web.Request) -> web.Response:
        """The answer to Prometheus."""
        return web.Response(
            text=await self.text(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        )

    async def text(self) -> str:
        """All figures as they are now."""
        status = await self._report()
        oldest_ms = status["oldest_queued_at_ms"]
        self._queue.set(status["queue_depth"])
        self._oldest.set(0 if oldest_ms is None else (status["now_ms"] - oldest_ms) / 1000)
        self._online.set(status["link"]["online"])
        self._bundle.set(status["bundle_version"] or 0)
        self._started.set(status["started_at_ms"] / 1000)
        self._rss.set(status["rss_bytes"] or 0)
        for each in status["components"]:
            self._health.labels(each["component"]).set(_HEALTHS[each["health"]])
        return generate_latest(self._registry).decode()

    def _gauge(self, name: str, says: str) -> Gauge:
        return Gauge(f"kopilka_edge_{name}", says, registry=self._registry)
