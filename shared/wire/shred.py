"""Records taken apart into columns and put together again: what a frame holds.

The bodies of one kind become columns (``shared.wire.columns``), lists of rows within them too. What
a receipt says twice is said once: sums that follow from other fields are left out and computed
again. Whatever does not come back byte for byte that way travels as it is, so nothing here has to
know every release: a record of a newer one, or a damaged one, keeps its bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any, Final

import msgspec

from shared.errors import InputError
from shared.unreadable import UNREADABLE
from shared.wire.columns import Budget, pack, unpack
from shared.wire.facts import FactKind

Shape = dict[int, Any]
"""Which fields of a row are rows themselves (a Shape) or lists of rows ((Shape,))."""

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder().decode
_UID_BYTES: Final = 16
_RECORD_FIELDS: Final = 8
_ROW_FIELDS_MAX: Final = 64
_RECEIPT, _ANSWER = 6, 7
_LINES, _ANSWER_LINES, _TOTAL, _ACCRUED = 3, 4, 5, 6
_MALFORMED: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    StopIteration,
    OSError,  # a moment outside of all calendars
)
"""What Python says of lists that are not what they should be."""
_SHAPES: Final[dict[str, Shape]] = {
    FactKind.RECEIPT_COMMITTED: {
        _RECEIPT: {_LINES: ({},), 7: {}},
        _ANSWER: {
            _ANSWER_LINES: ({6: ({},), 7: ({},)},),
            _ACCRUED: ({5: ({},)},),
            7: ({},),
            8: ({},),
            10: ({},),
        },
        8: ({},),
        9: ({},),
    },
}


def take_apart(records: Sequence[bytes], bytes_max: int) -> list[Any]:
    """What a frame holds for these encoded records, as plain lists for msgpack.

    Raises:
        TooLargeError: ``put_together`` would refuse it, as larger than ``bytes_max``.
    """
    verbatim: dict[int, bytes] = {}
    while True:
        taken = _take_apart(records, verbatim)
        try:
            back = put_together(taken, bytes_max)
            odd = [at for at, record in enumerate(records) if back[at] != record]
        except InputError:
            odd = [at for at, record in enumerate(records) if not _comes_back(record, bytes_max)]
        if not odd:
            return taken
        verbatim |= {at: records[at] for at in odd}


def put_together(taken: Any, bytes_max: int) -> list[bytes]:
    """The encoded records of a frame, in their order, never more than ``bytes_max`` in all.

    Raises:
        InputError: this is not what ``take_apart`` makes.
        TooLargeError: the records would be larger than agreed.
    """
    try:
        verbatim, heads, groups = taken
        count, rows = heads
        budget = Budget(bytes_max)
        budget.take(_counted(count))
        records: list[bytes | None] = [None] * count
        for at, data in zip(verbatim[0], verbatim[1], strict=True):
            if not isinstance(data, bytes):
                raise TypeError("a record is bytes")
            budget.take(len(data))
            records[_counted(at)] = data
        places = iter([at for at, record in enumerate(records) if record is None])
        rest = count - len(verbatim[0])
        heads_of = zip(*_heads(rows, rest, budget), strict=True)
        bodies = {
            kind: iter(_join(group, _counted(rows_count), _shape(kind), budget))
            for kind, rows_count, group in groups
        }
        for at, (uid, lane, epoch, seq, recorded_at_ms, kind, version) in zip(
            places, heads_of, strict=True
        ):
            body = next(bodies[kind])
            head = [uid, lane, epoch, seq, recorded_at_ms, kind, version]
            if kind == FactKind.RECEIPT_COMMITTED:
                _thicken(body)
                _fill(head, 4, body[4])
            data = _ENCODE([*head, _ENCODE(body)])
            budget.take(len(data))
            records[at] = data
    except _MALFORMED as error:
        raise InputError("the frame does not hold records", code="bad_frame") from error
    if None in records:
        raise InputError("the frame does not hold records", code="bad_frame")
    return [record for record in records if record is not None]


def _comes_back(record: bytes, bytes_max: int) -> bool:
    try:
        return put_together(_take_apart([record], {}), bytes_max) == [record]
    except InputError:
        return False


def _take_apart(records: Sequence[bytes], verbatim: dict[int, bytes]) -> list[Any]:
    heads: list[list[Any]] = []
    bodies: dict[str, list[list[Any]]] = {}
    for at, record in enumerate(records):
        if at in verbatim:
            continue
        try:
            head = _DECODE(record)
            body = _DECODE(head[7])
        except (*UNREADABLE, *_MALFORMED):
            verbatim[at] = record
            continue
        if (
            len(head) != _RECORD_FIELDS
            or not isinstance(head[0], bytes)
            or len(head[0]) != _UID_BYTES
            or not isinstance(head[5], str)
            or not _fits(body, _shape(head[5]))
        ):
            verbatim[at] = record
            continue
        if head[5] == FactKind.RECEIPT_COMMITTED:
            try:
                if head[4] == body[4]:
                    head[4] = None
                _thin(body)
            except _MALFORMED:
                verbatim[at] = record
                continue
        heads.append(head)
        bodies.setdefault(head[5], []).append(body)
    columns = [pack([head[field] for head in heads]) for field in (1, 2, 3, 4, 5, 6)]
    return [
        [list(verbatim), list(verbatim.values())],
        [len(records), [b"".join(head[0] for head in heads), *columns]],
        [[kind, len(rows), _shred(rows, _shape(kind))] for kind, rows in bodies.items()],
    ]


def _heads(rows: Any, count: int, budget: Budget) -> list[Sequence[Any]]:
    uids, *columns = rows
    if not isinstance(uids, bytes) or len(uids) != _UID_BYTES * count:
        raise ValueError("a uid is 16 bytes")
    return [
        [uids[at : at + _UID_BYTES] for at in range(0, len(uids), _UID_BYTES)],
        *(unpack(column, count, budget) for column in columns),
    ]


def _shape(kind: str) -> Shape:
    return _SHAPES.get(kind, {})


def _fits(row: Any, shape: Shape) -> bool:
    """Whether rows stand where the shape has rows; null may stand for a single one."""
    if not isinstance(row, list) or len(row) > _ROW_FIELDS_MAX:
        return False
    for at, inner in shape.items():
        if at >= len(row):
            continue
        value = row[at]
        if isinstance(inner, tuple):
            if not isinstance(value, list) or not all(_fits(each, inner[0]) for each in value):
                return False
        elif value is not None and not _fits(value, inner):
            return False
    return True


def _shred(rows: list[list[Any]], shape: Shape) -> list[Any]:
    columns: list[Any] = []
    for at in range(max(map(len, rows), default=0)):
        values = [row[at] for row in rows if len(row) > at]
        inner = shape.get(at)
        if inner is None:
            columns.append(pack(values))
        elif isinstance(inner, tuple):
            flat = [each for value in values for each in value]
            columns.append([pack(list(map(len, values))), _shred(flat, inner[0])])
        else:
            there = [value for value in values if value is not None]
            columns.append([pack([value is not None for value in values]), _shred(there, inner)])
    return [pack(list(map(len, rows))), columns]


def _join(shredded: Any, count: int, shape: Shape, budget: Budget) -> list[list[Any]]:
    widths_column, columns = shredded
    widths = unpack(widths_column, count, budget)
    whole = len(columns)
    if count and (max(widths) != whole or whole > _ROW_FIELDS_MAX):
        raise ValueError("rows and columns differ")
    budget.take(count * whole)
    even = all(width == whole for width in widths)
    joined: list[Sequence[Any]] = []
    for at, column in enumerate(columns):
        here = count if even else sum(width > at for width in widths)
        inner = shape.get(at)
        if inner is None:
            joined.append(unpack(column, here, budget))
            continue
        told, rows_column = column
        marks = unpack(told, here, budget)
        if isinstance(inner, tuple):
            rows = iter(_join(rows_column, _sum(marks), inner[0], budget))
            joined.append([list(islice(rows, length)) for length in marks])
        else:
            rows = iter(_join(rows_column, sum(map(bool, marks)), inner, budget))
            joined.append([next(rows) if mark else None for mark in marks])
    if even:
        return list(map(list, zip(*joined, strict=True))) if columns else [[] for _ in widths]
    cells = [iter(column) for column in joined]
    return [[next(cells[at]) for at in range(width)] for width in widths]


def _sum(lengths: Sequence[Any]) -> int:
    return sum(map(_counted, lengths))


def _counted(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError("a number of things is expected")
    return number


# --- what a receipt says twice


def _thin(body: list[Any]) -> None:
    """Leave out of a receipt what ``_thicken`` computes, the dependent before what it hangs on."""
    receipt, answer = body[_RECEIPT], body[_ANSWER]
    lines, priced_lines = receipt[_LINES], answer[_ANSWER_LINES]
    if answer[9] == _applied(answer):
        answer[9] = None
    _leave_out(answer, _TOTAL, [sum(column) for column in zip(*_sums(priced_lines), strict=True)])
    for number, (line, priced) in enumerate(zip(lines, priced_lines, strict=True), start=1):
        if priced[7] == [[line[2], priced[5]]]:
            priced[7] = []
        for applied in priced[6]:
            _leave_out(applied, 2, line[2])
        _leave_out(priced, 5, priced[3] - priced[4])
        _leave_out(priced, 3, priced[1] - priced[2])
        _leave_out(priced, 2, sum(applied[1] for applied in priced[6]))
        _leave_out(priced, 1, (line[3] * line[2] + 500) // 1000)
        _leave_out(priced, 0, line[0])
        _leave_out(line, 0, number)
    _leave_out(body, 3, receipt[2][:10])
    receipt[2] = _short_time(receipt[2], body[4])
    _leave_out(answer, 2, body[5])
    _leave_out(answer, 0, body[0])
    _leave_out(receipt, 4, body[2])
    _leave_out(receipt, 1, body[1])
    _leave_out(receipt, 0, body[0])


def _thicken(body: list[Any]) -> None:
    """Compute what ``_thin`` left out."""
    receipt, answer = body[_RECEIPT], body[_ANSWER]
    _fill(receipt, 0, body[0])
    _fill(receipt, 1, body[1])
    _fill(receipt, 4, body[2])
    _fill(answer, 0, body[0])
    _fill(answer, 2, body[5])
    receipt[2] = _long_time(receipt[2], body[4])
    _fill(body, 3, receipt[2][:10])
    pairs = zip(receipt[_LINES], answer[_ANSWER_LINES], strict=True)
    for number, (line, priced) in enumerate(pairs, start=1):
        if line[0] is None:
            line[0] = number
        if priced[0] is None:
            priced[0] = line[0]
        quantity_milli = line[2]
        if priced[1] is None:
            priced[1] = (line[3] * quantity_milli + 500) // 1000
        if priced[2] is None:
            priced[2] = sum(applied[1] for applied in priced[6])
        if priced[3] is None:
            priced[3] = priced[1] - priced[2]
        if priced[5] is None:
            priced[5] = priced[3] - priced[4]
        for applied in priced[6]:
            if applied[2] is None:
                applied[2] = quantity_milli
        if not priced[7]:
            priced[7] = [[quantity_milli, priced[5]]]
    if answer[_TOTAL] is None:
        answer[_TOTAL] = [sum(column) for column in zip(*_sums(answer[_ANSWER_LINES]), strict=True)]
    if answer[9] is None:
        answer[9] = _applied(answer)


def _sums(priced_lines: list[Any]) -> list[Any]:
    return [priced[1:6] for priced in priced_lines]


def _applied(answer: list[Any]) -> list[str]:
    """The promotions of the lines and of the points, each once, by name."""
    named = {applied[0] for priced in answer[_ANSWER_LINES] for applied in priced[6]}
    return sorted(named | {accrued[1] for accrued in answer[_ACCRUED]})


def _leave_out(row: list[Any], at: int, value: Any) -> None:
    if row[at] == value:
        row[at] = None


def _fill(row: list[Any], at: int, value: Any) -> None:
    if row[at] is None:
        row[at] = value


def _short_time(text: Any, committed_at_ms: Any) -> Any:
    """Seconds after the commit, with the offset: one small number instead of 25 characters."""
    try:
        moment = datetime.fromisoformat(text)
        offset = moment.utcoffset()
    except (ValueError, TypeError):
        return text
    if offset is None or moment.isoformat() != text or moment.microsecond:
        return text
    seconds = int(moment.timestamp()) - committed_at_ms // 1000
    offset_min, rest_s = divmod(int(offset.total_seconds()), 60)
    return text if rest_s else [seconds, offset_min]


def _long_time(told: Any, committed_at_ms: Any) -> Any:
    if isinstance(told, str):
        return told
    seconds, offset_min = told
    zone = timezone(timedelta(minutes=offset_min))
    return datetime.fromtimestamp(committed_at_ms // 1000 + seconds, zone).isoformat()
