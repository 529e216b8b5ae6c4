"""What head office says of a sale while it answers, and what it said before when it does not.

A return is a fact and waits for nobody: without an answer the goods are taken back by what is known
here, and head office finds later what did not fit.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final, Protocol

import msgspec

from edge_agent.returns.store import Told
from shared.errors import AppError, BusyError, ConflictError, NotFoundError
from shared.unreadable import UNREADABLE
from shared.wire.facts import ReceiptCommitted
from shared.wire.refund_json import LineReturned
from shared.wire.return_json import ReturnRequest
from shared.wire.sales import SALE_AMBIGUOUS, UNKNOWN_SALE, SaleAsk, SaleReply

REMEMBERED_MAX: Final = 200
"""Sales of other shops; a return follows its question within minutes."""
_SALE: Final = msgspec.msgpack.Decoder(ReceiptCommitted)
_Key = tuple[str, str, str]


class AsksSales(Protocol):
    """``edge_agent.uplink.sales.SalesLine`` does."""

    async def find(self, asked: SaleAsk) -> SaleReply:
        """What head office says.

        Raises:
            AppError: it does not answer, or refuses.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The return that goods are to be set aside for; ``return_uid`` will be its record's."""

    return_id: str
    return_uid: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is known of a sale. ``answered``: head office was asked and spoke."""

    told: Told | None
    answered: bool


class SalesDesk:
    """Asks head office, and remembers what it said of other shops' sales."""

    def __init__(self, central: AsksSales, *, edge_id: int, store_id: str) -> None:
        self._central = central
        self._edge_id = edge_id
        self._store_id = store_id
        self._remembered: OrderedDict[_Key, Told] = OrderedDict()

    async def say(
        self, request: ReturnRequest, own_uid: bytes | None, wanted: Wanted | None
    ) -> Said:
        """What is known of the sale that a request names; ``own_uid``: of this agent's own.

        Raises:
            ConflictError: ``sale_ambiguous``.
            BusyError: head office hears too many such questions; only where nothing is set aside.
        """
        key = (request.sale_store or self._store_id, request.sale_id, request.sale_register)
        asked = SaleAsk(
            edge_id=self._edge_id,
            store_id=key[0],
            receipt_id=request.sale_id,
            register=request.sale_register,
            sale_uid=own_uid or b"",
        )
        if wanted is not None:
            asked = msgspec.structs.replace(
                asked,
                return_id=wanted.return_id,
                return_uid=wanted.return_uid,
                wanted=[
                    LineReturned(line=line, quantity_milli=milli)
                    for line, milli in request.wanted_milli.items()
                ],
            )
        try:
            told = _told(await self._central.find(asked))
        except ConflictError as error:
            if error.stable_code != SALE_AMBIGUOUS:
                return Said(told=self._recall(key), answered=False)
            raise ConflictError(
                error.message, code=SALE_AMBIGUOUS, pointer="/sale_register", hint=error.hint
            ) from error
        except NotFoundError as error:
            # A head office of an older release has no such address: that is no answer.
            answered = error.stable_code == UNKNOWN_SALE
            return Said(told=None if answered else self._recall(key), answered=answered)
        except BusyError:
            if wanted is None:
                raise
            return Said(told=self._recall(key), answered=False)
        except (AppError, *UNREADABLE):
            return Said(told=self._recall(key), answered=False)
        if told.fact is not None:
            self._remember(key, told)
        return Said(told=told, answered=True)

    def _remember(self, key: _Key, told: Told) -> None:
        self._remembered[key] = replace(told, fresh=False)
        self._remembered.move_to_end(key)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)

    def _recall(self, key: _Key) -> Told | None:
        return self._remembered.get(key)


def _told(reply: SaleReply) -> Told:
    return Told(
        sale_uid=reply.sale_uid,
        fact=_SALE.decode(reply.fact) if reply.fact else None,
        returned=reply.returned,
        counted=frozenset(reply.counted),
    )
