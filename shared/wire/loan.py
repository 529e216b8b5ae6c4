"""A store asks head office for a member who is not at home there: a lease for the visit."""

from __future__ import annotations

import msgspec

from shared.wire.feed import LeaseEntry


class LoanRequest(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """POST /v1/loans (msgpack). ``amount``: what the lease should hold, in the asset's unit."""

    owner: str
    asset: str
    amount: int


class LoanReply(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The lease that the asker now holds; None: nothing is free.

    ``recalled``: more is lent to another store and was asked back; ask again in a second or two.
    """

    lease: LeaseEntry | None
    recalled: bool
