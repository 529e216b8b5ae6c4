"""What a till keeps of its hub's promises: tokens for holds, and its own parts of leases.

A token is written before the hub is asked, so that whatever happens then, the till knows that
there may be a hold to capture or to take back. The till decides how a token ends; the hub is told
until it has confirmed.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final

import apsw
import msgspec

from edge_agent.leases.policy import Part, Standing
from edge_agent.leases.store import Ask
from shared.limits import SUB_LEASES_PER_TILL_MAX
from shared.sqlfile import load_queries

_QUERIES: Final = load_queries("edge_agent.leases", "till.sql")


class TokenState(enum.StrEnum):
    """How it stands with what the hub was asked for."""

    ASKED = "asked"
    GRANTED = "granted"
    REFUSED = "refused"
    CAPTURED = "captured"
    VOIDED = "voided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One promise asked for. ``doubtful``: the till never learned what the hub answered."""

    uid: bytes
    state: TokenState
    doubtful: bool
    receipt_id: str
    owner: str
    asset: str
    amount: int
    parts: tuple[Part, ...]
    hub_edge_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartAsk:
    """A part of a hub's lease that this till asks for; ``epoch`` is the till's own."""

    sub_lease_id: str
    owner: str
    asset: str
    amount: int
    hub_edge_id: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Returning:
    """A part on its way back, with all that was spent of it, as far as this till knows.

    ``epoch``: the one in which it was given. A later epoch began because something was lost.
    """

    sub_lease_id: str
    lease_id: str
    hub_edge_id: int
    spend_count: int
    spent_amount: int
    epoch: int


def note_asked(connection: apsw.Connection, ask: Ask, hub_edge_id: int, now_ms: int) -> None:
    """The hub is about to be asked."""
    connection.execute(
        _QUERIES["insert_token"],
        {
            "uid": ask.uid,
            "receipt_id": ask.receipt_id,
            "owner": ask.owner,
            "asset": ask.asset,
            "amount": ask.amount,
            "hub_edge_id": hub_edge_id,
            "asked_at_ms": now_ms,
        },
    )


def note_granted(connection: apsw.Connection, uid: bytes, parts: tuple[Part, ...]) -> bool:
    """The hub set it aside; False when the till has decided otherwise meanwhile."""
    token = find_token(connection, uid)
    if token is None or token.state not in (TokenState.ASKED, TokenState.GRANTED):
        return False
    _set(connection, uid, TokenState.GRANTED, parts=_encode(parts))
    return True


def note_refused(connection: apsw.Connection, uid: bytes) -> None:
    """The hub was not reached, or set nothing aside: nothing is to be taken back."""
    token = find_token(connection, uid)
    if token is not None and token.state is TokenState.ASKED:
        _set(connection, uid, TokenState.REFUSED, told=True)


def note_captured(connection: apsw.Connection, uid: bytes) -> None:
    """The sale that the token was for is being recorded."""
    _set(connection, uid, TokenState.CAPTURED)


def note_voided(connection: apsw.Connection, uid: bytes, *, doubtful: bool = False) -> None:
    """It will not be used. A token whose sale is recorded stays."""
    token = find_token(connection, uid)
    if token is not None and token.state in (TokenState.ASKED, TokenState.GRANTED):
        _set(connection, uid, TokenState.VOIDED, doubtful=doubtful)


def note_told(connection: apsw.Connection, uid: bytes) -> None:
    """The hub knows how it ended."""
    token = find_token(connection, uid)
    if token is not None:
        _set(connection, uid, token.state, told=True)


def find_token(connection: apsw.Connection, uid: bytes) -> Token | None:
    """The token of this uid."""
    row = connection.execute(_QUERIES["token"], {"uid": uid}).fetchone()
    return None if row is None else _token(row)


def tokens_of_receipt(connection: apsw.Connection, receipt_id: str) -> list[Token]:
    """What the hub was asked for this receipt, in any state."""
    rows: list[Any] = connection.execute(
        _QUERIES["tokens_of_receipt"], {"receipt_id": receipt_id}
    ).fetchall()
    return [_token(row) for row in rows]


def untold_tokens(connection: apsw.Connection, hub_edge_id: int, limit: int) -> list[Token]:
    """Tokens of this hub's whose end it has not confirmed."""
    parameters = {"hub_edge_id": hub_edge_id, "limit": limit}
    rows: list[Any] = connection.execute(_QUERIES["untold_tokens"], parameters).fetchall()
    return [_token(row) for row in rows]


def void_stale(connection: apsw.Connection, state: TokenState, before_ms: int, limit: int) -> int:
    """Take back what was left in this state before that moment; how many.

    What is still ``asked`` after the time-out (this program was ended meanwhile) is in doubt.
    """
    parameters = {"state": state.value, "before_ms": before_ms, "limit": limit}
    rows: list[Any] = connection.execute(_QUERIES["stale_tokens"], parameters).fetchall()
    for row in rows:
        note_voided(connection, row[0], doubtful=state is TokenState.ASKED)
    return len(rows)


def forget_past_tokens(connection: apsw.Connection, before_ms: int) -> None:
    """Forget what was settled with the hub before that moment."""
    connection.execute(_QUERIES["forget_tokens"], {"before_ms": before_ms})
    connection.execute(_QUERIES["forget_own_parts"], {"before_ms": before_ms})


def ask_part(connection: apsw.Connection, part: PartAsk) -> None:
    """The hub is about to be asked; ``amount`` is what is wanted."""
    connection.execute(
        _QUERIES["ask_own_part"],
        {
            "sub_lease_id": part.sub_lease_id,
            "owner": part.owner,
            "asset": part.asset,
            "amount": part.amount,
            "hub_edge_id": part.hub_edge_id,
            "epoch": part.epoch,
        },
    )


def asked_parts(
    connection: apsw.Connection, hub_edge_id: int, limit: int
) -> list[tuple[str, str, str, int]]:
    """Parts asked of this hub and not answered: id, owner, asset, amount."""
    parameters = {"hub_edge_id": hub_edge_id, "limit": limit}
    rows: list[Any] = connection.execute(_QUERIES["asked_own_parts"], parameters).fetchall()
    return rows


def note_part(
    connection: apsw.Connection, sub_lease_id: str, lease_id: str, amount: int, until_ms: int
) -> None:
    """The hub's answer: a part of a lease, or (``amount`` 0) none."""
    if amount == 0:
        connection.execute(_QUERIES["forget_own_part"], {"sub_lease_id": sub_lease_id})
        return
    connection.execute(
        _QUERIES["open_own_part"],
        {
            "sub_lease_id": sub_lease_id,
            "lease_id": lease_id,
            "amount": amount,
            "spend_until_ms": until_ms,
        },
    )


def wants_part(connection: apsw.Connection, owner: str, asset: str) -> bool:
    """Whether this till has no part of a lease on this asset and room for one."""
    row: Any = connection.execute(
        _QUERIES["count_own_parts"], {"owner": owner, "asset": asset}
    ).fetchone()
    return row[0] < SUB_LEASES_PER_TILL_MAX and not row[1]


def parts_over(connection: apsw.Connection, standing: Standing, limit: int) -> list[str]:
    """Parts that can be spent no more and should go back."""
    parameters = {"now_ms": standing.now_ms, "epoch": standing.epoch, "limit": limit}
    rows: list[Any] = connection.execute(_QUERIES["own_parts_over"], parameters).fetchall()
    return [sub_lease_id for (sub_lease_id,) in rows]


def lapse_parts(connection: apsw.Connection) -> None:
    """Spend no more of any part: this database was put back, and the hub may have them again.

    Giving a part back is no record of the till's, so no journal remembers it.
    """
    connection.execute(_QUERIES["lapse_own_parts"])


def begin_return(connection: apsw.Connection, sub_lease_id: str) -> bool:
    """Never spend on this part again; False while something of it is held, or it is not open."""
    row: Any = connection.execute(
        _QUERIES["own_part_use"], {"sub_lease_id": sub_lease_id}
    ).fetchone()
    if row is None:
        return False
    state, held_amount, spend_count, spent_amount = row
    if state != "open" or held_amount:
        return False
    connection.execute(
        _QUERIES["set_own_part"],
        {
            "sub_lease_id": sub_lease_id,
            "state": "returning",
            "spend_count": spend_count,
            "spent_amount": spent_amount,
        },
    )
    return True


def parts_returning(connection: apsw.Connection, hub_edge_id: int, limit: int) -> list[Returning]:
    """Parts that this hub has not confirmed to have back."""
    parameters = {"hub_edge_id": hub_edge_id, "limit": limit}
    rows: list[Any] = connection.execute(_QUERIES["own_parts_returning"], parameters).fetchall()
    return [
        Returning(
            sub_lease_id=sub_lease_id,
            lease_id=lease_id,
            hub_edge_id=hub_edge_id,
            spend_count=spend_count,
            spent_amount=spent_amount,
            epoch=epoch,
        )
        for sub_lease_id, lease_id, hub_edge_id, spend_count, spent_amount, epoch in rows
    ]


def end_return(connection: apsw.Connection, sub_lease_id: str) -> None:
    """The hub has its part back, or is no more."""
    connection.execute(_QUERIES["close_own_part"], {"sub_lease_id": sub_lease_id})


def _set(
    connection: apsw.Connection,
    uid: bytes,
    state: TokenState,
    *,
    parts: bytes | None = None,
    told: bool = False,
    doubtful: bool = False,
) -> None:
    connection.execute(
        _QUERIES["set_token"],
        {
            "uid": uid,
            "state": state.value,
            "parts": parts,
            "told": int(told),
            "doubtful": int(doubtful),
        },
    )


def _encode(parts: tuple[Part, ...]) -> bytes:
    return msgspec.msgpack.encode(
        [(part.lease_id, part.sub_lease_id, part.amount, part.spend_uid) for part in parts]
    )


_PARTS: Final = msgspec.msgpack.Decoder(list[tuple[str | None, str | None, int, bytes]])


def _token(row: Any) -> Token:
    uid, state, doubtful, receipt_id, owner, asset, amount, parts, hub_edge_id = row
    return Token(
        uid=uid,
        state=TokenState(state),
        doubtful=bool(doubtful),
        receipt_id=receipt_id,
        owner=owner,
        asset=asset,
        amount=amount,
        parts=tuple(
            Part(lease_id=lease_id, sub_lease_id=sub_lease_id, amount=its, spend_uid=spend_uid)
            for lease_id, sub_lease_id, its, spend_uid in _PARTS.decode(parts or b"\x90")
        ),
        hub_edge_id=hub_edge_id,
    )
