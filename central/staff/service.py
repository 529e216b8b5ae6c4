"""Sign-in of staff: argon2id off the loop, reference tokens kept only as hashes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from central.database.pool import Pool, row_of, run
from central.staff.policy import Throttle
from shared.clock import Clock
from shared.errors import AppError, InputError, UnauthorizedError
from shared.ids import Chance
from shared.sqlfile import load_queries

_QUERIES = load_queries("central.staff")
SESSION_VALID_S: Final = 12 * 3600
"""A working day; after it one signs in again."""
PASSWORD_LENGTH_MIN: Final = 10
PASSWORD_LENGTH_MAX: Final = 256
"""Longer ones would only cost hashing time."""
LOGIN_LENGTH_MAX: Final = 64
ROLES: Final = frozenset({"admin", "marketer", "support", "analyst"})


class ThrottledError(AppError):
    """Too many failed sign-ins; wait a few minutes."""

    code = "throttled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Who is signed in, and the token its forms must carry."""

    staff_id: int
    login: str
    role: str
    csrf_token: str


def _sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class StaffService:
    """Members, their passwords and sessions. ``close`` ends the hashing threads."""

    def __init__(self, *, pool: Pool, clock: Clock, chance: Chance) -> None:
        self._pool = pool
        self._clock = clock
        self._chance = chance
        self._hasher = PasswordHasher()
        # Hashing takes 64 MB and ~50 ms: two at a time is all this machine is asked for.
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")
        self._throttle = Throttle()
        # An unknown login is checked against this, so that it takes as long as a known one.
        self._decoy = self._hasher.hash(self._token())

    def close(self) -> None:
        """End the hashing threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _token(self) -> str:
        return base64.urlsafe_b64encode(self._chance.token_bytes(32)).decode().rstrip("=")

    async def add_member(self, login: str, password: str, role: str = "admin") -> None:
        """Add a member, or give one a new password and role; old sessions end.

        Raises:
            InputError: an empty or long login, a short or long password, an unknown role.
        """
        login = login.strip().lower()
        if not 0 < len(login) <= LOGIN_LENGTH_MAX:
            raise InputError(f"a login has 1 to {LOGIN_LENGTH_MAX} characters")
        if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
            raise InputError(
                f"a password has {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters"
            )
        if role not in ROLES:
            raise InputError("unknown role", hint=f"One of: {', '.join(sorted(ROLES))}.")
        loop = asyncio.get_running_loop()
        hashed = await loop.run_in_executor(self._threads, self._hasher.hash, password)
        async with self._pool.connection() as connection:
            parameters = {"login": login, "password_hash": hashed, "role": role}
            await run(connection, _QUERIES["put_member"], parameters)
            await run(connection, _QUERIES["end_sessions_of"], {"login": login})

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerifyMismatchError, InvalidHashError):
            return False

    async def sign_in(self, login: str, password: str, *, address: str) -> str:
        """A new session's token.

        Raises:
            UnauthorizedError: wrong login or password; the two look the same.
            ThrottledError: too many failures of this login or from this address.
        """
        login = login.strip().lower()[:LOGIN_LENGTH_MAX]
        keys = (f"login:{login}", f"address:{address}")
        now_ms = self._clock.now_ms()
        if any(self._throttle.wait_ms(key, now_ms) for key in keys):
            raise ThrottledError
        # Noted before the slow part, so that parallel tries cannot slip past; forgotten on success.
        for key in keys:
            self._throttle.note_failure(key, now_ms)
        async with self._pool.connection() as connection:
            member = await row_of(connection, _QUERIES["member"], {"login": login})
        hashed = self._decoy if member is None else member["password_hash"]
        loop = asyncio.get_running_loop()
        good = await loop.run_in_executor(
            self._threads, self._verify, hashed, password[: PASSWORD_LENGTH_MAX + 1]
        )
        if member is None or not good or member["blocked"]:
            raise UnauthorizedError("wrong login or password")
        for key in keys:
            self._throttle.forget(key)
        token = self._token()
        async with self._pool.connection() as connection:
            await run(connection, _QUERIES["sweep_sessions"])
            parameters = {
                "token_sha256": _sha256(token),
                "staff_id": member["staff_id"],
                "csrf_token": self._token(),
                "valid_s": SESSION_VALID_S,
            }
            await run(connection, _QUERIES["put_session"], parameters)
        return token

    async def session_of(self, token: str) -> Session | None:
        """Whose token that is, while the session is good."""
        async with self._pool.connection() as connection:
            row = await row_of(connection, _QUERIES["session"], {"token_sha256": _sha256(token)})
        return None if row is None else Session(**row)

    async def sign_out(self, token: str) -> None:
        """End the session."""
        async with self._pool.connection() as connection:
            await run(connection, _QUERIES["end_session"], {"token_sha256": _sha256(token)})
