"""Customers at the till: who they are, how often that may be asked, and new ones."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import apsw

from edge_agent.database.reader import Reader
from edge_agent.database.writer import Writer
from edge_agent.loyalty.newcomers import Newcomer, forget_newcomers, newcomers_waiting
from edge_agent.loyalty.store import customer_by_id, is_told
from edge_agent.members.finding import Finding, Found
from edge_agent.members.keys import KeyRing
from edge_agent.members.policy import subjects_of
from edge_agent.members.registering import Registering
from edge_agent.members.requests import IdentifyRequest, RegisterMember
from edge_agent.members.store import blocked, count_asking, count_missing
from shared.clock import Clock
from shared.errors import BusyError
from shared.limits import ACKED_RECORD_KEEP_DAYS
from shared.status import Health, Status
from shared.wire.members import MemberFound

ROUND_S: Final = 1.0
FORGOTTEN_PER_ROUND_MAX: Final = 100
_FORGET_EVERY_NS: Final = 600 * 10**9
_DAY_MS: Final = 24 * 3_600_000
_NAMED_MAX: Final = 5


class Outcome(enum.StrEnum):
    """What became of a registration."""

    NEW = "new"
    """Head office made the member."""
    KNOWN = "known"
    """The phone is a member's who was there before."""
    PROVISIONAL = "provisional"
    """This shop made the member; head office decides later who it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A new member, or the one who was there; ``card_taken``: the card is theirs now."""

    outcome: Outcome
    member: MemberFound
    card_taken: bool


class Members:
    """Identifies and registers. Waits are counted in trusted time, which never goes back."""

    def __init__(
        self,
        *,
        keys: KeyRing,
        finding: Finding,
        registering: Registering,
        writer: Writer,
        reader: Reader,
        trusted_now_ms: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._keys = keys
        self._finding = finding
        self._registering = registering
        self._writer = writer
        self._reader = reader
        self._trusted_now_ms = trusted_now_ms
        self._clock = clock
        self._blocked: dict[str, int] = {}
        self._waiting = 0
        self._forgot_ns: int | None = None

    async def identify(self, asked: IdentifyRequest, till: str) -> Found:
        """Who shows this; nobody: no members. ``till``: whose token it was.

        Raises:
            InputError: ``bad_phone``.
            ConflictError: ``code_not_good``.
            BusyError: ``look_ups_wait``: this till, cashier or shop asked for too many phones.
            UnavailableError: ``phones_offline``, ``members_offline``, or the disk refuses.
        """
        if asked.code is not None:
            return await self._finding.by_code(asked.code, f"{till} {asked.register or ''}")
        if asked.card is not None:
            return await self._finding.by_card(asked.card)
        assert asked.phone is not None, "one of the three is shown"
        plain = self._finding.read(asked.phone)
        subjects = subjects_of(till, asked.register, asked.cashier)
        await self._count(subjects)
        found = await self._finding.by_phone(await self._finding.hashed(plain))
        if not found.members:
            now_ms = self._trusted_now_ms()
            await self._writer.run(lambda connection: count_missing(connection, subjects, now_ms))
        return found

    async def register(self, asked: RegisterMember, till: str) -> Registered:
        """Make a member, or find the one who has the phone; a repeat gets the first answer.

        Raises:
            InputError: ``bad_phone``.
            ConflictError: ``operation_changed``.
            BusyError: ``look_ups_wait``: it tells whose phone it is, so it counts as a look-up.
            UnavailableError: ``members_offline``, or the disk refuses.
        """
        phone = await self._finding.hashed(self._finding.read(asked.phone))
        made = await self._registering.known(asked, phone)
        if made is None:
            await self._count(subjects_of(till, asked.register, asked.cashier))
            found = await self._finding.owner_here(phone)
            if found is not None:
                return Registered(outcome=Outcome.KNOWN, member=found, card_taken=False)
            made = await self._registering.register(asked, phone)
            self._finding.note_made(phone, made.customer_id)
        return await self._registered(made)

    async def round(self) -> None:
        """Keep keys fresh, know who is blocked, forget what is long past.

        Raises:
            AppError: head office did not give the keys, or the disk refuses.
        """
        await asyncio.sleep(ROUND_S)
        now_ms = self._trusted_now_ms()
        self._blocked = await self._reader.run(lambda reader: blocked(reader, now_ms))
        self._waiting = await self._reader.run(newcomers_waiting)
        now_ns = self._clock.mono_ns()
        if self._forgot_ns is None or now_ns - self._forgot_ns >= _FORGET_EVERY_NS:
            self._forgot_ns = now_ns
            before_ms = now_ms - ACKED_RECORD_KEEP_DAYS * _DAY_MS
            await self._writer.run(
                lambda connection: forget_newcomers(connection, before_ms, FORGOTTEN_PER_ROUND_MAX)
            )
        await self._keys.renew()

    def status(self) -> Status:
        """Who has to wait with look-ups, and how many new members head office has not heard of."""
        parts = []
        if self._blocked:
            # Cashiers are people; how many is enough.
            tills = [each for each in self._blocked if not each.startswith("cashier ")]
            named = ", ".join(tills[:_NAMED_MAX])
            parts.append(f"look-ups wait: {len(self._blocked)}" + (f" ({named})" if named else ""))
        if self._waiting:
            parts.append(f"new members to be confirmed: {self._waiting}")
        health = Health.WARN if self._blocked else Health.OK
        return Status(component="members", health=health, message="; ".join(parts))

    async def _count(self, subjects: list[str]) -> None:
        now_ms = self._trusted_now_ms()
        wait_ms = await self._writer.run(
            lambda connection: count_asking(connection, subjects, now_ms)
        )
        if wait_ms:
            raise BusyError(
                "too many phones were looked up here",
                code="look_ups_wait",
                hint="Ask for the card or the code; phones can be looked up again later.",
                retry_after_s=-(-wait_ms // 1000),
            )

    async def _registered(self, made: Newcomer) -> Registered:
        def now(reader: apsw.Connection) -> Registered:
            entry = customer_by_id(reader, made.customer_id) or made.entry()
            outcome = Outcome.NEW if made.is_new else Outcome.KNOWN
            if made.owner is None:
                outcome = Outcome.PROVISIONAL
                if is_told(reader, made.customer_id):
                    merged = entry.customer_id != made.customer_id
                    outcome = Outcome.KNOWN if merged else Outcome.NEW
            return Registered(
                outcome=outcome,
                member=MemberFound(entry=entry, phone_end=made.phone_end),
                card_taken=made.card_tag is not None and outcome is not Outcome.KNOWN,
            )

        return await self._reader.run(now)
