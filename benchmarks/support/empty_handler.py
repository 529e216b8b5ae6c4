"""What HTTP and JSON cost with aiohttp when nothing else is done: the yardstick of the agent."""

from __future__ import annotations

import asyncio

from aiohttp import web


async def nothing(request: web.Request) -> web.Response:
    """Read JSON, answer JSON."""
    await request.json()
    return web.json_response({})


async def main() -> None:
    """Serve until told to stop."""
    app = web.Application()
    app.router.add_post("/", nothing)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print("ready http://{}:{}".format(*runner.addresses[0][:2]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
