"""Records as facts, read without trusting a byte: what cannot be read or be true says why. Pure.

A record is hashed by its exact bytes, so two readings of the same bytes must not differ: a map that
names a key twice, a number that is none, a type of somebody's own are refused. Nearly every record
is what our own encoder gives for what was read, and that settles it; only others are walked.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

import msgpack
import msgspec

from central.receipts.sale import (
    SUM_MAX,
    SaleColumns,
    check_at_ms,
    check_date,
    check_range,
    check_text,
    columns_of,
)
from shared.crypto.sealing import SEALED_BYTES_MAX
from shared.crypto.tags import CARD_TAG_BYTES
from shared.errors import InputError
from shared.limits import (
    QUANTITY_MILLI_MAX,
    RECEIPT_COUPONS_MAX,
    RECEIPT_LINES_MAX,
    RECORD_BYTES_MAX,
    USES_PER_RECEIPT_MAX,
)
from shared.unreadable import UNREADABLE
from shared.uses import last_day_of
from shared.wire.assets import AssetKind, asset_parts
from shared.wire.facts import (
    FactKind,
    Incident,
    LeaseClosed,
    LeaseSpend,
    LeaseSpent,
    PromotionUse,
    ReceiptCommitted,
    ReceiptReturned,
    RightSpend,
    SpendVoided,
    SubLeaseClosed,
    SubLeaseGranted,
)
from shared.wire.members import CONSENTS, MemberRegistered, is_newcomer
from shared.wire.stream import Lane, Record

UID_BYTES: Final = 16
INCIDENTS_MAX: Final = 100
INCIDENT_CHARS_MAX: Final = 2_000
DETAIL_CHARS_MAX: Final = 500
_DEPTH_MAX: Final = 32
"""Of what is walked; a receipt is five deep."""
_LIMIT_MAX: Final = 2**63 - 1
"""A programme may name a limit that nobody reaches."""
_EDGE_ID_MAX: Final = 2**63 - 1
_NO_UID: Final = bytes(UID_BYTES)

Fact = (
    ReceiptCommitted
    | ReceiptReturned
    | LeaseSpent
    | SpendVoided
    | LeaseClosed
    | SubLeaseGranted
    | SubLeaseClosed
    | MemberRegistered
)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Which stream a record stands in, and the store its agent stands in.

    ``by_edge_id``: who adopts it, where that is not the edge whose stream it is.
    """

    edge_id: int
    store_id: str
    lane: int
    epoch: int
    by_edge_id: int | None = None

    @property
    def sender_id(self) -> int:
        """Whose the facts are now: two copies of an edge may have used one receipt id."""
        return self.edge_id if self.by_edge_id is None else self.by_edge_id

    def key(self) -> dict[str, int]:
        """The stream's key in the tables."""
        return {"edge_id": self.edge_id, "lane": self.lane, "epoch": self.epoch}

    def adoption(self) -> dict[str, int]:
        """The key of its adoption in the tables."""
        return self.key() | {"from_edge_id": self.edge_id, "by_edge_id": self.sender_id}


@dataclass(slots=True, kw_only=True)
class Received:
    """A record that can be posted. ``data``: all of it as it came; ``columns``: of a sale."""

    seq: int
    uid: bytes
    content_sha256: bytes
    kind: str
    fact: Fact
    body: bytes
    data: bytes
    columns: SaleColumns | None


@dataclass(slots=True, kw_only=True)
class Rejected:
    """A record for quarantine: ``conflict`` or ``quarantined``, and which rule it broke."""

    seq: int
    uid: bytes
    code: str
    detail: str
    data: bytes


def read_records(stream: Stream, first_seq: int, records: list[bytes]) -> list[Received | Rejected]:
    """Every record, in order: read, or rejected with its reason."""
    return [read_record(stream, seq, data) for seq, data in enumerate(records, start=first_seq)]


def read_record(stream: Stream, seq: int, data: bytes) -> Received | Rejected:
    """One record of a stream, expected at ``seq``."""
    try:
        return _read(stream, seq, data)
    except InputError as error:
        return rejected(seq, _uid_in(data), f"{error.stable_code}: {error.message}", data)


def rejected(
    seq: int, uid: bytes, detail: str, data: bytes, *, code: str = "quarantined"
) -> Rejected:
    """A record set aside, its reason cut to what is kept."""
    detail = detail[:DETAIL_CHARS_MAX].replace("\x00", "")
    return Rejected(seq=seq, uid=uid, code=code, detail=detail, data=data)


def _read(stream: Stream, seq: int, data: bytes) -> Received:
    if len(data) > RECORD_BYTES_MAX:
        raise InputError("the record is larger than agreed", code="too_large")
    record = _strictly(data, _RECORD)
    if len(record.uid) != UID_BYTES:
        raise InputError("a uid is 16 bytes", code="bad_uid")
    if (record.lane, record.epoch, record.seq) != (stream.lane, stream.epoch, seq):
        raise InputError("the record names another place in its stream", code="wrong_place")
    check_at_ms(record.recorded_at_ms)
    reader = _READERS.get(record.kind)
    if reader is None:
        kind = record.kind[:50].replace("\x00", "")
        raise InputError(f"central does not know facts of kind {kind!r}", code="unknown_kind")
    lane, decoder, check = reader
    if lane != stream.lane:
        raise InputError("facts of this kind travel on another lane", code="wrong_lane")
    fact = _strictly(record.body, decoder)
    return Received(
        seq=seq,
        uid=record.uid,
        content_sha256=hashlib.sha256(record.kind.encode() + b"\x00" + record.body).digest(),
        kind=record.kind,
        fact=fact,
        body=record.body,
        data=data,
        columns=check(stream, fact),
    )


def _uid_in(data: bytes) -> bytes:
    try:
        uid = _RECORD.decode(data).uid
    except UNREADABLE:
        return _NO_UID
    return uid if len(uid) == UID_BYTES else _NO_UID


def _strictly(data: bytes, decoder: msgspec.msgpack.Decoder[_T]) -> _T:
    try:
        value = decoder.decode(data)
        if _ENCODER.encode(value) != data:
            # Fields of a newer release, another writer's integers, or mischief.
            _check_depth(msgpack.unpackb(data, object_pairs_hook=_no_key_twice, ext_hook=_no_ext))
    except (
        *UNREADABLE,
        msgpack.UnpackException,
        ValueError,  # msgpack's own: too deep, too long, no key, what our hooks raise
    ) as error:
        reason = str(error).splitlines()[:1]
        raise InputError("".join(reason) or "no msgpack", code="unreadable") from error
    return value


def _no_key_twice(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a map names a key twice")
    return found


def _no_ext(_code: int, _data: bytes) -> NoReturn:
    raise ValueError("types of somebody's own are not read")


class _NotWholeError(ValueError):
    """Nothing that is counted here has a fraction."""


def _check_depth(value: Any, depth: int = 0) -> None:
    if depth > _DEPTH_MAX:
        raise ValueError("nested too deep")
    if isinstance(value, float):
        raise _NotWholeError("not a number" if math.isnan(value) else "numbers are whole")
    if isinstance(value, dict):
        for part in value.values():
            _check_depth(part, depth + 1)
    elif isinstance(value, list):
        for part in value:
            _check_depth(part, depth + 1)


def _check_sale(stream: Stream, fact: ReceiptCommitted) -> SaleColumns:
    _check_store(stream, fact.store_id)
    columns = columns_of(fact)
    for spend in fact.lease_spends:
        _check_lease_spend(spend)
    if max(len(fact.right_spends), len(fact.uses)) > USES_PER_RECEIPT_MAX:
        raise InputError("more rights or uses than a receipt can have", code="bad_uses")
    for right in fact.right_spends:
        _check_right_spend(right)
    for use in fact.uses:
        _check_use(use)
    _check_incidents(fact.incidents)
    return columns


def _check_lease_spend(spend: LeaseSpend) -> None:
    check_text(spend.account)
    check_range(spend.points_centi, 0, SUM_MAX)
    for name in (spend.lease_id, spend.sub_lease_id):
        if name is not None:
            check_text(name)
    if len(spend.spend_uid) not in {0, UID_BYTES}:
        raise InputError("a uid is 16 bytes", code="bad_uid")


def _check_right_spend(right: RightSpend) -> None:
    check_text(right.owner, right.asset)
    check_range(right.amount, 1, SUM_MAX)
    for name in (right.lease_id, right.sub_lease_id):
        if name is not None:
            check_text(name)
    if len(right.spend_uid) != UID_BYTES:
        raise InputError("a uid is 16 bytes", code="bad_uid")


def _check_use(use: PromotionUse) -> None:
    check_text(use.promotion, use.measure)
    check_range(use.amount, 1, SUM_MAX)
    check_range(use.limit, 0, _LIMIT_MAX)
    try:
        last_day_of(use.period)
    except ValueError as error:
        raise InputError("there is no such period", code="bad_period") from error


def _check_return(stream: Stream, fact: ReceiptReturned) -> None:
    _check_store(stream, fact.store_id)
    check_text(fact.return_id, fact.register, fact.sale_receipt_id)
    check_text(fact.sale_store_id, fact.cashier_id)
    if fact.customer_id is not None:
        check_text(fact.customer_id)
    if fact.sale_uid is not None and len(fact.sale_uid) != UID_BYTES:
        raise InputError("a uid is 16 bytes", code="bad_uid")
    check_date(fact.business_date)
    check_at_ms(fact.returned_at_ms)
    refund = fact.refund
    if max(len(refund.lines), len(fact.goods)) > RECEIPT_LINES_MAX:
        raise InputError("too many lines", code="bad_lines")
    check_range(refund.money_minor, 0, SUM_MAX)
    for line in refund.lines:
        check_range(line.line, 0, _EDGE_ID_MAX)
        check_range(line.quantity_milli, 0, QUANTITY_MILLI_MAX)
    for goods in fact.goods:
        check_text(goods.sku, goods.basis)
        check_range(goods.quantity_milli, 0, QUANTITY_MILLI_MAX)
        check_range(goods.price_minor, 0, SUM_MAX)
        check_range(goods.money_minor, 0, SUM_MAX)
    for points in refund.points_returned:
        check_text(points.account)
        check_range(points.points_centi, 0, SUM_MAX)
    for taken in refund.points_taken:
        check_text(taken.account, taken.promotion)
        check_range(taken.points_centi, 0, SUM_MAX)
        check_date(taken.active_on_date)
        if taken.expires_on_date is not None:
            check_date(taken.expires_on_date)
    check_range(sum(points.points_centi for points in refund.points_returned), 0, SUM_MAX)
    check_range(sum(taken.points_centi for taken in refund.points_taken), 0, SUM_MAX)
    if len(fact.rights_returned) > RECEIPT_COUPONS_MAX:
        raise InputError("too many coupons come back", code="out_of_range")
    for right in fact.rights_returned:
        _check_right_spend(right)
        if asset_parts(right.asset)[0] != AssetKind.COUPON or right.amount != 1:
            raise InputError("only coupons come back, one use each", code="out_of_range")
    _check_incidents(fact.incidents)


def _check_incidents(incidents: list[Incident]) -> None:
    if len(incidents) > INCIDENTS_MAX:
        raise InputError("too many incidents", code="bad_incidents")
    for incident in incidents:
        check_text(incident.code)
        if len(incident.detail) > INCIDENT_CHARS_MAX or "\x00" in incident.detail:
            raise InputError("an incident's detail cannot be kept", code="bad_incidents")


def _check_store(stream: Stream, store_id: str) -> None:
    if store_id != stream.store_id:
        raise InputError("the fact is of another store", code="wrong_store")


def _check_spent(_stream: Stream, fact: LeaseSpent) -> None:
    check_text(fact.owner, fact.asset, fact.receipt_id)
    for name in (fact.lease_id, fact.sub_lease_id):
        if name is not None:
            check_text(name)
    check_range(fact.amount, 1, SUM_MAX)
    check_at_ms(fact.spent_at_ms)


def _check_voided(_stream: Stream, fact: SpendVoided) -> None:
    check_text(fact.receipt_id)
    if len(fact.spend_uid) != UID_BYTES:
        raise InputError("a uid is 16 bytes", code="bad_uid")


def _check_closed(_stream: Stream, fact: LeaseClosed) -> None:
    check_text(fact.lease_id)
    check_range(fact.spend_count, 0, SUM_MAX)
    check_range(fact.spent_amount, 0, SUM_MAX)


def _check_sub_granted(_stream: Stream, fact: SubLeaseGranted) -> None:
    check_text(fact.sub_lease_id, fact.lease_id)
    check_range(fact.till_edge_id, 0, _EDGE_ID_MAX)
    check_range(fact.amount, 0, SUM_MAX)
    check_at_ms(fact.spend_until_ms)


def _check_sub_closed(_stream: Stream, fact: SubLeaseClosed) -> None:
    check_text(fact.sub_lease_id, fact.lease_id)
    check_range(fact.spend_count, 0, SUM_MAX)
    check_range(fact.spent_amount, 0, SUM_MAX)


def check_registered(stream: Stream, fact: MemberRegistered) -> None:
    """Refuse a new member who cannot be; raises InputError."""
    _check_store(stream, fact.store_id)
    check_text(fact.customer_id, fact.register, fact.cashier)
    if not is_newcomer(fact.customer_id):
        raise InputError("this is no name that a shop gives", code="bad_member")
    check_at_ms(fact.registered_at_ms)
    if not 0 < len(fact.sealed_phone) <= SEALED_BYTES_MAX:
        raise InputError("a phone is sealed", code="bad_member")
    if fact.card_tag is not None and len(fact.card_tag) != CARD_TAG_BYTES:
        raise InputError("a card's tag is 16 bytes", code="bad_member")
    if len(set(fact.consents)) != len(fact.consents) or not set(fact.consents) <= set(CONSENTS):
        raise InputError("there is no such consent", code="bad_member")


_ENCODER: Final = msgspec.msgpack.Encoder()
_RECORD: Final = msgspec.msgpack.Decoder(Record)

_READERS: Final[dict[str, tuple[int, Any, Any]]] = {
    FactKind.RECEIPT_COMMITTED: (
        Lane.RECEIPTS,
        msgspec.msgpack.Decoder(ReceiptCommitted),
        _check_sale,
    ),
    FactKind.RECEIPT_RETURNED: (
        Lane.RECEIPTS,
        msgspec.msgpack.Decoder(ReceiptReturned),
        _check_return,
    ),
    FactKind.LEASE_SPENT: (Lane.MONEY, msgspec.msgpack.Decoder(LeaseSpent), _check_spent),
    FactKind.SPEND_VOIDED: (Lane.MONEY, msgspec.msgpack.Decoder(SpendVoided), _check_voided),
    FactKind.LEASE_CLOSED: (Lane.MONEY, msgspec.msgpack.Decoder(LeaseClosed), _check_closed),
    FactKind.SUB_LEASE_GRANTED: (
        Lane.MONEY,
        msgspec.msgpack.Decoder(SubLeaseGranted),
        _check_sub_granted,
    ),
    FactKind.SUB_LEASE_CLOSED: (
        Lane.MONEY,
        msgspec.msgpack.Decoder(SubLeaseClosed),
        _check_sub_closed,
    ),
    FactKind.MEMBER_REGISTERED: (
        Lane.RECEIPTS,
        msgspec.msgpack.Decoder(MemberRegistered),
        check_registered,
    ),
}
