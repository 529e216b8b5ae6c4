"""What edges report: the bodies of stream records, by ``kind``. Fields are append-only.

What is limited (points, uses of a coupon or a promotion, a campaign's budget, the money on a gift
card) is an *asset* of an *owner*; ``shared.wire.assets`` names both. The facts about leases hold
for all of them alike.
"""

from __future__ import annotations

import enum

import msgspec

from shared.wire.answer import Answer
from shared.wire.receipt import Receipt
from shared.wire.refund_json import Refund


class FactKind(enum.StrEnum):
    """Which structure a record's body holds, and on which lane it travels."""

    RECEIPT_COMMITTED = "receipt.committed"
    """ReceiptCommitted, lane RECEIPTS"""
    RECEIPT_RETURNED = "receipt.returned"
    """ReceiptReturned, lane RECEIPTS"""
    LEASE_SPENT = "lease.spent"
    """LeaseSpent, lane MONEY; the record's uid is the spend's"""
    SPEND_VOIDED = "spend.voided"
    """SpendVoided, lane MONEY"""
    LEASE_CLOSED = "lease.closed"
    """LeaseClosed, lane MONEY"""
    SUB_LEASE_GRANTED = "sub_lease.granted"
    """SubLeaseGranted, lane MONEY"""
    SUB_LEASE_CLOSED = "sub_lease.closed"
    """SubLeaseClosed, lane MONEY"""
    MEMBER_REGISTERED = "member.registered"
    """``shared.wire.members.MemberRegistered``, lane RECEIPTS"""


class LeaseSpend(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Points one receipt took from one lease; ``lease_id`` None: no lease covered them.

    ``spend_uid`` is the uid of the ``lease.spent`` record of the same spend, so that central posts
    it once whichever of the two arrives first; empty in receipts of the first release, which had
    no such record.
    """

    lease_id: str | None
    account: str
    points_centi: int
    spend_uid: bytes = b""
    sub_lease_id: str | None = None


class RightSpend(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What else one receipt took of a right: of any asset that is not points.

    As ``LeaseSpend``, the second source of the spend ``spend_uid``.
    """

    owner: str
    asset: str
    amount: int
    lease_id: str | None
    spend_uid: bytes
    sub_lease_id: str | None = None


class PromotionUse(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the receipt's customer used of a promotion that is limited for each customer.

    ``measure`` and ``period``: as ``shared.uses`` names them. ``limit``: what one customer may use
    in such a period, by the programme that priced the receipt.
    """

    promotion: str
    measure: str
    period: str
    amount: int
    limit: int


class Incident(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Something about a sale that did not fit; the sale is recorded all the same."""

    code: str
    detail: str


class ReceiptCommitted(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A sale that was made: what went into the price, what came out, and what paid for the points.

    ``receipt`` is complete (as the agent filled it in), so that central's engine, given bundle
    ``bundle_version``, must come to the same ``answer``. ``business_date``: shop day (ISO date).
    """

    receipt_id: str
    store_id: str
    register: str
    business_date: str
    committed_at_ms: int
    bundle_version: int
    receipt: Receipt
    answer: Answer
    lease_spends: list[LeaseSpend]
    incidents: list[Incident]
    right_spends: list[RightSpend] = []
    uses: list[PromotionUse] = []


class GoodsReturned(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Goods that came back without a receipt; ``money_minor`` is what all of the line gave.

    ``price_minor``: the shelf price of one unit that the till told. ``basis``: why so much is
    given, ``card`` or ``lowest`` (docs/refunds.md).
    """

    line: int
    sku: str
    quantity_milli: int
    price_minor: int
    money_minor: int
    basis: str


class ReceiptReturned(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Goods that came back. ``refund`` was made from the answer that the sale stored.

    ``sale_uid``: the record of the sale, None where nobody has it. Points spent go back to the
    customer, points earned are taken back, both at central and as the refund says.
    ``rights_returned``: what the sale had used of the customer's own coupons, where the refund
    restores them. ``sale_store_id``: where it was sold; empty is the store of the return.
    ``goods``: what came back without a receipt; then there is no sale at all. ``cashier_id``: who
    took such goods back.
    """

    return_id: str
    store_id: str
    register: str
    business_date: str
    returned_at_ms: int
    sale_uid: bytes | None
    sale_receipt_id: str
    customer_id: str | None
    refund: Refund
    incidents: list[Incident]
    rights_returned: list[RightSpend] = []
    sale_store_id: str = ""
    goods: list[GoodsReturned] = []
    cashier_id: str = ""


class LeaseSpent(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A right was used: ``amount`` of the asset, taken from a lease.

    ``lease_id`` None: no lease covered it, and central books it to the store's shortage.
    ``sub_lease_id``: the till's own part of a hub's lease. ``spent_at_ms`` is trusted time.
    """

    lease_id: str | None
    sub_lease_id: str | None
    owner: str
    asset: str
    amount: int
    receipt_id: str
    spent_at_ms: int


class SpendVoided(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The spend of this uid did not happen, whether or not anybody has heard of it."""

    spend_uid: bytes
    receipt_id: str


class LeaseClosed(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The holder will never spend on this lease again; this is all it spent, sub-leases included.

    Central gives the rest back to the owner when it has seen that many spends with that sum.
    """

    lease_id: str
    spend_count: int
    spent_amount: int


class SubLeaseGranted(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A hub gave a till a part of its lease, for the time when the hub is dead."""

    sub_lease_id: str
    lease_id: str
    till_edge_id: int
    amount: int
    spend_until_ms: int


class SubLeaseClosed(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The till gave its part back; what it spent of it is on its own stream.

    ``is_certain`` False: the till was put back meanwhile and may have forgotten spends, so the hub
    spends nothing of the lease any more.
    """

    sub_lease_id: str
    lease_id: str
    spend_count: int
    spent_amount: int
    is_certain: bool = True
