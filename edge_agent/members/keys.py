"""The keys of members that this agent was given: fetched from head office, some kept on the disk.

What phones are tagged with is in memory only, so that a disk that is carried away gives no phones;
after a start without a line phones are asked for elsewhere. The rest lies in a file: codes are
checked and new members sealed without a line.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec

from edge_agent.config import write_private
from shared.clock import Clock
from shared.errors import NotFoundError
from shared.logs import get_logger
from shared.unreadable import UNREADABLE
from shared.wire.members import MemberKeys

KEYS_FILE: Final = "members.keys"
FRESH_NS: Final = 6 * 3_600 * 10**9
"""Periods are of thirty days."""
_LOG = get_logger(__name__)


class GivesKeys(Protocol):
    """``edge_agent.uplink.transport.Transport`` does."""

    async def member_keys(self) -> MemberKeys:
        """Ask central for them."""
        ...


class KeyRing:
    """What is known now; ``renew`` is called again and again."""

    def __init__(
        self,
        folder: Path,
        *,
        central: GivesKeys,
        tags_phones: bool,
        is_online: Callable[[], bool],
        clock: Clock,
    ) -> None:
        """``tags_phones`` False: a till of a hub; it keeps no phone's key at all."""
        self._path = folder / KEYS_FILE
        self._central = central
        self._tags_phones = tags_phones
        self._is_online = is_online
        self._clock = clock
        self._keys = _read(self._path)
        self._fetched_ns: int | None = None

    @property
    def phone_key(self) -> bytes | None:
        """With which phones are tagged here; None: not known, or not for this agent."""
        return self._keys.phone_key or None if self._keys is not None else None

    @property
    def phone_salt(self) -> bytes | None:
        """None: head office was never heard."""
        return None if self._keys is None else self._keys.phone_salt

    @property
    def seal_key(self) -> bytes | None:
        """To which a new member's phone is sealed; None: head office was never heard."""
        return None if self._keys is None else self._keys.seal_key

    @property
    def code_keys(self) -> Mapping[int, bytes]:
        """Keys of periods, for members' codes."""
        return (
            {} if self._keys is None else {each.period: each.key for each in self._keys.code_keys}
        )

    async def renew(self) -> None:
        """Fetch them when they are old and there is a line.

        Raises:
            AppError: head office did not give them.
        """
        now_ns = self._clock.mono_ns()
        fresh = self._fetched_ns is not None and now_ns - self._fetched_ns < FRESH_NS
        if fresh or not self._is_online():
            return
        try:
            keys = await self._central.member_keys()
        except NotFoundError:  # a central of an older release
            self._fetched_ns = now_ns
            return
        if not self._tags_phones:
            keys = msgspec.structs.replace(keys, phone_key=b"")
        kept = msgspec.structs.replace(keys, phone_key=b"")
        if self._keys is None or kept != msgspec.structs.replace(self._keys, phone_key=b""):
            data = base64.b64encode(msgspec.msgpack.encode(kept))
            await asyncio.to_thread(write_private, self._path, data)
            _LOG.info("member_keys.changed", periods=len(keys.code_keys))
        self._keys, self._fetched_ns = keys, now_ns


def _read(path: Path) -> MemberKeys | None:
    """What was kept; a file that cannot be read is fetched again."""
    try:
        return msgspec.msgpack.decode(base64.b64decode(path.read_bytes()), type=MemberKeys)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, *UNREADABLE):
        _LOG.warning("member_keys.unreadable")
        return None
