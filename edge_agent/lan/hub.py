"""The hub's side: promise out of its leases, lend parts of them, carry tills' records to central.

``HubDesk.answer`` is everything a till can ask, without network and signatures; ``HubGate`` puts
them around it. What a till is told is durable before it is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Protocol

import apsw
import msgspec

from edge_agent.checkout.desk import ShopDesk, Writes
from edge_agent.lan.members import AsksOfTills, FindMember, member_for
from edge_agent.lan.peers import peer_of
from edge_agent.lan.relay import (
    CentralSaid,
    RelayStream,
    Waiting,
    central_said,
    forget_to,
    forget_waiting,
    keep_batch,
    next_waiting,
    note_said,
    streams_waiting,
)
from edge_agent.lan.sales import FindSale, find_for
from edge_agent.lan.seal import decoded, encoded, open_question, seal_answer, sender_of
from edge_agent.leases.store import (
    UID_BYTES,
    Ask,
    Held,
    HoldState,
    asker_of,
    capture,
    close_due,
    forget_past,
    hold,
    hold_of_spend,
    spendable_of,
    stale_holds,
    void,
)
from edge_agent.leases.sub_leases import close_sub_lease, lend, wanted_back
from edge_agent.leases.till import forget_past_tokens
from edge_agent.limits.store import hear_uses, own_uses
from shared.crypto.signing import Signer
from shared.errors import AppError, ForbiddenError, InputError, TrustError, UnavailableError
from shared.frames import decode_batch, encoded_records
from shared.limits import (
    ACKED_RECORD_KEEP_DAYS,
    IDENTIFIER_CHARS_MAX,
    LAN_PROMOTIONS_MAX,
    LAN_TIMEOUT_S,
    LAN_USES_MAX,
    RECEIPT_COUPONS_MAX,
)
from shared.logs import get_logger
from shared.sqlfile import load_queries
from shared.unreadable import UNREADABLE
from shared.uses import last_day_of
from shared.wire.facts import FactKind, ReceiptCommitted
from shared.wire.feed import UseEntry
from shared.wire.lan import (
    OK,
    Answer,
    BeatAnswer,
    BeatAsk,
    HoldAsk,
    LanCall,
    MoreAnswer,
    MoreAsk,
    PeerEntry,
    RelayAnswer,
    RelayAsk,
    RightsAnswer,
    RightsAsk,
    SpendAnswer,
    SpendAsk,
    SpendPart,
    SubLeaseAnswer,
    SubLeaseAsk,
    SubReturnAnswer,
    SubReturnAsk,
    UsesAnswer,
    UsesAsk,
)
from shared.wire.members import FindReply, FindRequest
from shared.wire.sales import SaleAsk, SaleReply
from shared.wire.stream import Ack, Batch, Lane, Record, Refusal, RefusalCode

STALE_HOLD_MS: Final = 24 * 3_600_000
"""What a till of this agent's own froze and nobody paid: the shop has closed since."""
STALE_HOLDS_PER_ROUND_MAX: Final = 100
FORGET_EVERY_MS: Final = 600_000
FORGOTTEN_PER_ROUND_MAX: Final = 500
"""Holds; seventy thousand a day, more than a shop makes."""
BRING_PATIENCE_S: Final = 0.7 * LAN_TIMEOUT_S
"""How long central may take to lend what a till asks for."""
_COUNT_MAX: Final = 2**62
_DAY_MS: Final = 24 * 3_600_000
FORWARDS_PER_ROUND_MAX: Final = 200
"""Batches; the loop comes back, and looks again which stream is the most urgent."""
_QUERIES: Final = load_queries("edge_agent.lan")
_ACK: Final = msgspec.msgpack.Decoder(Ack)
_REFUSAL: Final = msgspec.msgpack.Decoder(Refusal)
_RECORD: Final = msgspec.msgpack.Decoder(Record)
_RECEIPT: Final = msgspec.msgpack.Decoder(ReceiptCommitted)
_LOG = get_logger(__name__)


class CarriesToCentral(Protocol):
    """``edge_agent.uplink.transport.Transport``, or a network of the simulator's."""

    async def put_relayed(
        self, edge_id: int, lane: int, epoch: int, seqs: tuple[int, int], body: bytes
    ) -> tuple[bool, bytes]:
        """Put another edge's batch; whether central acknowledged, and its answer as it came."""
        ...


class HubDesk:
    """What tills can ask of this hub.

    ``on_relayed`` is called when there is something to carry, ``on_recorded`` when something about
    money was recorded here; neither may wait.
    """

    def __init__(
        self,
        *,
        own: ShopDesk,
        writer: Writes,
        trusted_now_ms: Callable[[], int],
        on_relayed: Callable[[], None] = lambda: None,
        on_recorded: Callable[[], None] = lambda: None,
        is_roomy: Callable[[], bool] = lambda: True,
    ) -> None:
        """``is_roomy``: whether the disk has room for others' records: the shop's own go first."""
        self._is_roomy = is_roomy
        self._own = own
        self._writer = writer
        self._trusted_now_ms = trusted_now_ms
        self._on_relayed = on_relayed
        self._on_recorded = on_recorded
        self._gaps: set[RelayStream] = set()
        self._forgotten_at_ms = 0
        self.online = False
        self.find_sale: FindSale | None = None
        self.find_member: FindMember | None = None
        self._asks = AsksOfTills(trusted_now_ms)
        self._calls: dict[str, tuple[type, Callable[[int, Any], Awaitable[Any]]]] = {
            LanCall.RIGHTS: (RightsAsk, self.rights),
            LanCall.MORE: (MoreAsk, self.more),
            LanCall.USES: (UsesAsk, self.uses),
            LanCall.HOLD: (HoldAsk, self.hold),
            LanCall.CAPTURE: (SpendAsk, self.capture),
            LanCall.VOID: (SpendAsk, self.void),
            LanCall.SUB_LEASE: (SubLeaseAsk, self.sub_lease),
            LanCall.SUB_RETURN: (SubReturnAsk, self.sub_return),
            LanCall.SALE: (SaleAsk, self.sale),
            LanCall.FIND: (FindRequest, self.find),
            LanCall.RELAY: (RelayAsk, self.relay),
            LanCall.BEAT: (BeatAsk, self.beat),
        }

    async def answer(self, till: int, call: str, body: bytes) -> bytes:
        """Answer the till ``till``, whose question was checked.

        Raises:
            InputError: the call is not known, or its body breaks its format.
            UnavailableError: the disk refuses; nothing was changed.
        """
        if call not in self._calls:
            raise InputError(f"this hub knows no call {call!r}", code="unknown_call")
        kind, handler = self._calls[call]
        return encoded(await handler(till, decoded(body, kind)))

    async def rights(self, _till: int, ask: RightsAsk) -> RightsAnswer:
        """What could be set aside now for a customer, and of budgets."""
        if len(ask.promotions) > LAN_PROMOTIONS_MAX:
            raise InputError("too many budgets are asked for at once", code="bad_message")
        if len(ask.coupons) > RECEIPT_COUPONS_MAX:
            raise InputError("too many coupons are asked for at once", code="bad_message")
        _check_texts(*ask.coupons)
        # The till must hear what is here before it takes this hub for dead; the rest comes later.
        with suppress(TimeoutError):
            async with asyncio.timeout(BRING_PATIENCE_S):
                await self._bring(ask)

        def job(connection: apsw.Connection) -> RightsAnswer:
            standing = self._own.standing(connection)
            return RightsAnswer(
                spendable=spendable_of(connection, ask.owner, standing),
                budgets={
                    promotion: spendable_of(connection, promotion, standing)
                    for promotion in ask.promotions
                },
            )

        return await self._writer.run(job)

    async def _bring(self, ask: RightsAsk) -> None:
        if ask.coupons:
            await self._own.coupons(ask.owner, ask.coupons)
        elif ask.owner:
            await self._own.elsewhere(ask.owner)

    async def uses(self, till: int, ask: UsesAsk) -> UsesAnswer:
        """What this shop has counted of a customer; what the till has counted is remembered."""
        _check_texts(ask.customer_id)
        if len(ask.entries) > LAN_USES_MAX:
            raise InputError("too many counts are told at once", code="bad_message")
        mine = [each for each in ask.entries if each.edge_id == till]
        for entry in mine:
            _check_texts(entry.promotion, entry.measure)
            if entry.customer_id != ask.customer_id or not 0 < entry.amount < _COUNT_MAX:
                raise InputError("a count is of the customer, and above zero", code="bad_message")
            try:
                last_day_of(entry.period)
            except ValueError as error:
                raise InputError("there is no such period", code="bad_message") from error

        def job(connection: apsw.Connection) -> list[UseEntry]:
            hear_uses(connection, mine)
            edge_id = self._own.standing(connection).edge_id
            return own_uses(connection, ask.customer_id, edge_id)

        return UsesAnswer(entries=await self._writer.run(job))

    async def more(self, _till: int, ask: MoreAsk) -> MoreAnswer:
        """A till's receipt wanted more of a budget than what is left here."""
        _check_texts(ask.promotion, ask.asset)
        if ask.amount <= 0:
            raise InputError("an amount is above zero", code="bad_message")
        self._own.want_more(ask.promotion, ask.asset, ask.amount)
        return MoreAnswer()

    async def hold(self, till: int, ask: HoldAsk) -> SpendAnswer:
        """Set points aside for a receipt of the till's."""
        _check_uid(ask.uid)
        _check_texts(ask.receipt_id, ask.owner, ask.asset)
        if ask.amount <= 0:
            raise InputError("an amount is above zero", code="bad_message")

        def job(connection: apsw.Connection) -> Held:
            _check_asker(connection, ask.uid, till)
            own = Ask(
                uid=ask.uid,
                receipt_id=ask.receipt_id,
                owner=ask.owner,
                asset=ask.asset,
                amount=ask.amount,
                asker=till,
            )
            return hold(connection, own, self._own.standing(connection), self._own.caps)

        return _to_wire(await self._writer.run(job))

    async def capture(self, till: int, ask: SpendAsk) -> SpendAnswer:
        """The till has recorded the sale."""
        _check_uid(ask.uid)

        def job(connection: apsw.Connection) -> Held:
            _check_asker(connection, ask.uid, till)
            return capture(connection, ask.uid, self._own.standing(connection))

        captured = _to_wire(await self._writer.run(job))
        self._on_recorded()
        return captured

    async def void(self, till: int, ask: SpendAsk) -> SpendAnswer:
        """The till will not use it, whether or not it was ever held."""
        _check_uid(ask.uid)
        _check_texts(ask.receipt_id)

        def job(connection: apsw.Connection) -> Held:
            _check_asker(connection, ask.uid, till)
            standing = self._own.standing(connection)
            return void(connection, ask.uid, ask.receipt_id, standing, till)

        voided = _to_wire(await self._writer.run(job))
        self._on_recorded()
        return voided

    async def sub_lease(self, till: int, ask: SubLeaseAsk) -> SubLeaseAnswer:
        """Lend the till a part of a lease for the time when this hub is dead."""
        _check_texts(ask.sub_lease_id, ask.owner, ask.asset)
        wanted = Ask(
            uid=b"",
            receipt_id="",
            owner=ask.owner,
            asset=ask.asset,
            amount=ask.amount,
            asker=till,
        )
        lent = await self._writer.run(
            lambda connection: lend(
                connection, ask.sub_lease_id, wanted, self._own.standing(connection)
            )
        )
        return SubLeaseAnswer(
            lease_id=lent.lease_id,
            amount=lent.amount,
            spend_until_ms=lent.spend_until_ms,
            reason=lent.reason or "",
        )

    async def sub_return(self, till: int, ask: SubReturnAsk) -> SubReturnAnswer:
        """The till gives its part back."""
        known = await self._writer.run(
            lambda connection: close_sub_lease(
                connection,
                ask.sub_lease_id,
                till,
                ask.spend_count,
                ask.spent_amount,
                self._own.standing(connection),
                is_certain=ask.is_certain,
            )
        )
        return SubReturnAnswer(known=known)

    async def sale(self, till: int, ask: SaleAsk) -> SaleReply:
        """Ask central about a sale for the till."""
        return await find_for(till, ask, self.find_sale)

    async def find(self, till: int, ask: FindRequest) -> FindReply:
        """Who has a phone or a card, for the till."""
        self._asks.count(till)
        return await member_for(ask, self.find_member)

    async def relay(self, till: int, ask: RelayAsk) -> RelayAnswer:
        """Keep a batch of the till's for central, and tell what central said of its stream.

        A receipt in it that names a hold which is still open here is the till's own word that the
        sale was made: the hold is captured, even if the till never says so itself.
        """
        stream = RelayStream(edge_id=till, lane=ask.lane, epoch=ask.epoch)
        batch = decode_batch(ask.batch) if ask.batch else None

        def job(connection: apsw.Connection) -> tuple[bool, CentralSaid | None]:
            kept = (
                batch is not None
                and self._is_roomy()
                and keep_batch(connection, stream, batch, ask.batch, self._trusted_now_ms())
            )
            if batch is not None and ask.lane == Lane.RECEIPTS:
                self._capture_named(connection, till, batch)
            return kept, central_said(connection, stream)

        kept, said = await self._writer.run(job)
        if kept:
            self._gaps.discard(stream)
            self._on_relayed()
        return RelayAnswer(
            stored=kept,
            reason="" if kept or batch is None else "full",
            kind="" if said is None else said.kind,
            answer=b"" if said is None else said.answer,
            online=self.online,
        )

    async def beat(self, till: int, _ask: BeatAsk) -> BeatAnswer:
        """Tell the till what it should give back."""
        wanted = await self._writer.run(
            lambda connection: wanted_back(connection, till, self._own.standing(connection))
        )
        return BeatAnswer(wanted_back=wanted, now_ms=self._trusted_now_ms(), online=self.online)

    async def upkeep(self) -> int:
        """Close leases that are due, take back what nobody came for; how many leases were closed.

        What is long over is forgotten, a little each time.

        Only holds of this agent's own receipts are taken back by time, for this agent records the
        sale itself; a till's hold stays until the till has decided.
        """

        def job(connection: apsw.Connection) -> int:
            standing = self._own.standing(connection)
            before_ms = standing.now_ms - STALE_HOLD_MS
            for uid, receipt_id in stale_holds(
                connection, standing.edge_id, before_ms, STALE_HOLDS_PER_ROUND_MAX
            ):
                void(connection, uid, receipt_id, standing)
            if standing.now_ms - self._forgotten_at_ms >= FORGET_EVERY_MS:
                self._forgotten_at_ms = standing.now_ms
                past_ms = standing.now_ms - ACKED_RECORD_KEEP_DAYS * _DAY_MS
                forget_past(connection, past_ms, FORGOTTEN_PER_ROUND_MAX)
                forget_past_tokens(connection, past_ms)
            return len(close_due(connection, standing))

        closed = await self._writer.run(job)
        if closed:
            self._on_recorded()
        return closed

    async def forward(self, central: CarriesToCentral) -> bool:
        """Carry what waits, the most urgent stream first; whether there is more to carry.

        Raises:
            UnavailableError: central cannot be reached; everything waits.
        """
        for _ in range(FORWARDS_PER_ROUND_MAX):
            found = await self._writer.run(self._next)
            if found is None:
                return False
            stream, waiting = found
            await self._carry(central, stream, waiting)
        return True

    def _next(self, connection: apsw.Connection) -> tuple[RelayStream, Waiting] | None:
        for stream in streams_waiting(connection):
            if stream not in self._gaps:
                waiting = next_waiting(connection, stream)
                if waiting is not None:
                    return stream, waiting
        return None

    async def _carry(
        self, central: CarriesToCentral, stream: RelayStream, waiting: Waiting
    ) -> None:
        try:
            taken, answer = await central.put_relayed(
                stream.edge_id,
                stream.lane,
                stream.epoch,
                (waiting.first_seq, waiting.last_seq),
                waiting.body,
            )
        except UnavailableError:
            self.online = False
            raise
        except AppError as error:
            # The till still has it, and hears the reason when it sends the batch itself.
            self.online = True
            _LOG.warning("relay.refused", edge_id=stream.edge_id, code=error.stable_code)
            await self._writer.run(lambda connection: forget_waiting(connection, stream, waiting))
            return
        self.online = True
        said = CentralSaid(kind="ack" if taken else "refusal", answer=answer)

        def note(connection: apsw.Connection) -> None:
            note_said(connection, stream, said, self._trusted_now_ms())
            if taken:
                forget_to(connection, stream, _ACK.decode(answer).seq)
            elif not self._is_gap(stream, answer):
                # Central keeps what it refuses as evidence; the rest follows it there.
                forget_waiting(connection, stream, waiting)

        try:
            await self._writer.run(note)
        except UNREADABLE as error:
            raise UnavailableError("what answered does not speak like central") from error

    def _is_gap(self, stream: RelayStream, answer: bytes) -> bool:
        """Whether the till has to send earlier records first; the stream waits for that."""
        if _REFUSAL.decode(answer).code is not RefusalCode.GAP:
            return False
        self._gaps.add(stream)
        return True

    def _capture_named(self, connection: apsw.Connection, till: int, batch: Batch) -> None:
        if connection.execute(_QUERIES["open_holds_asked_by"], {"asker": till}).get is None:
            return
        try:
            receipts = _receipts_in(batch)
        except AppError:
            # Central says what is wrong with it; the hub only carries.
            return
        standing = self._own.standing(connection)
        for receipt in receipts:
            for spend in receipt.lease_spends:
                uid = hold_of_spend(connection, spend.spend_uid) if spend.spend_uid else None
                if uid is not None and asker_of(connection, uid) == till:
                    capture(connection, uid, standing)


class HubGate:
    """The hub's desk behind signatures: bytes in, bytes out."""

    def __init__(self, *, desk: HubDesk, edge_id: int, signer: Signer, writer: Writes) -> None:
        self._desk = desk
        self._edge_id = edge_id
        self._signer = signer
        self._writer = writer

    async def handle(self, data: bytes) -> bytes:
        """Answer one sealed question.

        Raises:
            InputError, SignatureError, ForbiddenError: it is no question of a till of this store to
                this hub; nobody is answered, for nobody known has asked.
        """
        sender = sender_of(data)
        peer: PeerEntry | None = await self._writer.run(
            lambda connection: peer_of(connection, sender)
        )
        question, question_sha256 = open_question(data, self._edge_id, peer)
        code, detail, body = OK, "", b""
        try:
            body = await self._desk.answer(sender, question.call, question.body)
        except (InputError, TrustError, UnavailableError) as error:
            code, detail = error.stable_code, error.message
        return seal_answer(
            self._signer,
            self._edge_id,
            Answer(
                recipient=sender,
                question_sha256=question_sha256,
                code=code,
                detail=detail,
                body=body,
            ),
        )


def _receipts_in(batch: Batch) -> list[ReceiptCommitted]:
    found = []
    for data in encoded_records(batch):
        try:
            record = _RECORD.decode(data)
            if record.kind == FactKind.RECEIPT_COMMITTED:
                found.append(_RECEIPT.decode(record.body))
        except UNREADABLE:
            continue
    return found


def _to_wire(held: Held) -> SpendAnswer:
    return SpendAnswer(
        state=held.state.value,
        reason=held.reason or "",
        parts=[
            SpendPart(lease_id=part.lease_id, amount=part.amount, spend_uid=part.spend_uid)
            for part in held.parts
            if held.state is not HoldState.REFUSED
        ],
    )


def _check_asker(connection: apsw.Connection, uid: bytes, till: int) -> None:
    asker = asker_of(connection, uid)
    if asker is not None and asker != till:
        raise ForbiddenError("another till asked for this", code="other_till")


def _check_uid(uid: bytes) -> None:
    if len(uid) != UID_BYTES:
        raise InputError("a uid is 16 bytes", code="bad_message")


def _check_texts(*texts: str) -> None:
    if any(len(text) > IDENTIFIER_CHARS_MAX for text in texts):
        raise InputError(
            f"a text has at most {IDENTIFIER_CHARS_MAX} characters", code="bad_message"
        )
