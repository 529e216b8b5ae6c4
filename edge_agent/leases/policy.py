"""What leases allow: what covers an amount, when a lease may be closed, what a till may get. Pure.

A right is what is left of one lease, or of the part of a hub's lease that this till was given; the
rules are the same for both. Amounts are in the asset's smallest unit.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.limits import (
    HOLD_PARTS_MAX,
    SUB_LEASE_PERCENT_MAX,
    SUB_LEASE_UNITS_MAX,
    SUB_LEASES_PERCENT_MAX,
)
from shared.wire.assets import AssetKind, asset_parts
from shared.wire.feed import LeaseState

_POINT: Final = 100
"""Points are counted in hundredths; every other asset in whole units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """As whom this agent speaks now: ``epoch`` of its streams, ``now_ms`` by the trusted clock.

    ``may_spend`` is False in recovery, when the database may have forgotten spends: nothing more is
    promised until central has answered. What was promised before is still kept.
    """

    edge_id: int
    epoch: int
    now_ms: int
    may_spend: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """One lease (or, with ``sub_lease_id``, a till's part of one) and what is left of it."""

    lease_id: str
    owner: str
    asset: str
    edge_id: int
    epoch: int
    state: str
    spend_until_ms: int
    left: int
    sub_lease_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one right pays of an amount; without ``lease_id`` nothing covers it."""

    lease_id: str | None
    sub_lease_id: str | None
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One lease's share of a hold; ``spend_uid`` is the uid of its record when captured."""

    lease_id: str | None
    sub_lease_id: str | None
    amount: int
    spend_uid: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a receipt takes of one owner's asset."""

    owner: str
    asset: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """What pays for it; the amounts of the parts add up to what was wanted."""

    wanted: Wanted
    parts: tuple[Part, ...]


class Reason(enum.StrEnum):
    """Why nothing is promised."""

    NOT_COVERED = "not_covered"
    """The leases here do not reach that far."""
    OVER_CAP = "over_cap"
    """More than one receipt, or one owner in an hour, may take."""
    RECOVERING = "recovering"
    """This agent may have forgotten spends and waits for central."""
    VOIDED = "voided"
    """The same uid was taken back before."""
    UNKNOWN = "unknown"
    """Nothing is known of it here."""
    DOUBTFUL = "doubtful"
    """The hub was asked for this receipt and its answer never came: it may have been held."""
    ENDED = "ended"
    """A lease of it is closed: what was spent on it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Bounds beside the leases, for a till that was stolen or a cashier who cheats; None: none.

    ``receipt_max``: of one asset on one receipt; ``hour_max``: of one owner's asset in any 60 min.
    """

    receipt_max: int | None = None
    hour_max: int | None = None


NO_CAPS = Caps()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What the caps count: held or spent by this receipt, and by this owner in the last hour."""

    by_receipt: int
    in_hour: int


NOTHING_TAKEN = Taken(by_receipt=0, in_hour=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseBook:
    """One lease of this agent and all that was done with it.

    ``held``: promised and not yet decided. ``spent_*``: by this agent and by tills that gave their
    part back. ``lent``: parts that tills still have, in full.
    """

    right: Right
    granted: int
    held: int
    spend_count: int
    spent_amount: int
    lent: int
    ended: bool


def is_open(right: Right, standing: Standing) -> bool:
    """Whether this right is this agent's, in this epoch and now, whatever is left of it."""
    return (
        right.state == LeaseState.OPEN
        and right.edge_id == standing.edge_id
        and right.epoch == standing.epoch
        and standing.now_ms < right.spend_until_ms
    )


def is_usable(right: Right, standing: Standing) -> bool:
    """Whether this right may be spent now, by this agent in this epoch."""
    return standing.may_spend and is_open(right, standing) and right.left > 0


def is_payable(right: Right, standing: Standing) -> bool:
    """Whether a sale that was made may be paid out of this right.

    Of what central wants back nothing more is promised, but until this agent has said that it
    closes, central keeps it for the spends that are still told: a receipt that was priced before
    the recall came is paid for.
    """
    if right.state == LeaseState.RECALLED and right.sub_lease_id is None:
        right = replace(right, state=LeaseState.OPEN)
    return is_usable(right, standing)


def cover(
    rights: Iterable[Right], amount: int, standing: Standing, *, sold: bool = False
) -> list[Share]:
    """Shares that add up to ``amount``: what ends first pays first, the rest is not covered.

    ``sold``: the sale is made. What central wants back pays too, after everything else.
    """
    assert amount >= 0, "nobody takes less than nothing"
    may_take = is_payable if sold else is_usable
    usable = sorted(
        (right for right in rights if may_take(right, standing)),
        key=lambda right: (
            right.state == LeaseState.RECALLED,
            right.spend_until_ms,
            right.lease_id,
            right.sub_lease_id or "",
        ),
    )
    shares: list[Share] = []
    left = amount
    for right in usable[:HOLD_PARTS_MAX]:
        taken = min(left, right.left)
        if taken > 0:
            left -= taken
            shares.append(
                Share(lease_id=right.lease_id, sub_lease_id=right.sub_lease_id, amount=taken)
            )
    if left > 0:
        shares.append(Share(lease_id=None, sub_lease_id=None, amount=left))
    assert sum(share.amount for share in shares) == amount, "all of it is accounted"
    return shares


def spendable(rights: Iterable[Right], standing: Standing) -> int:
    """What may be promised now out of these rights together."""
    usable = sorted(
        (right for right in rights if is_usable(right, standing)),
        key=lambda right: (right.spend_until_ms, right.lease_id, right.sub_lease_id or ""),
    )
    return sum(right.left for right in usable[:HOLD_PARTS_MAX])


def within_caps(caps: Caps, taken: Taken, amount: int) -> bool:
    """Whether so much more keeps to the caps."""
    return (caps.receipt_max is None or taken.by_receipt + amount <= caps.receipt_max) and (
        caps.hour_max is None or taken.in_hour + amount <= caps.hour_max
    )


def refusal_of(
    shares: Sequence[Share], caps: Caps, taken: Taken, standing: Standing
) -> Reason | None:
    """Why these shares may not be promised; None: they may."""
    if not standing.may_spend:
        return Reason.RECOVERING
    if not within_caps(caps, taken, sum(share.amount for share in shares)):
        return Reason.OVER_CAP
    if any(share.lease_id is None for share in shares):
        return Reason.NOT_COVERED
    return None


def may_close(book: LeaseBook, standing: Standing) -> bool:
    """Whether this agent may say that it will never spend on the lease again.

    Only of its own lease in its own epoch, when central wants it back or its time is over, and
    when nobody here or at a till can still spend on it: no open hold, no part lent out.
    """
    right = book.right
    due = right.state == LeaseState.RECALLED or (
        right.state == LeaseState.OPEN and standing.now_ms >= right.spend_until_ms
    )
    return (
        due
        and standing.may_spend
        and not book.ended
        and right.edge_id == standing.edge_id
        and right.epoch == standing.epoch
        and book.held == 0
        and book.lent == 0
    )


def sub_lease_amount(book: LeaseBook, wanted: int, standing: Standing) -> int:
    """What a till may get of this lease for the time when the hub is dead; 0: nothing.

    At most a fifth of the lease and 500 units (whole points), and all tills together half of it, so
    that the hub, which serves all of them, keeps enough. A budget is large and nobody's own: of it
    only the shares count.
    """
    if book.ended or not is_usable(book.right, standing):
        return 0
    kind, _ = asset_parts(book.right.asset)
    unit = _POINT if kind == AssetKind.POINTS else 1
    units_max = wanted if kind == AssetKind.BUDGET else SUB_LEASE_UNITS_MAX * unit
    return max(
        min(
            wanted,
            book.right.left,
            book.granted * SUB_LEASE_PERCENT_MAX // 100,
            units_max,
            book.granted * SUB_LEASES_PERCENT_MAX // 100 - book.lent,
        ),
        0,
    )
