"""Who has a phone, a card or a code: asked here, then of the hub, then of head office.

A phone is looked for by its hash, so nobody is told the number; what the agent keeps is tags that
are worth nothing without a key, which is not on its disk.
"""

from __future__ import annotations

import asyncio
import enum
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import apsw

from edge_agent.database.reader import Reader
from edge_agent.lan.short_calls import ShortCalls
from edge_agent.loyalty.newcomers import newcomer_named
from edge_agent.loyalty.store import customer_by_card, customer_by_id
from edge_agent.members.keys import KeyRing
from shared.clock import Clock
from shared.crypto.member_codes import checked_code
from shared.crypto.phones import phone_end, phone_tag, plain_phone, slow_hash
from shared.crypto.tags import card_tag
from shared.errors import AppError, BusyError, ConflictError, UnavailableError
from shared.wire.feed import CustomerEntry
from shared.wire.members import FindReply, FindRequest, MemberFound

FIND_TIMEOUT_S: Final = 2.0
"""A customer stands in front of the till; head office needs a tenth of a second."""
HASHES_AT_ONCE: Final = 1
"""Each takes 32 MiB."""
HASHES_WAITING_MAX: Final = 20
"""Three seconds of them; whoever comes on top would not wait so long."""
CODES_REMEMBERED_MAX: Final = 10_000
"""Shown within two minutes; a shop has a dozen."""
UNTAGGED_MAX: Final = 1_000
"""New members whom a shop makes without a line, before its first one after a start."""
_RETRY_S: Final = 15.0


class Place(enum.StrEnum):
    """Who knew it."""

    HERE = "here"
    HUB = "hub"
    CENTRAL = "central"


class AsksCentral(Protocol):
    """``edge_agent.uplink.transport.Transport`` does."""

    async def find_member(self, request: FindRequest) -> FindReply:
        """Ask central who has a phone or a card."""
        ...


AskHub = Callable[[FindRequest], Awaitable[FindReply | None]]
"""A till's way to its hub; None: there is no hub, or it does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Members, and who knew them; ``asked_all`` False: somebody who might know did not answer."""

    members: list[MemberFound]
    place: Place
    asked_all: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """A phone that a till sent, for as long as its call takes; ``tag`` None: no key is here."""

    plain: str = field(repr=False)
    slow: bytes = field(repr=False)
    tag: bytes | None

    @property
    def end(self) -> str:
        """What may be shown of it."""
        return phone_end(self.plain)


class Finding:
    """Looks members up."""

    def __init__(
        self,
        *,
        keys: KeyRing,
        central: AsksCentral,
        hub: AskHub | None,
        reader: Reader,
        is_online: Callable[[], bool],
        trusted_now_ms: Callable[[], int],
        clock: Clock,
    ) -> None:
        self._keys = keys
        self._central = central
        self._hub = hub
        self._reader = reader
        self._is_online = is_online
        self._trusted_now_ms = trusted_now_ms
        self._calls = ShortCalls(clock=clock, timeout_s=FIND_TIMEOUT_S)
        self._hashing = asyncio.Semaphore(HASHES_AT_ONCE)
        self._hashing_count = 0
        self._codes: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._untagged: OrderedDict[bytes, str] = OrderedDict()

    def read(self, typed: str) -> str:
        """The phone that was typed, before anybody is asked or counted.

        Raises:
            InputError: ``bad_phone``.
            UnavailableError: ``members_offline``: head office was never heard since enrolment.
        """
        plain = plain_phone(typed)
        if self._keys.phone_salt is None:
            raise offline()
        return plain

    async def hashed(self, plain: str) -> Phone:
        """A phone that was read, in the forms it is looked for.

        Raises:
            BusyError: ``look_ups_wait``: too many are being looked up at this moment.
        """
        salt, key = self._keys.phone_salt, self._keys.phone_key
        assert salt is not None, "without it nothing is read"
        if self._hashing_count >= HASHES_WAITING_MAX:
            raise BusyError(
                "many phones are being looked up", code="look_ups_wait", retry_after_s=1
            )
        self._hashing_count += 1
        try:
            async with self._hashing:
                slow = await asyncio.to_thread(slow_hash, plain, salt)
        finally:
            self._hashing_count -= 1
        return Phone(plain=plain, slow=slow, tag=None if key is None else phone_tag(slow, key))

    async def by_phone(self, phone: Phone) -> Found:
        """Who has it; raises UnavailableError ``phones_offline`` when nobody can say."""
        found = await self.owner_here(phone)
        if found is not None:
            return Found(members=[found], place=Place.HERE)
        found_elsewhere = await self._elsewhere(FindRequest(phone_hash=phone.slow))
        if found_elsewhere.asked_all or phone.tag is not None:
            return found_elsewhere
        raise UnavailableError(
            "nobody who knows phones answers",
            code="phones_offline",
            hint="Ask for the card, or go on without; a new member can still be registered.",
            retry_after_s=_RETRY_S,
        )

    async def by_card(self, card: str) -> Found:
        """Who has it."""
        tag = card_tag(card)
        found = await self.here(tag, None)
        if found is not None:
            return Found(members=[found], place=Place.HERE)
        return await self._elsewhere(FindRequest(card_tag=tag))

    async def by_code(self, code: str, shown_at: str) -> Found:
        """Whose telephone shows it; needs no line. ``shown_at``: one code is for one till.

        Raises:
            ConflictError: ``code_not_good``: it is none, or was shown at another moment or till.
            UnavailableError: ``members_offline``: the keys of this period are not here.
        """
        if not self._keys.code_keys:
            raise offline()
        checked = checked_code(code, self._keys.code_keys, self._trusted_now_ms())
        if checked is None or self._codes.setdefault(checked, shown_at) != shown_at:
            raise ConflictError(
                "this code is not good now",
                code="code_not_good",
                hint="Ask the customer to open the code again: each is good for half a minute, "
                "at one till.",
            )
        while len(self._codes) > CODES_REMEMBERED_MAX:
            self._codes.popitem(last=False)
        customer_id = checked[0]
        entry = await self._reader.run(lambda reader: customer_by_id(reader, customer_id))
        # Whom the feed has not told of yet is a member all the same: the code says so.
        known = entry or CustomerEntry(customer_id=customer_id, card_tags=[])
        return Found(members=[MemberFound(entry=known)], place=Place.HERE)

    async def for_till(self, request: FindRequest) -> FindReply:
        """What this hub says to a till: from its own tags, or what head office says.

        Raises:
            UnavailableError: nobody can say.
        """
        tag = request.card_tag
        if request.phone_hash is not None and self._keys.phone_key is not None:
            tag = phone_tag(request.phone_hash, self._keys.phone_key)
        if tag is not None:
            found = await self.here(tag, None)
            if found is not None:
                return FindReply(members=[found])
        elsewhere = await self._elsewhere(request)
        if not elsewhere.asked_all:
            raise offline()
        return FindReply(members=elsewhere.members)

    async def owner_here(self, phone: Phone) -> MemberFound | None:
        """Whose phone it is, as far as this agent knows."""
        if phone.tag is not None:
            found = await self.here(phone.tag, phone.end)
            if found is not None:
                return found
        customer_id = self._untagged.get(phone.slow)
        if customer_id is None:
            return None
        entry = await self._reader.run(lambda reader: customer_by_id(reader, customer_id))
        return None if entry is None else MemberFound(entry=entry, phone_end=phone.end)

    def note_made(self, phone: Phone, customer_id: str) -> None:
        """A member was made. Where no key is at hand to tag the phone, it is known by its hash.

        That is in memory only, as the key would be.
        """
        if phone.tag is None:
            self._untagged[phone.slow] = customer_id
            while len(self._untagged) > UNTAGGED_MAX:
                self._untagged.popitem(last=False)

    async def here(self, tag: bytes, end: str | None) -> MemberFound | None:
        """Whose card or phone this agent knows by this tag; ``end``: of the phone asked for."""

        def look(reader: apsw.Connection) -> MemberFound | None:
            entry = customer_by_card(reader, tag)
            if entry is None:
                return None
            made = newcomer_named(reader, entry.customer_id)
            shown = end if end is not None or made is None else made.phone_end
            return MemberFound(entry=entry, phone_end=shown)

        return await self._reader.run(look)

    async def _elsewhere(self, request: FindRequest) -> Found:
        if self._hub is not None:
            reply = await self._hub(request)
            if reply is not None:
                return Found(members=reply.members, place=Place.HUB)
        reply = await self._ask_central(request)
        if reply is None:
            return Found(members=[], place=Place.HERE, asked_all=False)
        return Found(members=reply.members, place=Place.CENTRAL)

    async def _ask_central(self, request: FindRequest) -> FindReply | None:
        """None: no answer, or a refusal: a central of an older release does not know the call."""
        if not self._is_online() or not self._calls.may_ask():
            return None
        try:
            return await self._calls.ask(self._central.find_member(request))
        except AppError:
            return None


def offline() -> UnavailableError:
    """Head office was not heard since this agent came to be, so it has no keys."""
    return UnavailableError(
        "head office has not given this agent its keys",
        code="members_offline",
        hint="Go on without the customer, or with a card; it is tried again by itself.",
        retry_after_s=_RETRY_S,
    )
