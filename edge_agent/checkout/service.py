"""Calculate, commit, cancel: what a till may ask of the agent about a receipt.

An ordinary receipt is read and priced where it is asked for: to hand it to a thread would cost
more than its price, and tills would wait for each other all the same, for Python runs one thread
at a time. A large one goes to a few threads of their own, so that ten thousand lines do not hold
up the other tills. Each has its own reader connection; writing is the writer's.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import apsw
from msgspec.structs import replace

from edge_agent.checkout.bodies import (
    Asked,
    asked_in,
    asked_of,
    check_id,
    money_of,
    receipt_hash,
    sha256_of,
    text_of,
    with_id,
)
from edge_agent.checkout.calculations import Calculation, Calculations
from edge_agent.checkout.desk import Desk
from edge_agent.checkout.filling import Filled
from edge_agent.checkout.policy import wanted_of
from edge_agent.checkout.pricing import NOWHERE, Elsewhere, LookUp, Pricing, Wishes
from edge_agent.checkout.proof import Proofs
from edge_agent.checkout.store import (
    Recorded,
    Sale,
    cancel_receipt,
    commit_sale,
    is_cancelled,
    recorded_sale,
    repeat_of,
)
from edge_agent.database.connection import open_reader
from edge_agent.database.disk import Disk, Fault
from edge_agent.database.writer import Writer
from shared.bundle.trust import VerifiedBundle
from shared.clock import Clock
from shared.errors import (
    ConflictError,
    CorruptionError,
    InputError,
    NotFoundError,
    UnavailableError,
)
from shared.ids import Chance
from shared.sqlfile import load_queries
from shared.wire.answer import Answer
from shared.wire.problem import Finding
from shared.wire.receipt_json import parse_json

PRICING_THREADS: Final = 2
"""One large receipt leaves a thread to the small ones; more share the same interpreter."""
SMALL_BODY_BYTES: Final = 16_384
"""Some 150 lines: a few milliseconds, for which the other tills may wait."""
RECORD_UID_BYTES: Final = 16
_QUERIES: Final = load_queries("edge_agent.database")
_COMMIT_KEYS: Final = frozenset({"receipt", "calculation_id", "to_pay"})
_Result = TypeVar("_Result")


class Bundles(Protocol):
    """Which programmes are at hand."""

    @property
    def active(self) -> VerifiedBundle | None:
        """The one that prices."""
        ...

    @property
    def previous(self) -> VerifiedBundle | None:
        """The one before, for receipts that were told a price by it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """An answer to a till; ``receipt_hash`` names the completed receipt it is the answer to."""

    calculation_id: str
    bundle_version: int
    receipt_hash: str
    answer: Answer
    notices: tuple[Finding, ...]
    """Names that this shop does not know; none of them stops the sale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A receipt that cannot be priced before somebody was asked."""

    asked: Asked
    wishes: Wishes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unpriced:
    """A sale that must be priced anew."""

    wishes: Wishes


class Checkout:
    """Everything that happens to receipts in this shop."""

    def __init__(
        self,
        *,
        database: Path,
        disk: Disk,
        writer: Writer,
        bundles: Bundles,
        look_up: LookUp,
        desk: Desk,
        proofs: Proofs,
        store_id: str,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self._database = database
        self._disk = disk
        self._writer = writer
        self._bundles = bundles
        self._desk = desk
        self._pricing = Pricing(look_up=look_up, desk=desk, proofs=proofs, now_ms=clock.now_ms)
        self._store_id = store_id
        self._clock = clock
        self._chance = chance
        self._calculations = Calculations()
        self._threads = ThreadPoolExecutor(PRICING_THREADS, thread_name_prefix="pricing")
        self._local = threading.local()
        self._readers: list[apsw.Connection] = []

    def close(self) -> None:
        """Wait for what is being priced, then close the readers."""
        self._threads.shutdown()
        for reader in self._readers:
            reader.close()

    async def calculate(self, body: bytes, *, trace: bool, hints: bool = False) -> Priced:
        """Price a receipt; nothing is recorded. ``trace`` adds the reasons, ``hints`` what lacks.

        Raises:
            InputError: the receipt breaks its format, or is of another store.
            UnavailableError: no programme has arrived yet.
        """
        bundle = self._active()

        def price(reader: apsw.Connection) -> tuple[Calculation, Answer] | _Waiting:
            """Priced at once where nobody else is to be asked."""
            asked = asked_in(body, self._store_id)
            wishes = self._pricing.wishes(reader, bundle, asked)
            if wishes is not None:
                return _Waiting(asked=asked, wishes=wishes)
            return self._pricing.calculate(reader, bundle, asked, NOWHERE, trace=trace, hints=hints)

        priced = await self._read(price, len(body))
        if isinstance(priced, _Waiting):
            asked, elsewhere = priced.asked, await self._pricing.ask(priced.wishes)
            priced = await self._read(
                lambda reader: self._pricing.calculate(
                    reader, bundle, asked, elsewhere, trace=trace, hints=hints
                ),
                len(body),
            )
        calculation, answer = priced
        named = receipt_hash(calculation.filled.receipt)
        calculation_id = f"{calculation.bundle_version}-{named[:32]}"
        self._calculations.keep(calculation_id, calculation)
        return Priced(
            calculation_id=calculation_id,
            bundle_version=calculation.bundle_version,
            receipt_hash=named,
            answer=answer,
            notices=calculation.filled.notices,
        )

    async def commit(self, receipt_id: str, body: bytes) -> Recorded:
        """Record a sale durably, at the price the till was told; a repeat gives the first answer.

        A calculation that is no longer here (the agent was restarted) is made again with the
        bundle it was made with, or with the active one if that is gone.

        Raises:
            InputError: the body or the receipt breaks its format.
            ConflictError: ``receipt_changed``, ``receipt_cancelled``.
            UnavailableError: no programme has arrived yet, or the disk refuses.
        """
        check_id(receipt_id)
        sale = await self._sale_or_repeat(receipt_id, body)
        if isinstance(sale, Recorded):
            return sale
        wanted = wanted_of(sale.receipt, sale.answer, sale.used, sale.coupons)
        if wanted:
            await self._desk.prepare(receipt_id, wanted)
        recorded = await self._writer.run(
            lambda connection: commit_sale(connection, sale, self._desk.standing(connection))
        )
        customer = recorded.fact.receipt.customer
        if recorded.fact.uses and customer is not None and customer.id is not None:
            self._desk.note_used(customer.id)
        return recorded

    async def freeze(self, receipt_id: str, body: bytes) -> Answer:
        """Set aside the points and budgets that this receipt is to take, before it is paid.

        The body is that of ``commit``. A repeat changes nothing; another calculation of the same
        receipt replaces what was set aside before, and ``cancel`` takes it back.

        Raises:
            InputError: the body or the receipt breaks its format.
            ConflictError: ``receipt_cancelled``, ``already_committed``, or ``points_not_promised``:
                nothing is set aside; calculate again and show the customer the new sum.
            UnavailableError: no programme has arrived yet, or the disk refuses.
        """
        check_id(receipt_id)
        sale = await self._sale_or_repeat(receipt_id, body)
        if isinstance(sale, Recorded):
            raise ConflictError("this receipt is already a sale", code="already_committed")
        wanted = wanted_of(sale.receipt, sale.answer, sale.used, sale.coupons)
        reason = await self._desk.promise(receipt_id, wanted)
        if reason is not None:
            raise ConflictError(
                f"what this receipt takes could not be set aside: {reason.value}",
                code="points_not_promised",
                hint="Calculate the receipt again: it now takes what can be set aside.",
            )
        return sale.answer

    async def cancel(self, receipt_id: str) -> None:
        """Note that a receipt will not become a sale.

        Raises:
            InputError: the id is empty or too long.
            ConflictError: ``already_committed``.
        """
        check_id(receipt_id)
        now_ms = self._clock.now_ms()
        await self._writer.run(
            lambda connection: cancel_receipt(
                connection, receipt_id, now_ms, self._desk.standing(connection)
            )
        )

    async def get(self, receipt_id: str) -> Recorded | None:
        """The sale of this id; None when it was cancelled.

        Raises:
            NotFoundError: nothing is known of it.
        """

        def find(reader: apsw.Connection) -> Recorded | None:
            found = recorded_sale(reader, receipt_id)
            if found is None and not is_cancelled(reader, receipt_id):
                raise NotFoundError("this receipt is not known here")
            return found

        return await self._read(find, 0)

    def _active(self) -> VerifiedBundle:
        bundle = self._bundles.active
        if bundle is None:
            raise UnavailableError(
                "no programme has arrived from central yet", code="no_bundle", retry_after_s=1
            )
        return bundle

    def _bundle_of(self, calculation_id: str | None) -> VerifiedBundle:
        version = (calculation_id or "").partition("-")[0]
        for bundle in (self._bundles.active, self._bundles.previous):
            if bundle is not None and str(bundle.header.version) == version:
                return bundle
        return self._active()

    async def _sale_or_repeat(self, receipt_id: str, body: bytes) -> Sale | Recorded:
        """The sale in this body, priced as the till was told; or what is recorded of it."""
        now_ms = self._clock.now_ms()
        sale = await self._read(
            lambda reader: self._sale(reader, receipt_id, body, now_ms, None), len(body)
        )
        if not isinstance(sale, _Unpriced):
            return sale
        elsewhere = await self._pricing.ask(sale.wishes)
        priced = await self._read(
            lambda reader: self._sale(reader, receipt_id, body, now_ms, elsewhere), len(body)
        )
        assert not isinstance(priced, _Unpriced), "all that pricing needs was given"
        return priced

    def _sale(
        self,
        reader: apsw.Connection,
        receipt_id: str,
        body: bytes,
        now_ms: int,
        elsewhere: Elsewhere | None,
    ) -> Sale | Recorded | _Unpriced:
        """``elsewhere`` None: not asked yet, so a receipt that must be priced waits for it."""
        raw = parse_json(body)
        if not isinstance(raw, dict) or not raw.keys() <= _COMMIT_KEYS or "receipt" not in raw:
            raise InputError(
                "a commit has receipt, and optionally calculation_id and to_pay",
                code="bad_commit",
                pointer="",
            )
        calculation_id = raw.get("calculation_id")
        if calculation_id is not None:
            calculation_id = text_of(calculation_id, "/calculation_id")
        to_pay_told_minor = money_of(raw.get("to_pay"), "/to_pay")
        named = with_id(raw["receipt"], receipt_id)
        # Not the calculation id: after a restart the till may have had to ask for a new one.
        body_sha256 = sha256_of([raw["receipt"], raw.get("to_pay")])
        calculation = self._told(calculation_id, raw["receipt"], named)
        # What was priced is well-formed; to read it once more would cost as much as to record it.
        asked = asked_of(named, self._store_id) if calculation is None else None
        repeated = repeat_of(reader, receipt_id, body_sha256)
        if repeated is not None:
            return repeated
        if calculation is None:
            assert asked is not None, "it was read just now"
            bundle = self._bundle_of(calculation_id)
            if elsewhere is None:
                wishes = self._pricing.wishes(reader, bundle, asked)
                if wishes is not None:
                    return _Unpriced(wishes=wishes)
                elsewhere = NOWHERE
            calculation, _ = self._pricing.calculate(reader, bundle, asked, elsewhere, trace=False)
        filled = _of_id(calculation.filled, receipt_id)
        return Sale(
            receipt=filled.receipt,
            answer=_answer_of_id(calculation.answer, receipt_id),
            bundle_version=calculation.bundle_version,
            business_date=datetime.fromisoformat(filled.receipt.time).date().isoformat(),
            body_sha256=body_sha256,
            record_uid=self._chance.token_bytes(RECORD_UID_BYTES),
            to_pay_told_minor=to_pay_told_minor,
            now_ms=now_ms,
            incidents=filled.incidents,
            coupons=calculation.coupons,
            used=calculation.used,
        )

    def _told(self, calculation_id: str | None, *raw_receipts: Any) -> Calculation | None:
        """What the till was told of this very receipt, written in one of these ways."""
        found = None if calculation_id is None else self._calculations.find(calculation_id)
        if found is None or all(found.raw_sha256 != sha256_of(each) for each in raw_receipts):
            return None
        return found

    async def _read(self, job: Callable[[apsw.Connection], _Result], body_bytes: int) -> _Result:
        """What ``job`` finds; ``body_bytes`` says how much work it is."""
        try:
            if body_bytes <= SMALL_BODY_BYTES:
                return self._at_one_moment(job)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._at_one_moment, job)
        except apsw.Error as error:
            self._disk.note_reading(error)
            raise UnavailableError("the database could not be read", retry_after_s=1) from error

    def _at_one_moment(self, job: Callable[[apsw.Connection], _Result]) -> _Result:
        """Whatever is written meanwhile, a receipt is priced by what was known at one moment."""
        reader = self._reader()
        reader.execute(_QUERIES["begin_read"])
        try:
            return job(reader)
        finally:
            if reader.in_transaction:  # some errors end it by themselves
                reader.execute(_QUERIES["commit"])

    def _reader(self) -> apsw.Connection:
        reader: apsw.Connection | None = getattr(self._local, "reader", None)
        if reader is None:
            try:
                reader = self._local.reader = open_reader(self._database)
            except CorruptionError as error:
                self._disk.fail(Fault.FAILED, error.message)
                raise UnavailableError("the database could not be read", retry_after_s=1) from error
            self._readers.append(reader)
        return reader


def _answer_of_id(answer: Answer, receipt_id: str) -> Answer:
    """The very one that the till was told, where it was told it under this id."""
    return answer if answer.receipt_id == receipt_id else replace(answer, receipt_id=receipt_id)


def _of_id(filled: Filled, receipt_id: str) -> Filled:
    receipt = replace(filled.receipt, receipt_id=receipt_id)
    return Filled(receipt=receipt, incidents=filled.incidents)
