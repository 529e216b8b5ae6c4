"""Make an agent known: a one-time token and a device key become a credential and streams."""

from __future__ import annotations

import base64
import hmac
import re
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
_CREDENTIAL = re.compile(r"kpe_(\d{1,18})_[A-Z2-7]{32}")
_LOG = get_logger(__name__)


class Enrolment:
    """Tokens out, agents in."""

    def __init__(
        self, pool: Pool, clock: Clock, chance: Chance, trusted_keys: list[TrustedKey]
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._chance = chance
        self._trusted_keys = trusted_keys

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
                )
        if reused:
            _LOG.error("enrol_token.reused")
        raise UnauthorizedError(
            "the enrolment token is not good",
            hint="A token works once, for a day, for one store and kind: issue a new one.",
            code="bad_enrol_token",
        )

    async def edge_of(self, authorization: str | None) -> tuple[int, str]:
        """The agent (edge id, store id) that shows this Authorization header.

        Raises:
            UnauthorizedError: the credential is missing or wrong.
            ForbiddenError: the agent was frozen or revoked.
        """
        scheme, _, credential = (authorization or "").partition(" ")
        found = _CREDENTIAL.fullmatch(credential) if scheme == "Bearer" else None
        row = None
        if found is not None:
            async with self._pool.connection() as connection:
                row = await fleet.find_edge(connection, int(found[1]))
        if row is None or not hmac.compare_digest(
            fleet.secret_sha256(credential), bytes(row["credential_sha256"])
        ):
            raise UnauthorizedError("the agent's credential is missing or wrong")
        if row["state"] != "active":
            raise ForbiddenError(f"this agent is {row['state']}")
        return row["edge_id"], row["store_id"]

    def _secret(self) -> str:
        return base64.b32encode(self._chance.token_bytes(_SECRET_BYTES)).decode("ascii")
