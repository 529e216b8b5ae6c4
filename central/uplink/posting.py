"""What records do: which are new, what they move in the books, which rows are kept. Pure.

The PostgreSQL coat and the simulator both post through here, so that what is proved of one holds
for the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from central.accounts import ledger
from central.accounts.books import Books, Origin
from central.accounts.needs import Needs, add_needs
from central.uplink.reading import Received, Rejected, rejected
from shared.wire.assets import points_asset
from shared.wire.facts import (
    Incident,
    LeaseClosed,
    LeaseSpent,
    ReceiptCommitted,
    ReceiptReturned,
    SpendVoided,
    SubLeaseClosed,
    SubLeaseGranted,
)
from shared.wire.members import MemberRegistered, is_newcomer


@dataclass(frozen=True, slots=True, kw_only=True)
class SortedOut:
    """``fresh`` is to be posted and kept; ``aside`` goes to quarantine; the rest is known."""

    fresh: list[Received]
    aside: list[Rejected]


def sort_out(
    read: Sequence[Received | Rejected],
    contents: Mapping[bytes, bytes],
    receipt_ids: AbstractSet[str],
) -> SortedOut:
    """Which records are new, and which say something else under a name that is taken.

    ``contents``: content hashes of those uids that are known; ``receipt_ids``: those of the batch's
    that this agent has used before.
    """
    fresh: list[Received] = []
    aside: list[Rejected] = []
    seen = dict(contents)
    sold = set(receipt_ids)
    for one in read:
        content = seen.get(one.uid)
        if isinstance(one, Rejected):
            aside.append(one if content is None else _conflict(one, one.detail))
        elif content is not None:
            if content != one.content_sha256:
                aside.append(_conflict(one, "this uid is known with other content"))
        elif isinstance(one.fact, ReceiptCommitted) and one.fact.receipt_id in sold:
            aside.append(_conflict(one, "this receipt id came under another uid"))
        else:
            seen[one.uid] = one.content_sha256
            if isinstance(one.fact, ReceiptCommitted):
                sold.add(one.fact.receipt_id)
            fresh.append(one)
    return SortedOut(fresh=fresh, aside=aside)


def needs_of_all(records: Sequence[Received], known_customers: AbstractSet[str] | None) -> Needs:
    """What has to be loaded before these are posted; strangers get no accounts.

    ``known_customers``: as for ``post``.
    """
    needs = Needs()
    for one in records:
        if not isinstance(one.fact, MemberRegistered):
            add_needs(needs, one.uid, one.fact)
    if known_customers is not None:
        named = customers_of(records)
        strangers = {each for each in named if not _is_somebody(each, known_customers)}
        strangers -= {
            _owner(one.fact)
            for one in records
            if isinstance(one.fact, ReceiptCommitted) and one.fact.lease_spends
        }
        needs.purses = {purse for purse in needs.purses if purse.owner not in strangers}
    return needs


def post(
    books: Books, origin: Origin, one: Received, known_customers: AbstractSet[str] | None
) -> list[Incident]:
    """Post one new record; everything about it that did not fit, for its row.

    ``known_customers``: of those that the records name; None: every customer is known.
    """
    fact = one.fact
    if isinstance(fact, ReceiptCommitted):
        return list(fact.incidents) + _sale(books, origin, one.uid, fact, known_customers)
    if isinstance(fact, ReceiptReturned):
        return list(fact.incidents) + _return(books, origin, one.uid, fact)
    if isinstance(fact, LeaseSpent):
        return ledger.spend(books, origin, one.uid, fact)
    if isinstance(fact, SpendVoided):
        return ledger.void(books, origin, fact)
    if isinstance(fact, LeaseClosed):
        return ledger.close(books, origin, fact)
    if isinstance(fact, SubLeaseGranted):
        return ledger.sub_lease_granted(books, origin, fact)
    if isinstance(fact, MemberRegistered):
        return []  # it moves nothing; ``central.members`` settles it
    assert isinstance(fact, SubLeaseClosed), "every fact that is read is posted"
    return ledger.sub_lease_closed(books, origin, fact)


def customers_of(records: Sequence[Received]) -> set[str]:
    """The customers whom sales name and give something."""
    named = {
        _owner(one.fact)
        for one in records
        if isinstance(one.fact, ReceiptCommitted) and one.fact.answer.accrued
    }
    return named - {""}


def _is_somebody(owner: str, known_customers: AbstractSet[str] | None) -> bool:
    """A member, or one whom a shop made and of whom central may hear later."""
    if not owner or known_customers is None:
        return bool(owner)
    return owner in known_customers or is_newcomer(owner)


def _owner(fact: ReceiptCommitted) -> str:
    customer = fact.receipt.customer
    return customer.id if customer is not None and customer.id is not None else ""


def _sale(
    books: Books,
    origin: Origin,
    uid: bytes,
    fact: ReceiptCommitted,
    known_customers: AbstractSet[str] | None,
) -> list[Incident]:
    owner = _owner(fact)
    incidents: list[Incident] = []
    for index, spent in enumerate(fact.lease_spends):
        if spent.points_centi:
            spend_uid, told = ledger.spend_of_receipt(
                uid,
                index,
                spent,
                owner=owner,
                receipt_id=fact.receipt_id,
                at_ms=fact.committed_at_ms,
            )
            incidents += ledger.spend(books, origin, spend_uid, told, firm=False)
    for right in fact.right_spends:
        told = ledger.right_of_receipt(
            right, receipt_id=fact.receipt_id, at_ms=fact.committed_at_ms
        )
        incidents += ledger.spend(books, origin, right.spend_uid, told, firm=False)
    accrued = [one for one in enumerate(fact.answer.accrued) if one[1].points_centi]
    if accrued and not _is_somebody(owner, known_customers):
        return [
            *incidents,
            Incident(code="unknown_customer", detail="points were earned by no known member"),
        ]
    for index, part in accrued:
        incidents += ledger.earn(
            books,
            origin,
            ledger.Earning(
                record_uid=uid,
                index=index,
                owner=owner,
                asset=points_asset(part.account),
                amount=part.points_centi,
                earned_on=fact.business_date,
                active_on=part.active_on_date,
                expires_on=part.expires_on_date,
            ),
        )
    return incidents


def _return(books: Books, origin: Origin, uid: bytes, fact: ReceiptReturned) -> list[Incident]:
    refund = fact.refund
    incidents: list[Incident] = []
    # Numbered after the points, so that each gift of the record has a name of its own.
    for index, right in enumerate(fact.rights_returned, start=len(refund.points_returned)):
        incidents += ledger.give_back(
            books,
            origin,
            ledger.Giving(
                record_uid=uid,
                index=index,
                owner=right.owner,
                asset=right.asset,
                amount=right.amount,
            ),
        )
    if fact.customer_id is None:
        if refund.points_returned or refund.points_taken:
            return [Incident(code="unknown_customer", detail="points of no member were returned")]
        return incidents
    for index, back in enumerate(refund.points_returned):
        incidents += ledger.give_back(
            books,
            origin,
            ledger.Giving(
                record_uid=uid,
                index=index,
                owner=fact.customer_id,
                asset=points_asset(back.account),
                amount=back.points_centi,
            ),
        )
    for index, taken in enumerate(refund.points_taken):
        incidents += ledger.claw_back(
            books,
            origin,
            ledger.Taking(
                record_uid=uid,
                index=index,
                owner=fact.customer_id,
                asset=points_asset(taken.account),
                amount=taken.points_centi,
                sale_uid=fact.sale_uid,
                active_on=taken.active_on_date,
                expires_on=taken.expires_on_date,
            ),
        )
    return incidents


def _conflict(one: Received | Rejected, why: str) -> Rejected:
    return rejected(one.seq, one.uid, f"uid_conflict: {why}", one.data, code="conflict")
