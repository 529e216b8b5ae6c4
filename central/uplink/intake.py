"""Keep and post what is new: of one batch or of many, by the same few statements.

What many streams bring together is told apart here only by where it stands: the books are loaded
once for all of it, changed record by record, and saved once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from central.accounts import service as accounts
from central.accounts import store as ledger
from central.accounts.books import Books, Origin
from central.accounts.needs import Needs
from central.customers.store import known_customers
from central.database.pool import Connection, run_many
from central.limits import uses
from central.limits.policy import Sold
from central.members.registering import put_registration
from central.receipts import store as receipts
from central.receipts.copying import Copying, incidents_text, other_fact
from central.receipts.returning import settle
from central.uplink.posting import customers_of, needs_of_all, post, sort_out
from central.uplink.reading import Received, Rejected, Stream
from shared.clock import Clock
from shared.logs import get_logger
from shared.sqlfile import load_queries
from shared.wire.facts import Incident, ReceiptCommitted, ReceiptReturned
from shared.wire.members import MemberRegistered

_QUERIES = load_queries("central.uplink")
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """What one batch brings of its stream."""

    stream: Stream
    read: Sequence[Received | Rejected]


class Intake:
    """Stores portions in the caller's transaction."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._copying = Copying()

    async def take(
        self, connection: Connection, portions: Sequence[Portion], *, hopeful: bool = False
    ) -> list[list[Rejected]]:
        """Store and post what is new of each portion; what has to be set aside of each.

        ``hopeful``: nobody is asked whether the sales are known. If one is, the database refuses
        it (psycopg.errors.UniqueViolation) and everything has to be done again, looking first.
        """
        sorted_out = await self._sort_out(connection, portions, hopeful=hopeful)
        fresh = [
            (portion.stream, one)
            for portion, (new, _) in zip(portions, sorted_out, strict=True)
            for one in new
        ]
        if fresh:
            incidents = await self._post(connection, fresh)
            rows = receipts.Rows()
            for (stream, one), found in zip(fresh, incidents, strict=True):
                self._add_row(rows, stream, one, found)
            await receipts.put_rows(connection, rows)
            await self._settle(connection, fresh, incidents)
        return [aside for _, aside in sorted_out]

    async def set_aside(
        self, connection: Connection, stream: Stream, aside: Sequence[Rejected]
    ) -> None:
        """Keep what cannot be posted, with the reason."""
        for one in aside:
            _LOG.warning("record.quarantined", edge_id=stream.edge_id, seq=one.seq, code=one.code)
        await run_many(
            connection,
            _QUERIES["quarantine"],
            [
                stream.key()
                | {
                    "first_seq": one.seq,
                    "last_seq": one.seq,
                    "reason": one.code,
                    "detail": one.detail,
                    "data": one.data,
                }
                for one in aside
            ],
        )

    async def _sort_out(
        self, connection: Connection, portions: Sequence[Portion], *, hopeful: bool
    ) -> list[tuple[list[Received], list[Rejected]]]:
        sales: list[bytes] = []
        others: list[bytes] = []
        for portion in portions:
            for one in portion.read:
                is_sale = isinstance(one, Received) and isinstance(one.fact, ReceiptCommitted)
                (sales if is_sale else others).append(one.uid)
        contents = await receipts.known_contents(
            connection, sales=sales, others=others, sales_too=not hopeful
        )
        found = []
        for portion in portions:
            used: set[str] = set()
            if not hopeful:
                used = await receipts.known_receipt_ids(
                    connection,
                    _receipt_ids(portion.read),
                    store_id=portion.stream.store_id,
                    edge_id=portion.stream.sender_id,
                )
            sorted_out = sort_out(portion.read, contents, used)
            # Another portion may tell the same fact.
            contents |= {one.uid: one.content_sha256 for one in sorted_out.fresh}
            found.append((sorted_out.fresh, sorted_out.aside))
        return found

    async def _post(
        self, connection: Connection, fresh: Sequence[tuple[Stream, Received]]
    ) -> list[list[Incident]]:
        """Post to the ledger; what did not fit, record by record."""
        now_ms = self._clock.now_ms()
        records = [one for _, one in fresh]
        customers = customers_of(records)
        known = await known_customers(connection, sorted(customers)) if customers else set()
        needs = needs_of_all(records, known)
        books = await ledger.load(connection, needs) if _moves(needs) else Books()
        incidents = [
            post(
                books,
                Origin(edge_id=stream.edge_id, store_id=stream.store_id, epoch=stream.epoch),
                one,
                known,
            )
            for stream, one in fresh
        ]
        await accounts.lend_home(connection, books, set(books.changes.purses), now_ms=now_ms)
        await ledger.save(connection, books, now_ms=now_ms)
        for stream, one in fresh:
            if isinstance(one.fact, MemberRegistered):
                await put_registration(connection, stream.edge_id, one.uid, one.body)
        exceeded = await uses.count(connection, [_sold(stream, one) for stream, one in fresh])
        return [[*found, *more] for found, more in zip(incidents, exceeded, strict=True)]

    async def _settle(
        self,
        connection: Connection,
        fresh: Sequence[tuple[Stream, Received]],
        incidents: Sequence[Sequence[Incident]],
    ) -> None:
        """Returns of this intake: what of them exceeds the sale, all shops together."""
        numbers = {
            one.uid: len(found) + 1
            for (_, one), found in zip(fresh, incidents, strict=True)
            if isinstance(one.fact, ReceiptReturned)
        }
        if numbers:
            returns = [
                (one.uid, one.fact) for _, one in fresh if isinstance(one.fact, ReceiptReturned)
            ]
            exceeded = await settle(connection, returns)
            rows = receipts.Rows(
                incidents=[
                    incidents_text(uid, found, first=numbers[uid])
                    for uid, found in exceeded.items()
                ]
            )
            await receipts.put_rows(connection, rows)

    def _add_row(
        self,
        rows: receipts.Rows,
        stream: Stream,
        one: Received,
        incidents: Sequence[Incident],
    ) -> None:
        if isinstance(one.fact, ReceiptCommitted):
            assert one.columns is not None, "a sale was read into columns"
            rows.receipts.append(
                self._copying.sale(
                    one.fact,
                    one.columns,
                    record_uid=one.uid,
                    content_sha256=one.content_sha256,
                    edge_id=stream.sender_id,
                    incident_count=len(incidents),
                    body=one.body,
                )
            )
        elif isinstance(one.fact, ReceiptReturned):
            rows.returns.append(
                self._copying.refund(
                    one.fact,
                    record_uid=one.uid,
                    content_sha256=one.content_sha256,
                    edge_id=stream.sender_id,
                    body=one.body,
                )
            )
        else:
            rows.facts.append(
                other_fact(
                    record_uid=one.uid,
                    content_sha256=one.content_sha256,
                    kind=one.kind,
                    edge_id=stream.sender_id,
                    store_id=stream.store_id,
                    body=one.body,
                )
            )
        if incidents:
            rows.incidents.append(incidents_text(one.uid, incidents))


def _sold(stream: Stream, one: Received) -> Sold:
    """What a record says that a customer used; counted for whose stream it stands in."""
    fact = one.fact
    customer = fact.receipt.customer if isinstance(fact, ReceiptCommitted) else None
    if not isinstance(fact, ReceiptCommitted) or customer is None or customer.id is None:
        return Sold(edge_id=stream.edge_id, customer_id="", uses=())
    return Sold(edge_id=stream.edge_id, customer_id=customer.id, uses=fact.uses)


def _moves(needs: Needs) -> bool:
    """Sales to strangers move nothing."""
    return bool(needs.purses or needs.leases or needs.spends or needs.sales)


def _receipt_ids(read: Sequence[Received | Rejected]) -> list[str]:
    return [
        one.fact.receipt_id
        for one in read
        if isinstance(one, Received) and isinstance(one.fact, ReceiptCommitted)
    ]
