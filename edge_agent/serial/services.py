"""What a teller is handed: the agent's services, the same that HTTP tills reach."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from edge_agent.checkout.desk import Desk
from edge_agent.checkout.proof import Proofs
from edge_agent.checkout.service import Checkout
from edge_agent.database.reader import Reader
from edge_agent.gift_cards.service import GiftCards
from edge_agent.members.service import Members
from edge_agent.returns.service import Returns
from edge_agent.returns.without_receipt import WithoutReceipt
from shared.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """``report`` is what GET /v1/status answers; ``on_sale`` and ``on_return`` must not wait."""

    checkout: Checkout
    returns: Returns
    without_receipt: WithoutReceipt
    gift_cards: GiftCards
    members: Members
    proofs: Proofs
    reader: Reader
    desk: Desk
    clock: Clock
    store_id: str
    agent_version: str
    report: Callable[[], Awaitable[dict[str, Any]]]
    on_sale: Callable[[], None]
    on_return: Callable[[], None]
