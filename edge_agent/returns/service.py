"""Calculate and commit: what a till may ask of the agent when goods come back."""

from __future__ import annotations

import hashlib
import json
from typing import Final

import apsw

from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.returns.policy import due
from edge_agent.returns.store import Made, RecordedReturn, commit_return, find_return, sold
from shared.clock import Clock
from shared.engine.refund import RefundError
from shared.errors import InputError, NotFoundError
from shared.ids import Chance
from shared.limits import IDENTIFIER_CHARS_MAX
from shared.wire.reading import parse_json
from shared.wire.refund_json import Refund
from shared.wire.return_json import ReturnRequest, decode_return

RECORD_UID_BYTES: Final = 16


class Returns:
    """Everything that comes back to this shop."""

    def __init__(
        self, *, writer: Writer, reader: Reader, store_id: str, clock: Clock, chance: Chance
    ) -> None:
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
            RefundError: a line is unknown, too much of one is wanted, or a part of a piece.
        """
        request = decode_return(body, made=False)

        def ask(reader: apsw.Connection) -> Refund:
            sale = sold(reader, request.sale_id)
            return due(sale.fact, sale.refunds, request.wanted_milli)

        try:
            return await self._reader.run(ask)
        except RefundError as error:
            raise _where_said(error, request) from error

    async def commit(self, return_id: str, body: bytes) -> RecordedReturn:
        """Record durably what was given back; a repeat gives the first answer.

        More than was left of the sale is cut to that, and a sum that differs from what the till
        gave stands as given: both are incidents, for the goods are back.

        Raises:
            InputError: the body breaks its format.
            NotFoundError: ``sale_not_here``.
            ConflictError: ``return_changed``.
            RefundError: a line is unknown, or a part of a piece came back.
            UnavailableError: the disk refuses.
        """
        _check_id(return_id)
        request = decode_return(body, made=True)
        made = Made(
            return_id=return_id,
            request=request,
            store_id=self._store_id,
            body_sha256=_sha256_of(body),
            record_uid=self._chance.token_bytes(RECORD_UID_BYTES),
            now_ms=self._clock.now_ms(),
        )
        try:
            return await self._writer.run(lambda connection: commit_return(connection, made))
        except RefundError as error:
            raise _where_said(error, request) from error

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
