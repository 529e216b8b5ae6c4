"""Pay for a sale: capture what was promised for its receipt, take the rest from what is here.

A sale is a fact, so this never refuses. What was promised for another amount is taken back first;
what no right covers is spent without a lease, for which the store answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import apsw

from edge_agent.leases.policy import Caps, Paid, Part, Reason, Standing, Wanted
from edge_agent.leases.store import (
    UID_BYTES,
    Ask,
    capture,
    find_hold,
    hold,
    open_holds_of_receipt,
    spend_now,
    spend_uncovered,
    void,
)
from edge_agent.leases.till import (
    Token,
    TokenState,
    note_captured,
    note_voided,
    tokens_of_receipt,
)


def pay(
    connection: apsw.Connection,
    receipt_id: str,
    wanted: Sequence[Wanted],
    standing: Standing,
    seed: bytes,
) -> list[Paid]:
    """Make spends of what the receipt wants, at most one ``Wanted`` for each owner and asset.

    ``seed``: 16 random bytes of this sale; the uids of spends that nobody asked for come from it.
    """
    wanted_of = {(each.owner, each.asset): each for each in wanted}
    assert len(wanted_of) == len(wanted), "what is of one asset is wanted once"
    promised = Promises(connection, receipt_id)
    promised.drop_unless(wanted_of, standing)
    paid = []
    for key, each in wanted_of.items():
        parts = promised.capture(key, standing)
        if not parts:
            ask = Ask(
                uid=_uid_from(seed, each),
                receipt_id=receipt_id,
                owner=each.owner,
                asset=each.asset,
                amount=each.amount,
                asker=standing.edge_id,
            )
            spend = spend_uncovered if promised.doubtful(key) else spend_now
            parts = spend(connection, ask, standing).parts
        assert sum(part.amount for part in parts) == each.amount, "all of it is paid for"
        paid.append(Paid(wanted=each, parts=parts))
    return paid


def take_back(connection: apsw.Connection, receipt_id: str, standing: Standing) -> None:
    """The receipt will not become a sale: nothing is promised for it any more."""
    Promises(connection, receipt_id).drop_unless({}, standing)


def promise(
    connection: apsw.Connection,
    receipt_id: str,
    wanted: Sequence[Wanted],
    standing: Standing,
    caps: Caps,
    uids: Sequence[bytes],
) -> Reason | None:
    """Set aside here what the receipt wants, all of it or nothing; None: it is set aside.

    What is promised already for the same amounts stays. ``uids``: one of 16 random bytes for each
    ``wanted``.
    """
    promised = Promises(connection, receipt_id)
    promised.drop_unless({(each.owner, each.asset): each for each in wanted}, standing)
    for each, uid in zip(wanted, uids, strict=True):
        key = (each.owner, each.asset)
        if promised.amount(key) == each.amount:
            continue
        if promised.doubtful(key):
            reason: Reason | None = Reason.DOUBTFUL
        else:
            ask = Ask(
                uid=uid,
                receipt_id=receipt_id,
                owner=each.owner,
                asset=each.asset,
                amount=each.amount,
                asker=standing.edge_id,
            )
            reason = hold(connection, ask, standing, caps).reason
        if reason is not None:
            take_back(connection, receipt_id, standing)
            return reason
    return None


class Promises:
    """What is promised for one receipt: holds here, and tokens for holds at the hub."""

    def __init__(self, connection: apsw.Connection, receipt_id: str) -> None:
        self._connection = connection
        self._receipt_id = receipt_id
        self._holds: dict[tuple[str, str], list[bytes]] = {}
        for uid, key in open_holds_of_receipt(connection, receipt_id):
            self._holds.setdefault(key, []).append(uid)
        self._tokens: dict[tuple[str, str], list[Token]] = {}
        for token in tokens_of_receipt(connection, receipt_id):
            self._tokens.setdefault((token.owner, token.asset), []).append(token)

    def doubtful(self, key: tuple[str, str]) -> bool:
        """Whether the hub's answer was never learned: then no other source pays this receipt."""
        return any(
            token.doubtful or token.state is TokenState.ASKED for token in self._tokens.get(key, ())
        )

    def amount(self, key: tuple[str, str]) -> int:
        """What is promised of an asset."""
        return sum(part.amount for part in self._parts(key))

    def drop_unless(self, wanted: dict[tuple[str, str], Wanted], standing: Standing) -> None:
        """Take back every promise that is not for exactly what is wanted."""
        for key in {*self._holds, *self._tokens}:
            each = wanted.get(key)
            if each is None or self.amount(key) != each.amount:
                self._drop(key, standing)

    def capture(self, key: tuple[str, str], standing: Standing) -> tuple[Part, ...]:
        """Make spends of what is promised; nothing when there is no promise."""
        parts = self._parts(key)
        for uid in self._holds.get(key, ()):
            capture(self._connection, uid, standing)
        for token in self._granted(key):
            note_captured(self._connection, token.uid)
        return parts

    def _parts(self, key: tuple[str, str]) -> tuple[Part, ...]:
        found: list[Part] = []
        for uid in self._holds.get(key, ()):
            held = find_hold(self._connection, uid)
            assert held is not None, "an open hold is known"
            found += held.parts
        for token in self._granted(key):
            found += token.parts
        return tuple(found)

    def _granted(self, key: tuple[str, str]) -> list[Token]:
        return [t for t in self._tokens.get(key, ()) if t.state is TokenState.GRANTED]

    def _drop(self, key: tuple[str, str], standing: Standing) -> None:
        for uid in self._holds.pop(key, ()):
            void(self._connection, uid, self._receipt_id, standing)
        kept = []
        for token in self._tokens.pop(key, ()):
            if token.state in (TokenState.ASKED, TokenState.GRANTED):
                asked = token.state is TokenState.ASKED
                note_voided(self._connection, token.uid, doubtful=asked)
            if token.doubtful or token.state is TokenState.ASKED:
                kept.append(token)
        if kept:
            self._tokens[key] = kept


def _uid_from(seed: bytes, wanted: Wanted) -> bytes:
    named = f"{wanted.owner}\x00{wanted.asset}".encode()
    return hashlib.sha256(b"kopilka.spend_now.v1" + seed + named).digest()[:UID_BYTES]
