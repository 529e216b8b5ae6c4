"""The till's line to its hub: signed questions through whatever carries bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from edge_agent.lan.seal import open_answer, seal_question
from shared.crypto.signing import Signer
from shared.errors import AppError, InputError, UnavailableError
from shared.ids import Chance
from shared.wire.lan import NONCE_BYTES, OK, PeerEntry, Question

Exchange = Callable[[bytes], Awaitable[bytes]]
"""Carry a sealed question to the hub and its answer back. Raises NotReachedError when the question
surely did not arrive, any other UnavailableError when nobody knows."""


class NotReachedError(UnavailableError):
    """The hub was not asked."""

    code = "hub_not_reached"


class HubLink(Protocol):
    """One question and its answer; the simulator has a link of its own."""

    async def ask(self, hub: PeerEntry, call: str, body: bytes) -> bytes:
        """The hub's answer.

        Raises:
            NotReachedError: the hub was surely not asked.
            UnavailableError: nobody knows whether it was.
            AppError: the hub refused; nothing was changed there.
        """
        ...


class SealedLink:
    """A link whose questions and answers are signed with device keys."""

    def __init__(
        self,
        *,
        edge_id: int,
        signer: Signer,
        exchange: Exchange,
        chance: Chance,
        believe: Callable[[bool], None] = lambda _is_hub: None,
    ) -> None:
        """``believe`` is told of every answer whether it was the hub's."""
        self._believe = believe
        self._edge_id = edge_id
        self._signer = signer
        self._exchange = exchange
        self._chance = chance

    async def ask(self, hub: PeerEntry, call: str, body: bytes) -> bytes:
        """``HubLink.ask``. An answer that the hub did not sign is no answer."""
        question = seal_question(
            self._signer,
            self._edge_id,
            Question(
                recipient=hub.edge_id,
                call=call,
                nonce=self._chance.token_bytes(NONCE_BYTES),
                body=body,
            ),
        )
        reply = await self._exchange(question)
        try:
            answer = open_answer(reply, question, self._edge_id, hub)
        except AppError as error:
            self._believe(False)
            raise UnavailableError(
                f"what answered is not this store's hub: {error.message}", code="not_the_hub"
            ) from error
        self._believe(True)
        if answer.code == UnavailableError.code:
            raise UnavailableError(f"the hub cannot answer now: {answer.detail}")
        if answer.code != OK:
            raise InputError(f"the hub refused: {answer.detail}", code=answer.code)
        return answer.body
