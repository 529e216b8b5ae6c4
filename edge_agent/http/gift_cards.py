"""The till's addresses for gift cards."""

from __future__ import annotations

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from edge_agent.gift_cards.requests import decode_request, reply_to_json
from edge_agent.gift_cards.service import GiftCards
from shared.wire.gift_cards import GIFT_CARDS_PATH, GiftAction


class GiftCardsApi:
    """The handlers; numbers and PINs are in bodies alone, which nobody logs."""

    def __init__(self, gift_cards: GiftCards) -> None:
        self._gift_cards = gift_cards

    def routes(self) -> list[web.RouteDef]:
        """What the listener adds to its own addresses."""
        return [
            web.post(f"{GIFT_CARDS_PATH}/{action.value}", self._handler(action))
            for action in GiftAction
        ]

    def _handler(self, action: GiftAction) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            asked = decode_request(action, await request.read())
            reply = await self._gift_cards.ask(action, asked)
            return web.Response(
                body=msgspec.json.encode(reply_to_json(reply)), content_type="application/json"
            )

        return handle
