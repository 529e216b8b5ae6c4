"""The wire between the kit and an agent: HTTP calls as a till makes them, each one written down."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from edge_agent.kit.reply import SHOWN_CHARS_MAX, Reply
from shared.errors import InputError, UnavailableError

CALL_TIMEOUT_S: Final = 10
"""Twice what the slowest call may take: a gift card waits four seconds for head office."""
REPLY_BYTES_MAX: Final = 16 * 2**20
"""The answer to the largest receipt, and a stranger's server cannot fill the memory."""
CALLS_NOTED_MAX: Final = 200
"""Of one check; the busiest makes some dozens."""
TOKEN_CHARS_MAX: Final = 1_000
_SECRET_KEYS: Final = frozenset({"number", "pin", "card", "phone"})


@dataclass(slots=True)
class Till:
    """Calls to one agent; ``calls`` is what was asked and answered, without secrets."""

    session: aiohttp.ClientSession
    url: str
    token: str
    calls: list[dict[str, Any]] = field(default_factory=list)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        token: str | None = None,
        raw: bytes | None = None,
    ) -> Reply:
        """Ask and wait; ``token``: another than the till's, empty for none; ``raw``: other bytes.

        Raises:
            UnavailableError: no answer came, or one beyond all bounds.
        """
        shown = self.token if token is None else token
        headers = {"Authorization": f"Bearer {shown}"} if shown else {}
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with self.session.request(
                method,
                self.url + path,
                params=query,
                data=data,
                headers=headers,
                allow_redirects=False,
            ) as response:
                text = await _bounded(response)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise UnavailableError(
                f"{method} {path}: no answer came ({type(error).__name__})",
                hint="Check --url, and that the agent runs.",
            ) from error
        reply = Reply(
            status=response.status,
            content_type=response.content_type,
            headers={key.lower(): value for key, value in response.headers.items()},
            body=_json(text),
        )
        if len(self.calls) < CALLS_NOTED_MAX:
            self.calls.append(_noted(method, path, query, body, reply))
        return reply


@asynccontextmanager
async def a_till(url: str, token: str, *, connections: int) -> AsyncIterator[Till]:
    """A till at this address, with so many connections at most."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S),
    ) as session:
        yield Till(session=session, url=url.rstrip("/"), token=token)


def token_in(file: Path) -> str:
    """The token that tills show.

    Raises:
        InputError: there is none in this file.
    """
    try:
        with file.open(encoding="ascii") as opened:
            token = opened.read(TOKEN_CHARS_MAX).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "the token file cannot be read",
            code="bad_argument",
            hint="It is till.token in the agent's folder.",
        ) from error
    if not token.isprintable() or not token or " " in token:
        raise InputError("the token file holds no token", code="bad_argument")
    return token


def url_of(text: str) -> str:
    """The agent's address.

    Raises:
        InputError: it is no http or https address.
    """
    scheme, found, rest = text.partition("://")
    if scheme not in {"http", "https"} or not found or not rest.rstrip("/") or "?" in rest:
        raise InputError("--url is http://HOST:PORT", code="bad_argument")
    return text.rstrip("/")


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    pieces, size_bytes = [], 0
    async for piece in response.content.iter_chunked(2**16):
        size_bytes += len(piece)
        if size_bytes > REPLY_BYTES_MAX:
            raise ValueError("a reply without end")
        pieces.append(piece)
    return b"".join(pieces)


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _noted(
    method: str, path: str, query: Mapping[str, str] | None, body: Any, reply: Reply
) -> dict[str, Any]:
    text = json.dumps(_without_secrets(body), ensure_ascii=False)
    return {
        "call": f"{method} {path}",
        "query": _without_secrets(dict(query or {})),
        "body": text if len(text) <= SHOWN_CHARS_MAX * 8 else text[: SHOWN_CHARS_MAX * 8] + "…",
        "reply": reply.shown,
    }


def _without_secrets(value: Any) -> Any:
    """Numbers of cards and PINs do not go into reports that are sent about."""
    if isinstance(value, dict):
        return {
            key: "***" if key in _SECRET_KEYS and isinstance(each, str) else _without_secrets(each)
            for key, each in value.items()
        }
    return [_without_secrets(each) for each in value] if isinstance(value, list) else value
