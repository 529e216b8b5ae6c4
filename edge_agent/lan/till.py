"""The till's side: ask the hub for promises, live without it, and settle with it afterwards.

The order is what keeps money right. The till writes a token before it asks, so a crash leaves a
trace; an answer that never came is taken back by uid, and the same receipt gets its points from
nowhere else; the sale and the token's end are one transaction; and the hub is told until it has
confirmed. While the hub is dead discounts go on, and points come from parts of leases that the hub
lent before.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import apsw

from edge_agent.checkout.desk import ShopDesk, Writes
from edge_agent.lan.link import HubLink, NotReachedError
from edge_agent.lan.peers import hub_of
from edge_agent.lan.policy import Breaker, after_failure, after_success, may_call, rests
from edge_agent.lan.sales import heard
from edge_agent.lan.seal import decoded, encoded
from edge_agent.leases.payment import Promises, take_back
from edge_agent.leases.policy import Part, Reason, Standing, Wanted
from edge_agent.leases.store import UID_BYTES, Ask, HoldState, hold
from edge_agent.leases.till import (
    PartAsk,
    Returning,
    Token,
    TokenState,
    ask_part,
    asked_parts,
    begin_return,
    end_return,
    note_asked,
    note_granted,
    note_part,
    note_refused,
    note_told,
    note_voided,
    parts_over,
    parts_returning,
    untold_tokens,
    void_stale,
    wants_part,
)
from edge_agent.limits.store import own_uses
from shared.errors import AppError, ConflictError, InputError, UnavailableError
from shared.ids import Chance
from shared.limits import LAN_PROMOTIONS_MAX, LAN_TIMEOUT_S, SUB_LEASE_UNITS_MAX
from shared.logs import get_logger
from shared.wire.feed import UseEntry
from shared.wire.lan import (
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
    SubLeaseAnswer,
    SubLeaseAsk,
    SubReturnAnswer,
    SubReturnAsk,
    UsesAnswer,
    UsesAsk,
)
from shared.wire.members import FindReply, FindRequest
from shared.wire.sales import SaleAsk, SaleReply

SETTLED_PER_ROUND_MAX: Final = 200
ASKED_STALE_MS: Final = 60_000
"""An answer comes within the time-out of one second or not at all."""
GRANTED_STALE_MS: Final = 24 * 3_600_000
"""What was frozen and nobody paid: the shop has closed since."""
PATIENCE_NS: Final = int(0.5 * LAN_TIMEOUT_S * 10**9)
"""What is set aside for a receipt is asked for one by one; past this nothing more is asked for."""
_WISHES_MAX: Final = 50
_POINT_UNITS: Final = 100
_LOG = get_logger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    hub: PeerEntry | None
    tokens: list[Token]
    returning: list[Returning]
    asked: list[tuple[str, str, str, int]]


class TillDesk:
    """The desk of a till with a hub (``edge_agent.checkout.desk.Desk``)."""

    def __init__(
        self,
        *,
        own: ShopDesk,
        writer: Writes,
        link: HubLink,
        edge_id: int,
        trusted_now_ms: Callable[[], int],
        mono_ns: Callable[[], int],
        chance: Chance,
        untried: Callable[[], bool] = lambda: False,
    ) -> None:
        """``untried``: whether there is an address of the hub at which nobody failed to answer."""
        self._untried = untried
        self._own = own
        self._writer = writer
        self._link = link
        self._edge_id = edge_id
        self._trusted_now_ms = trusted_now_ms
        self._mono_ns = mono_ns
        self._chance = chance
        self._breaker = Breaker()
        self._busy: set[str] = set()
        self._wishes: deque[tuple[str, str]] = deque(maxlen=_WISHES_MAX)
        self._more: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._used: OrderedDict[str, None] = OrderedDict()
        self.last_error: str | None = None

    def standing(self, connection: apsw.Connection) -> Standing:
        """As whom this till speaks."""
        return self._own.standing(connection)

    @property
    def hub_answers(self) -> bool:
        """Whether the hub answered the last question."""
        return self._breaker.failures == 0

    async def elsewhere(self, owner: str) -> Mapping[str, int]:
        """What the hub would set aside now; nothing when it does not answer."""
        hub = await self._hub()
        if hub is None:
            return {}
        try:
            answer = await self._ask_soon(hub, LanCall.RIGHTS, RightsAsk(owner=owner), RightsAnswer)
        except AppError:
            return {}
        return answer.spendable

    async def coupons(self, owner: str, assets: Sequence[str]) -> Mapping[str, int]:
        """What the hub would set aside now, after it has asked central for what it lacks."""
        hub = await self._hub()
        if hub is None:
            return {}
        ask = RightsAsk(owner=owner, coupons=list(assets))
        try:
            answer = await self._ask_soon(hub, LanCall.RIGHTS, ask, RightsAnswer)
        except AppError:
            return {}
        return {asset: answer.spendable.get(asset, 0) for asset in assets}

    @property
    def asks_for_budgets(self) -> bool:
        """Whether the hub is there: what it has left of a budget is more than this till's part."""
        return self.hub_answers

    async def budgets(self, promotions: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        """What the hub would set aside now; nothing when it does not answer."""
        hub = await self._hub()
        if hub is None:
            return {}
        ask = RightsAsk(owner="", promotions=list(promotions[:LAN_PROMOTIONS_MAX]))
        try:
            answer = await self._ask_soon(hub, LanCall.RIGHTS, ask, RightsAnswer)
        except AppError:
            return {}
        return answer.budgets

    async def uses(self, customer_id: str) -> Sequence[UseEntry]:
        """What the hub and the other tills have counted of a customer; nothing when it is gone."""
        hub = await self._hub()
        if hub is None:
            return ()
        try:
            return await self._exchange_uses(hub, customer_id, self._ask_soon)
        except AppError:
            return ()

    def note_used(self, customer_id: str) -> None:
        """The hub is told in a moment, for the other tills."""
        self._used[customer_id] = None
        while len(self._used) > _WISHES_MAX:
            self._used.popitem(last=False)

    async def _exchange_uses(
        self, hub: PeerEntry, customer_id: str, ask_by: Callable[..., Awaitable[UsesAnswer]]
    ) -> list[UseEntry]:
        def mine(connection: apsw.Connection) -> list[UseEntry]:
            found = own_uses(connection, customer_id, self._edge_id)
            return [each for each in found if each.edge_id == self._edge_id]

        entries = await self._writer.run(mine)
        ask = UsesAsk(customer_id=customer_id, entries=entries)
        return (await ask_by(hub, LanCall.USES, ask, UsesAnswer)).entries

    def want_more(self, promotion: str, asset: str, amount: int) -> None:
        """The hub is told in a moment, and asks central."""
        self._more[promotion, asset] = amount
        while len(self._more) > _WISHES_MAX:
            self._more.popitem(last=False)

    async def promise(self, receipt_id: str, wanted: Sequence[Wanted]) -> Reason | None:
        """Set all of it aside: at the hub, or in this till's own parts when it is not reached.

        Raises:
            ConflictError: ``receipt_busy``: the same receipt is being frozen at this moment.
        """
        if receipt_id in self._busy:
            raise ConflictError("this receipt is being frozen right now", code="receipt_busy")
        self._busy.add(receipt_id)
        until_ns = self._mono_ns() + PATIENCE_NS
        try:
            for each in await self._not_promised(receipt_id, wanted):
                reason = await self._promise(receipt_id, each, until_ns)
                if reason is not None:
                    await self._writer.run(
                        lambda connection: take_back(
                            connection, receipt_id, self.standing(connection)
                        )
                    )
                    return reason
        finally:
            self._busy.discard(receipt_id)
        return None

    async def prepare(self, receipt_id: str, wanted: Sequence[Wanted]) -> None:
        """Ask the hub for what was not frozen; what it does not promise the sale takes here."""
        until_ns = self._mono_ns() + PATIENCE_NS
        for each in await self._not_promised(receipt_id, wanted):
            await self._ask_hub(receipt_id, each, until_ns)

    async def settle(self) -> bool:
        """Tell the hub how things ended, return and ask for parts of leases; whether all is done.

        Raises:
            UnavailableError: the hub does not answer; everything stays to be told.
        """
        due = await self._writer.run(self._due)
        if due.hub is None:
            return True
        for token in due.tokens:
            await self._tell(due.hub, token)
        for part in due.returning:
            await self._return(due.hub, part)
        beat = await self.ask(
            due.hub, LanCall.BEAT, BeatAsk(now_ms=self._trusted_now_ms()), BeatAnswer
        )
        begun = 0
        if beat.wanted_back:
            begun = await self._writer.run(
                lambda connection: sum(begin_return(connection, each) for each in beat.wanted_back)
            )
        while self._used:
            customer_id, _ = self._used.popitem(last=False)
            with suppress(InputError):  # a hub of an older release
                await self._exchange_uses(due.hub, customer_id, self.ask)
        while self._more:
            (promotion, asset), amount = self._more.popitem()
            more = MoreAsk(promotion=promotion, asset=asset, amount=amount)
            with suppress(InputError):  # a hub of an older release
                await self.ask(due.hub, LanCall.MORE, more, MoreAnswer)
        wished = await self._writer.run(self._wish)
        for asked in [*due.asked, *wished]:
            await self._ask_part(due.hub, asked)
        full = max(len(due.tokens), len(due.returning), len(due.asked)) >= SETTLED_PER_ROUND_MAX
        return not begun and not full

    async def find_sale(self, asked: SaleAsk) -> SaleReply | None:
        """What central says of a sale, through the hub; None: ask it directly.

        Raises:
            NotFoundError, ConflictError: central says so.
        """
        hub = await self._hub()
        if hub is None:
            return None
        return await heard(self._ask_soon(hub, LanCall.SALE, asked, SaleReply))

    async def find_member(self, asked: FindRequest) -> FindReply | None:
        """Who has a phone or a card, as the hub knows; None: ask central directly."""
        hub = await self._hub()
        if hub is None:
            return None
        try:
            return await self._ask_soon(hub, LanCall.FIND, asked, FindReply)
        except AppError:
            return None  # it is not there, knows nobody to ask, or is of an older release

    async def relay(self, lane: int, epoch: int, batch: bytes) -> RelayAnswer | None:
        """Give the hub a batch for central (or ask what central said); None: there is no hub now.

        Raises:
            AppError: as ``HubLink.ask``.
        """
        hub = await self._hub()
        if hub is None:
            return None
        ask = RelayAsk(lane=lane, epoch=epoch, batch=batch)
        return await self.ask(hub, LanCall.RELAY, ask, RelayAnswer)

    async def ask(self, hub: PeerEntry, call: LanCall, message: Any, kind: type[_T]) -> _T:
        """One question behind the breaker.

        Raises:
            NotReachedError: the hub was not asked; it is left alone after several failures.
            UnavailableError: nobody knows whether it was.
            AppError: the hub refused.
        """
        allowed, self._breaker = may_call(self._breaker, self._mono_ns())
        # The breaker is about the addresses that failed; a new one costs one question.
        if not allowed and not self._untried():
            raise NotReachedError("the hub did not answer lately", retry_after_s=1)
        try:
            body = await self._link.ask(hub, call.value, encoded(message))
            answer = decoded(body, kind)
        except UnavailableError as error:
            if self.hub_answers:
                _LOG.warning("hub.lost", code=error.stable_code, detail=error.message)
            # Questions that went out together meet the same silence: it counts once.
            if not rests(self._breaker, self._mono_ns()):
                self._breaker = after_failure(self._breaker, self._mono_ns())
            self.last_error = error.message
            raise
        except AppError:
            self._breaker = after_success(self._breaker)
            raise
        if not self.hub_answers:
            _LOG.info("hub.restored")
        self._breaker = after_success(self._breaker)
        self.last_error = None
        return answer

    async def _ask_soon(self, hub: PeerEntry, call: LanCall, message: Any, kind: type[_T]) -> _T:
        """``ask`` where a cashier waits: after a failure even a new address rests a moment."""
        if rests(self._breaker, self._mono_ns()):
            raise NotReachedError("the hub did not answer just now", retry_after_s=1)
        return await self.ask(hub, call, message, kind)

    def _may_ask_soon(self) -> bool:
        now_ns = self._mono_ns()
        allowed, _ = may_call(self._breaker, now_ns)
        return (allowed or self._untried()) and not rests(self._breaker, now_ns)

    async def _hub(self) -> PeerEntry | None:
        hub = await self._writer.run(hub_of)
        return None if hub is None or hub.edge_id == self._edge_id else hub

    async def _not_promised(self, receipt_id: str, wanted: Sequence[Wanted]) -> list[Wanted]:
        """What is not promised yet; promises for other amounts are taken back first."""

        def job(connection: apsw.Connection) -> list[Wanted]:
            promises = Promises(connection, receipt_id)
            by_key = {(each.owner, each.asset): each for each in wanted}
            promises.drop_unless(by_key, self.standing(connection))
            return [each for key, each in by_key.items() if promises.amount(key) != each.amount]

        return await self._writer.run(job)

    async def _promise(self, receipt_id: str, each: Wanted, until_ns: int) -> Reason | None:
        reason = await self._ask_hub(receipt_id, each, until_ns)
        if reason not in (Reason.UNKNOWN, Reason.NOT_COVERED, Reason.RECOVERING):
            return reason
        ask = self._own_ask(receipt_id, each)
        held = await self._writer.run(
            lambda connection: hold(connection, ask, self.standing(connection), self._own.caps)
        )
        return held.reason

    async def _ask_hub(self, receipt_id: str, each: Wanted, until_ns: int) -> Reason | None:
        """None: the hub promised it; UNKNOWN: the hub was surely not asked.

        ``until_ns``: when it is too late to begin, for somebody stands at the till.
        """
        ask = self._own_ask(receipt_id, each)

        def begin(connection: apsw.Connection) -> PeerEntry | Reason:
            if Promises(connection, receipt_id).doubtful((each.owner, each.asset)):
                return Reason.DOUBTFUL
            hub = hub_of(connection)
            if hub is None or self._mono_ns() >= until_ns or not self._may_ask_soon():
                return Reason.UNKNOWN
            note_asked(connection, ask, hub.edge_id, self._trusted_now_ms())
            return hub

        begun = await self._writer.run(begin)
        if isinstance(begun, Reason):
            return begun
        question = HoldAsk(
            uid=ask.uid,
            receipt_id=receipt_id,
            owner=each.owner,
            asset=each.asset,
            amount=each.amount,
        )
        try:
            answer = await self._ask_soon(begun, LanCall.HOLD, question, SpendAnswer)
        except NotReachedError:
            return await self._refused(ask.uid, Reason.UNKNOWN)
        except UnavailableError:
            return await self._doubt(ask.uid)
        except AppError:
            return await self._refused(ask.uid, Reason.NOT_COVERED)
        return await self._heed(ask, answer)

    async def _heed(self, ask: Ask, answer: SpendAnswer) -> Reason | None:
        if answer.state == HoldState.HELD:
            parts = tuple(
                Part(
                    lease_id=part.lease_id,
                    sub_lease_id=None,
                    amount=part.amount,
                    spend_uid=part.spend_uid,
                )
                for part in answer.parts
            )
            whole = sum(part.amount for part in parts) == ask.amount
            if whole and await self._writer.run(
                lambda connection: note_granted(connection, ask.uid, parts)
            ):
                return None
            return await self._doubt(ask.uid)
        if answer.state == HoldState.REFUSED:
            known = answer.reason in Reason.__members__.values()
            reason = Reason(answer.reason) if known else Reason.NOT_COVERED
            return await self._refused(ask.uid, reason)
        return await self._doubt(ask.uid)

    async def _refused(self, uid: bytes, reason: Reason) -> Reason:
        await self._writer.run(lambda connection: note_refused(connection, uid))
        return reason

    async def _doubt(self, uid: bytes) -> Reason:
        await self._writer.run(lambda connection: note_voided(connection, uid, doubtful=True))
        return Reason.DOUBTFUL

    def _own_ask(self, receipt_id: str, each: Wanted) -> Ask:
        return Ask(
            uid=self._chance.token_bytes(UID_BYTES),
            receipt_id=receipt_id,
            owner=each.owner,
            asset=each.asset,
            amount=each.amount,
            asker=self._edge_id,
        )

    def _due(self, connection: apsw.Connection) -> _Due:
        limit = SETTLED_PER_ROUND_MAX
        standing = self.standing(connection)
        void_stale(connection, TokenState.ASKED, standing.now_ms - ASKED_STALE_MS, limit)
        void_stale(connection, TokenState.GRANTED, standing.now_ms - GRANTED_STALE_MS, limit)
        for sub_lease_id in parts_over(connection, standing, limit):
            begin_return(connection, sub_lease_id)
        hub = hub_of(connection)
        hub_edge_id = 0 if hub is None else hub.edge_id
        return _Due(
            hub=hub,
            tokens=untold_tokens(connection, hub_edge_id, limit),
            returning=parts_returning(connection, hub_edge_id, limit),
            asked=asked_parts(connection, hub_edge_id, limit),
        )

    async def _tell(self, hub: PeerEntry, token: Token) -> None:
        captured = token.state is TokenState.CAPTURED
        call = LanCall.CAPTURE if captured else LanCall.VOID
        ask = SpendAsk(uid=token.uid, receipt_id=token.receipt_id)
        try:
            answer = await self.ask(hub, call, ask, SpendAnswer)
        except UnavailableError:
            raise
        except AppError as error:
            _LOG.warning("token.refused", call=call.value, code=error.stable_code)
        else:
            if answer.state != token.state.value:
                # A hub that was restored or replaced; the receipt itself tells central.
                _LOG.warning("token.differs", call=call.value, hub_says=answer.state)
        await self._writer.run(lambda connection: note_told(connection, token.uid))
        if captured:
            self._wishes.append((token.owner, token.asset))

    async def _return(self, hub: PeerEntry, part: Returning) -> None:
        epoch = await self._writer.run(lambda connection: self.standing(connection).epoch)
        ask = SubReturnAsk(
            sub_lease_id=part.sub_lease_id,
            spend_count=part.spend_count,
            spent_amount=part.spent_amount,
            is_certain=part.epoch == epoch,
        )
        answer = await self.ask(hub, LanCall.SUB_RETURN, ask, SubReturnAnswer)
        if not answer.known:
            _LOG.warning("sub_lease.not_known", sub_lease_id=part.sub_lease_id)
        await self._writer.run(lambda connection: end_return(connection, part.sub_lease_id))

    def _wish(self, connection: apsw.Connection) -> list[tuple[str, str, str, int]]:
        """Parts for customers who spend here and have none; written down before they are asked."""
        asked: list[tuple[str, str, str, int]] = []
        hub = hub_of(connection)
        while self._wishes and hub is not None:
            owner, asset = self._wishes.popleft()
            if not wants_part(connection, owner, asset):
                continue
            sub_lease_id = self._chance.token_bytes(UID_BYTES).hex()
            amount = SUB_LEASE_UNITS_MAX * _POINT_UNITS
            ask_part(
                connection,
                PartAsk(
                    sub_lease_id=sub_lease_id,
                    owner=owner,
                    asset=asset,
                    amount=amount,
                    hub_edge_id=hub.edge_id,
                    epoch=self.standing(connection).epoch,
                ),
            )
            asked.append((sub_lease_id, owner, asset, amount))
        return asked

    async def _ask_part(self, hub: PeerEntry, asked: tuple[str, str, str, int]) -> None:
        sub_lease_id, owner, asset, amount = asked
        answer = await self.ask(
            hub,
            LanCall.SUB_LEASE,
            SubLeaseAsk(sub_lease_id=sub_lease_id, owner=owner, asset=asset, amount=amount),
            SubLeaseAnswer,
        )
        await self._writer.run(
            lambda connection: note_part(
                connection,
                sub_lease_id,
                answer.lease_id,
                min(answer.amount, amount),
                answer.spend_until_ms,
            )
        )
