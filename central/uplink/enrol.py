"""Make an agent known: a one-time token and a device key become a credential and streams."""

from __future__ import annotations

import base64
import hmac
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from central.accounts.service import lend_to_new_hub
from central.database.pool import Pool
from central.fleet import store as fleet
from shared.clock import Clock
from shared.crypto.chain import NONCE_BYTES, chain_genesis
from shared.crypto.signing import key_id_of, verify
from shared.errors import ForbiddenError, NotFoundError, UnauthorizedError
from shared.ids import Chance
from shared.logs import get_logger
from shared.wire.enrol import (
    ENROL_SIGNATURE_KIND,
    EdgeKind,
    EnrolReply,
    EnrolRequest,
    LaneStart,
    TrustedKey,
)
from shared.wire.stream import Lane

TOKEN_VALID_S: Final = 24 * 3600
FIRST_EPOCH: Final = 1
_SECRET_BYTES: Final = 20
_BELIEVED_NS: Final = 1_000_000_000
_SEEN_MAX: Final = 20_000
"""More agents than one process will ever serve within a second."""
_BAD_CREDENTIAL: Final = "the agent's credential is missing or wrong"
_CREDENTIAL = re.compile(r"kpe_(\d{1,18})_[A-Z2-7]{32}")
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls. ``state``: ``active``, ``frozen`` or ``revoked``."""

    edge_id: int
    store_id: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    at_ns: int
    credential_sha256: bytes
    caller: Caller


class Enrolment:
    """Tokens out, agents in."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        chance: Chance,
        trusted_keys: list[TrustedKey],
        *,
        file_key: bytes = b"",
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._chance = chance
        self._trusted_keys = trusted_keys
        self._file_key = file_key
        self._seen: OrderedDict[int, _Seen] = OrderedDict()

    def over(self, pool: Pool) -> Enrolment:
        """The same over other connections."""
        return Enrolment(
            pool, self._clock, self._chance, self._trusted_keys, file_key=self._file_key
        )

    async def issue_token(self, store_id: str, kind: EdgeKind) -> str:
        """A token for one agent of a store, good for a day and for one use.

        Raises:
            NotFoundError: there is no such store.
        """
        token = self._secret()
        async with self._pool.connection() as connection:
            if not await fleet.store_known(connection, store_id):
                raise NotFoundError(
                    f"there is no store {store_id}", hint="Add it with `store-add` first."
                )
            await fleet.put_token(
                connection, token, store_id=store_id, kind=kind.value, valid_s=TOKEN_VALID_S
            )
        return token

    async def enrol(self, request: EnrolRequest) -> EnrolReply:
        """Make an agent of the one who shows a good token and proves its device key.

        Raises:
            SignatureError: the device key was not proved; the token stays good.
            UnauthorizedError: the token is unknown, spent, too old, or of another kind.
        """
        key_id = key_id_of(request.device_public_key)
        verify(
            ENROL_SIGNATURE_KIND,
            request.token.encode(),
            request.signature,
            key_id,
            {key_id: request.device_public_key},
        )
        reused = False
        async with self._pool.connection() as connection:
            token = await fleet.lock_token(connection, request.token)
            if token is not None and token["used"]:
                await fleet.mark_token_reused(connection, request.token)
                reused = True
            if (
                token is not None
                and not reused
                and not token["expired"]
                and token["kind"] == request.kind.value
            ):
                edge_id = await fleet.next_edge_id(connection)
                credential = f"kpe_{edge_id}_{self._secret()}"
                await fleet.put_edge(
                    connection,
                    request.token,
                    {
                        "edge_id": edge_id,
                        "store_id": token["store_id"],
                        "kind": token["kind"],
                        "device_public_key": request.device_public_key,
                        "credential_sha256": fleet.secret_sha256(credential),
                        "agent_version": request.agent_version,
                    },
                )
                lanes: list[LaneStart] = []
                for lane in Lane:
                    nonce = self._chance.token_bytes(NONCE_BYTES)
                    lanes.append(LaneStart(lane=lane, epoch=FIRST_EPOCH, nonce=nonce))
                    await fleet.put_head(
                        connection,
                        {
                            "edge_id": edge_id,
                            "lane": lane.value,
                            "epoch": FIRST_EPOCH,
                            "nonce": nonce,
                            "hash": chain_genesis(edge_id, lane, FIRST_EPOCH, nonce),
                        },
                    )
                await fleet.announce_peers(connection, token["store_id"])
                if request.kind is EdgeKind.HUB:
                    await lend_to_new_hub(
                        connection, token["store_id"], now_ms=self._clock.now_ms()
                    )
                _LOG.info("edge.enrolled", edge_id=edge_id, store_id=token["store_id"])
                return EnrolReply(
                    edge_id=edge_id,
                    store_id=token["store_id"],
                    credential=credential,
                    lanes=lanes,
                    trusted_keys=self._trusted_keys,
                    server_time_ms=self._clock.now_ms(),
                    file_key=self._file_key,
                )
        if reused:
            _LOG.error("enrol_token.reused")
        raise UnauthorizedError(
            "the enrolment token is not good",
            hint="A token works once, for a day, for one store and kind: issue a new one.",
            code="bad_enrol_token",
        )

    async def edge_of(self, authorization: str | None) -> Caller:
        """The agent in service that shows this Authorization header.

        Raises:
            UnauthorizedError: the credential is missing or wrong.
            ForbiddenError: the agent was frozen or revoked.
        """
        caller = await self.caller_of(authorization)
        if caller.state != "active":
            raise ForbiddenError(f"this agent is {caller.state}", code=caller.state)
        return caller

    async def caller_of(self, authorization: str | None) -> Caller:
        """The agent that shows this Authorization header, in service or not.

        What was found is believed for a second, so that a backlog does not ask for every batch.

        Raises:
            UnauthorizedError: the credential is missing or wrong.
        """
        scheme, _, credential = (authorization or "").partition(" ")
        found = _CREDENTIAL.fullmatch(credential) if scheme == "Bearer" else None
        if found is None:
            raise UnauthorizedError(_BAD_CREDENTIAL)
        now_ns = self._clock.mono_ns()
        edge_id, shown = int(found[1]), fleet.secret_sha256(credential)
        known = self._seen.get(edge_id)
        if known is None or now_ns - known.at_ns > _BELIEVED_NS:
            async with self._pool.connection() as connection:
                row = await fleet.find_edge(connection, edge_id)
            if row is None:
                raise UnauthorizedError(_BAD_CREDENTIAL)
            known = _Seen(
                at_ns=now_ns,
                credential_sha256=bytes(row["credential_sha256"]),
                caller=Caller(edge_id=edge_id, store_id=row["store_id"], state=row["state"]),
            )
            self._seen.pop(edge_id, None)
            self._seen[edge_id] = known
            if len(self._seen) > _SEEN_MAX:
                self._seen.popitem(last=False)
        if not hmac.compare_digest(shown, known.credential_sha256):
            raise UnauthorizedError(_BAD_CREDENTIAL)
        return known.caller

    def _secret(self) -> str:
        return base64.b32encode(self._chance.token_bytes(_SECRET_BYTES)).decode("ascii")
