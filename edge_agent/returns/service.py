"""Calculate and commit: what a till may ask of the agent when goods come back."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.returns.desk import SalesDesk, Wanted
from edge_agent.returns.policy import due
from edge_agent.returns.store import (
    Made,
    RecordedReturn,
    Sold,
    commit_return,
    find_return,
    own_sale,
    recorded_before,
    sold,
)
from shared.clock import Clock
from shared.engine.refund import RefundError
from shared.errors import InputError, NotFoundError, UnavailableError
from shared.ids import Chance
from shared.limits import IDENTIFIER_CHARS_MAX
from shared.wire.reading import parse_json
from shared.wire.refund_json import Refund
from shared.wire.return_json import ReturnRequest, decode_return
from shared.wire.sales import SALES_OFFLINE

RECORD_UID_BYTES: Final = 16
OFFLINE_RETRY_S: Final = 15.0


class Returns:
    """What comes back to this shop with a receipt, of whichever shop."""

    def __init__(
        self,
        *,
        writer: Writer,
        reader: Reader,
        store_id: str,
        clock: Clock,
        chance: Chance,
        desk: SalesDesk,
    ) -> None:
        """``desk``: who is asked about sales, of this shop too: others may have taken them back."""
        self._desk = desk
        self._writer = writer
        self._reader = reader
        self._store_id = store_id
        self._clock = clock
        self._chance = chance

    async def calculate(self, body: bytes) -> Refund:
        """What is due for these goods; nothing is recorded.

        Raises:
            InputError: the body breaks its format.
            NotFoundError: ``sale_not_here``.
            ConflictError: ``sale_ambiguous``.
            RefundError: a line is unknown, too much of one is wanted, or a part of a piece.
            UnavailableError: ``sales_offline``: it was made elsewhere, and nobody can be asked.
        """
        request = decode_return(body, made=False)
        sale = await self._find(request)
        try:
            return due(sale.fact, sale.returned_milli, request.wanted_milli)
        except RefundError as error:
            raise _where_said(error, request) from error

    async def sale(self, request: ReturnRequest) -> Sold:
        """A sale of any shop, and what has come back of it; raises as ``calculate``."""
        return await self._find(request)

    async def commit(self, return_id: str, body: bytes) -> RecordedReturn:
        """Record durably what was given back; a repeat gives the first answer.

        Head office sets the goods aside first, so that no other shop gives money for them. When it
        does not answer the return is recorded all the same. More than was left of the sale is cut
        to that, and a sum that differs from what the till gave stands as given: both are incidents,
        for the goods are back.

        Raises:
            InputError: the body breaks its format.
            NotFoundError: ``sale_not_here``: head office has never heard of such a sale.
            ConflictError: ``return_changed``, ``sale_ambiguous``.
            RefundError: a line is unknown, or a part of a piece came back.
            UnavailableError: the disk refuses.
        """
        _check_id(return_id)
        request = decode_return(body, made=True)
        body_sha256 = _sha256_of(body)
        known = await self._reader.run(
            lambda reader: recorded_before(reader, return_id, body_sha256)
        )
        if known is not None:
            return known
        record_uid = self._chance.token_bytes(RECORD_UID_BYTES)
        own_uid = await self._own_uid(request)
        wanted = Wanted(return_id=return_id, return_uid=record_uid)
        said = await self._desk.say(request, own_uid, wanted)
        if own_uid is None and said.told is None and said.answered:
            raise _not_here()
        made = Made(
            return_id=return_id,
            request=request,
            store_id=self._store_id,
            body_sha256=body_sha256,
            record_uid=record_uid,
            now_ms=self._clock.now_ms(),
            told=said.told,
        )
        try:
            return await self._writer.run(lambda connection: commit_return(connection, made))
        except RefundError as error:
            raise _where_said(error, request) from error

    async def _find(self, request: ReturnRequest) -> Sold:
        said = await self._desk.say(request, await self._own_uid(request), None)
        found = await self._reader.run(
            lambda reader: sold(reader, request, self._store_id, said.told)
        )
        if found is not None:
            return found
        if said.answered or request.sale_store in ("", self._store_id):
            raise _not_here()
        raise UnavailableError(
            "head office does not answer, and it alone knows what other shops have sold",
            code=SALES_OFFLINE,
            hint="Ask again in a moment. Goods that were taken back meanwhile can be recorded.",
            retry_after_s=OFFLINE_RETRY_S,
        )

    async def _own_uid(self, request: ReturnRequest) -> bytes | None:
        own = await self._reader.run(lambda reader: own_sale(reader, request, self._store_id))
        return None if own is None else own[0]

    async def get(self, return_id: str) -> RecordedReturn:
        """The return of this id.

        Raises:
            InputError: the id is empty or too long.
            NotFoundError: nothing is known of it.
        """
        _check_id(return_id)
        found = await self._reader.run(lambda reader: find_return(reader, return_id))
        if found is None:
            raise NotFoundError("this return is not known here")
        return found


def _not_here() -> NotFoundError:
    return NotFoundError(
        "no sale of this id was made here",
        hint="For goods of another shop name it in sale_store, as the receipt has it.",
        pointer="/sale",
        code="sale_not_here",
    )


def _where_said(error: RefundError, request: ReturnRequest) -> RefundError:
    """The same faults, at the places where the request has them."""
    findings = [
        type(each)(
            code=each.code,
            detail=each.detail,
            pointer=request.pointers.get(each.pointer or "", each.pointer),
            hint=each.hint,
        )
        for each in error.findings
    ]
    return RefundError(findings)


def _sha256_of(body: bytes) -> bytes:
    """Of the JSON as it means: blanks and the order of keys do not count."""
    text = json.dumps(
        parse_json(body), sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=False
    )
    return hashlib.sha256(text.encode("utf-8")).digest()


def _check_id(return_id: str) -> None:
    if not 0 < len(return_id) <= IDENTIFIER_CHARS_MAX:
        raise InputError(f"an id has 1 to {IDENTIFIER_CHARS_MAX} characters", code="return_id")
