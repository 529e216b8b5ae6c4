"""Hostile records: each rule that one can break sends it to quarantine with that rule's code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.receipts.copying import sale_in, texts_text
from central.receipts.sale import SUM_MAX
from central.uplink.reading import Received, Rejected, Stream, read_record
from shared.wire.facts import FactKind, Incident, LeaseSpent
from shared.wire.members import MemberRegistered
from shared.wire.stream import Lane, Record
from tests.support.edge_stream import a_sale, uid_of
from tests.support.examples import examples

STREAM = Stream(edge_id=1, store_id="S1", lane=Lane.RECEIPTS, epoch=1)
SALE = a_sale("r1", earned=5, spent=3, lease_id="L1")
replace = msgspec.structs.replace


def record(body: bytes, **more: Any) -> bytes:
    fields: dict[str, Any] = {
        "uid": uid_of("r1"),
        "lane": Lane.RECEIPTS,
        "epoch": 1,
        "seq": 1,
        "recorded_at_ms": 1,
        "kind": FactKind.RECEIPT_COMMITTED,
        "schema_version": 1,
        "body": body,
    }
    return msgspec.msgpack.encode(Record(**fields | more))


def code_of(data: bytes) -> str:
    read = read_record(STREAM, 1, data)
    assert isinstance(read, Rejected), read
    assert (read.seq, read.data) == (1, data)
    assert "\x00" not in read.detail
    return read.detail.partition(":")[0]


def sale(**more: Any) -> bytes:
    return msgspec.msgpack.encode(replace(SALE, **more))


def line(**more: Any) -> bytes:
    lines = [replace(SALE.receipt.lines[0], **more)]
    return sale(receipt=replace(SALE.receipt, lines=lines))


def priced(**more: Any) -> bytes:
    lines = [replace(SALE.answer.lines[0], **more)]
    return sale(answer=replace(SALE.answer, lines=lines))


def accrued(**more: Any) -> bytes:
    return sale(answer=replace(SALE.answer, accrued=[replace(SALE.answer.accrued[0], **more)]))


def spend(**more: Any) -> bytes:
    return sale(lease_spends=[replace(SALE.lease_spends[0], **more)])


def raw(change: Callable[[list[Any]], None]) -> bytes:
    """The sale as plain msgpack, changed where no structure would allow it."""
    parts = msgpack.unpackb(msgspec.msgpack.encode(SALE))
    change(parts)
    return bytes(msgpack.packb(parts))


def _float_price(parts: list[Any]) -> None:
    parts[6][3][0][3] = 10.5


def _nan_in_a_newer_field(parts: list[Any]) -> None:
    parts.append(float("nan"))


BODIES = {
    "unreadable": [
        b"",
        b"\xc1",
        b"\xdd\xf0\x00\x00\x00",  # an array of four thousand million
        b"\x91" * 100_000,
        msgspec.msgpack.encode(SALE)[:-1],
        msgspec.msgpack.encode(SALE) + b"\x00",
        msgspec.msgpack.encode(SALE).replace(b"R1", b"\xff1"),
        raw(_float_price),
        raw(_nan_in_a_newer_field),
        raw(lambda parts: parts.append(msgpack.ExtType(5, b"x"))),
    ],
    "other_receipt": [sale(receipt_id="r2")],
    "bad_text": [
        sale(register="R\x00"),
        sale(register="R" * 201),
        line(sku="a\x00"),
        accrued(account="\x00"),
        spend(lease_id="L" * 201),
    ],
    "bad_date": [
        sale(business_date="20261123"),
        sale(business_date="tomorrow"),
        accrued(active_on_date="2026-02-30"),
    ],
    "out_of_range": [
        sale(committed_at_ms=-1),
        sale(committed_at_ms=2**60),
        sale(bundle_version=-1),
        line(quantity_milli=0),
        line(quantity_milli=-1000),
        line(quantity_milli=10**12),
        accrued(points_centi=-1),
        accrued(points_centi=SUM_MAX + 1),
        spend(points_centi=2**63),
    ],
    "bad_lines": [line(line=2), sale(receipt=replace(SALE.receipt, lines=[]))],
    "wrong_sums": [
        priced(list_minor=2000),
        priced(net_minor=999),
        priced(to_pay_minor=0),
    ],
    "bad_uid": [spend(spend_uid=b"short")],
    "bad_incidents": [
        sale(incidents=[Incident(code="x", detail="y")] * 101),
        sale(incidents=[Incident(code="x", detail="\x00")]),
    ],
    "wrong_store": [sale(store_id="S2")],
}


@pytest.mark.parametrize("code", sorted(BODIES))
def test_each_rule_has_its_code(code: str) -> None:
    """One body for every way to break a rule."""
    for body in BODIES[code]:
        assert code_of(record(body)) == code


def test_a_map_that_names_a_key_twice_is_refused() -> None:
    """Two readers could take different values for it."""
    body = msgspec.msgpack.encode(
        replace(SALE, receipt=replace(SALE.receipt, chips={"k": 1, "j": 2}))
    ).replace(b"\x82\xa1k\x01\xa1j\x02", b"\x82\xa1k\x01\xa1k\x02")

    assert code_of(record(body)) == "unreadable"


@pytest.mark.parametrize(
    ("code", "more"),
    [
        ("bad_uid", {"uid": b"short"}),
        ("wrong_place", {"seq": 2}),
        ("wrong_place", {"epoch": 2}),
        ("wrong_place", {"lane": 0}),
        ("out_of_range", {"recorded_at_ms": -5}),
        ("unknown_kind", {"kind": "receipt.painted\x00"}),
        ("wrong_lane", {"kind": FactKind.LEASE_SPENT}),
    ],
)
def test_a_record_has_one_place_and_a_known_kind(code: str, more: dict[str, Any]) -> None:
    """Its frame is checked before its body."""
    assert code_of(record(msgspec.msgpack.encode(SALE), **more)) == code


def test_fields_of_a_newer_release_are_kept_and_passed_over() -> None:
    """A trailing field is no fault, and the body stays as it was recorded."""
    body = raw(lambda parts: parts.append({"new": 1}))
    read = read_record(STREAM, 1, record(body))

    assert isinstance(read, Received)
    assert read.body == body
    assert read.fact == SALE


def test_lines_answered_in_another_order_are_brought_together() -> None:
    """Columns follow the answer; each line keeps its own goods."""
    first, second = SALE.receipt.lines[0], replace(SALE.receipt.lines[0], line=2, sku="b")
    price = SALE.answer.lines[0]
    total = SALE.answer.total
    fact = replace(
        SALE,
        receipt=replace(SALE.receipt, lines=[first, second]),
        answer=replace(
            SALE.answer,
            lines=[replace(price, line=2), price],
            total=replace(
                total,
                list_minor=2 * total.list_minor,
                net_minor=2 * total.net_minor,
                to_pay_minor=2 * total.to_pay_minor,
            ),
        ),
    )
    read = read_record(STREAM, 1, record(msgspec.msgpack.encode(fact)))

    assert isinstance(read, Received)
    assert read.columns is not None
    assert list(zip(read.columns.numbers, read.columns.skus, strict=True)) == [(2, "b"), (1, "a")]


def test_money_amounts_are_above_zero() -> None:
    """Nothing is spent by spending nothing."""
    fact = LeaseSpent(
        lease_id="L1",
        sub_lease_id=None,
        owner="c1",
        asset="points:main",
        amount=0,
        receipt_id="r1",
        spent_at_ms=1,
    )
    money = Stream(edge_id=1, store_id="S1", lane=Lane.MONEY, epoch=1)
    for amount, good in ((0, False), (-1, False), (1, True), (SUM_MAX + 1, False)):
        body = msgspec.msgpack.encode(replace(fact, amount=amount))
        read = read_record(money, 1, record(body, lane=Lane.MONEY, kind=FactKind.LEASE_SPENT))
        assert isinstance(read, Received) == good


@given(data=st.binary(max_size=300))
@examples(300)
def test_no_bytes_are_too_strange_to_be_set_aside(data: bytes) -> None:
    """Whatever comes is read or rejected, as a record and as a body."""
    for whole in (data, record(data)):
        assert isinstance(read_record(STREAM, 1, whole), (Received, Rejected))


@given(at=st.integers(0, 400), change=st.integers(1, 255))
@examples(300)
def test_a_flipped_byte_never_raises(at: int, change: int) -> None:
    """Nearly right is the hardest to refuse."""
    body = bytearray(msgspec.msgpack.encode(SALE))
    body[at % len(body)] ^= change
    read = read_record(STREAM, 1, record(bytes(body)))
    assert isinstance(read, (Received, Rejected))


def test_a_stored_body_is_the_fact() -> None:
    """What is kept under zstd reads as it was."""
    import zstandard

    assert sale_in(zstandard.compress(msgspec.msgpack.encode(SALE))) == SALE


def test_a_spend_without_its_uid_is_of_the_first_release() -> None:
    """An empty uid is no fault."""
    body = spend(spend_uid=b"")
    assert isinstance(read_record(STREAM, 1, record(body)), Received)


@pytest.mark.parametrize("text", ['a"b', "a\\b", "{a,b}", "tab\t", "NULL", "", "line\nend", "ё"])
def test_texts_of_an_array_are_quoted(text: str) -> None:
    """The database's own reading of these is tested with the database."""
    assert texts_text([text]).startswith('{"')
    assert "\t" not in texts_text([text])
    assert "\n" not in texts_text([text])


def a_newcomer(**changes: object) -> bytes:
    fact = MemberRegistered(
        customer_id="new-7-" + "0a" * 10,
        store_id="S1",
        register="R1",
        registered_at_ms=1_790_000_000_000,
        sealed_phone=b"s" * 60,
        card_tag=b"c" * 16,
        consents=["rules"],
    )
    return msgspec.msgpack.encode(msgspec.structs.replace(fact, **changes))


@pytest.mark.parametrize(
    "change",
    [
        {"store_id": "S2"},
        {"customer_id": "c1"},
        {"customer_id": "new-7-xyz"},
        {"register": "R\x00"},
        {"cashier": "x" * 201},
        {"registered_at_ms": -1},
        {"sealed_phone": b""},
        {"sealed_phone": b"s" * 513},
        {"card_tag": b"short"},
        {"consents": ["everything"]},
        {"consents": ["sms", "sms"]},
    ],
)
def test_new_member_who_cannot_be_is_set_aside(change: dict[str, object]) -> None:
    """As it should be it is read; with any one thing wrong it is kept with its reason."""
    kind = FactKind.MEMBER_REGISTERED
    assert isinstance(read_record(STREAM, 1, record(a_newcomer(), kind=kind)), Received)
    read = read_record(STREAM, 1, record(a_newcomer(**change), kind=kind))
    assert isinstance(read, Rejected)
