"""The ledger's laws, one by one, on whole books."""

from __future__ import annotations

from central.accounts import holds, ledger, lending, upkeep
from central.accounts.books import Account, AccountKind, Books, Lease, Origin, Purse, Spend
from central.accounts.lending import Holder
from central.accounts.policy import DAY_MS, Fate
from shared.wire.facts import LeaseClosed, LeaseSpend, LeaseSpent, SpendVoided, SubLeaseGranted
from shared.wire.feed import LeaseState

ASSET = "points:main"
ANNA = Purse("anna", ASSET)
HUB = Holder(edge_id=1, store_id="S1")
HERE = Origin(edge_id=1, store_id="S1")
TILL = Origin(edge_id=2, store_id="S1")
DAY = "2026-11-24"


def funded(amount: int) -> Books:
    books = Books(whole=True)
    lending.fund(books, "anna", ASSET, amount, cause=b"opening")
    return books


def lent(amount: int) -> tuple[Books, Lease]:
    books = funded(amount)
    lease = lending.grant(books, HUB, "anna", ASSET, now_ms=0)
    assert lease is not None
    return books, lease


def uid(number: int) -> bytes:
    return number.to_bytes(16, "big")


def spent(lease: Lease | None, amount: int, *, sub: str | None = None) -> LeaseSpent:
    return LeaseSpent(
        lease_id=lease.lease_id if lease else None,
        sub_lease_id=sub,
        owner="anna",
        asset=ASSET,
        amount=amount,
        receipt_id="r",
        spent_at_ms=1,
    )


def voided(number: int) -> SpendVoided:
    return SpendVoided(spend_uid=uid(number), receipt_id="r")


def closed(lease: Lease, count: int, amount: int) -> LeaseClosed:
    return LeaseClosed(lease_id=lease.lease_id, spend_count=count, spent_amount=amount)


def earned(
    number: int, amount: int, *, active_on: str = DAY, expires_on: str | None = None
) -> ledger.Earning:
    return ledger.Earning(
        record_uid=uid(number),
        index=0,
        owner="anna",
        asset=ASSET,
        amount=amount,
        earned_on=DAY,
        active_on=active_on,
        expires_on=expires_on,
    )


def taken(number: int, amount: int, *, sale: int, active_on: str = DAY) -> ledger.Taking:
    return ledger.Taking(
        record_uid=uid(number),
        index=0,
        owner="anna",
        asset=ASSET,
        amount=amount,
        sale_uid=uid(sale),
        active_on=active_on,
    )


def has(books: Books, purse: Purse = ANNA) -> dict[str, int]:
    """What an owner's own accounts hold, without those that are empty."""
    kinds = (AccountKind.AVAIL, AccountKind.PENDING, AccountKind.DEBT, AccountKind.HELD)
    found = {kind.value: books.balance(kind, purse) for kind in kinds}
    found["lent"] = books.lent(purse)
    return {name: amount for name, amount in found.items() if amount}


def system(books: Books, kind: AccountKind, store: str = "S1") -> int:
    return books.balances[Account(kind, store, ASSET)]


def codes(incidents: list) -> list[str]:
    return [incident.code for incident in incidents]


def test_a_spend_is_posted_once_from_whichever_source_comes_first() -> None:
    """The money record and the receipt tell one spend; either alone, or both, move it once."""
    part = LeaseSpend(lease_id="", account="main", points_centi=30, spend_uid=uid(7))
    for order in ("money", "receipt", "both", "both backwards"):
        books, lease = lent(100)
        told = ledger.spend_of_receipt(
            uid(1),
            0,
            LeaseSpend(
                lease_id=lease.lease_id, account="main", points_centi=30, spend_uid=part.spend_uid
            ),
            owner="anna",
            receipt_id="r",
            at_ms=1,
        )
        assert told[0] == uid(7)
        steps = {
            "money": [(uid(7), spent(lease, 30), HERE, True)],
            "receipt": [(*told, TILL, False)],
            "both": [(uid(7), spent(lease, 30), HERE, True), (*told, TILL, False)],
        }
        steps["both backwards"] = steps["both"][::-1]
        for spend_uid, fact, origin, firm in steps[order] * 2:
            assert ledger.spend(books, origin, spend_uid, fact, firm=firm) == []

        assert has(books) == {"lent": 70}
        assert system(books, AccountKind.REDEEMED) == 30
        assert (lease.spent_count, lease.spent_amount, lease.short_amount) == (1, 30, 0)


def test_receipts_of_the_first_release_name_their_spends_by_place() -> None:
    """Without a uid, the receipt's own and the index make one."""
    part = LeaseSpend(lease_id="L", account="main", points_centi=5)
    made = [
        ledger.spend_of_receipt(uid(1), index, part, owner="anna", receipt_id="r", at_ms=1)[0]
        for index in (0, 1, 0)
    ]

    assert made[0] == made[2] != made[1]
    assert len(made[0]) == 16


def test_the_money_record_corrects_what_the_receipt_said() -> None:
    """Both orders end the same: what the money record says stands."""
    outcomes = []
    for firm_first in (True, False):
        books, lease = lent(100)
        steps = [(spent(lease, 60), HERE, True), (spent(lease, 50), TILL, False)]
        incidents = [
            incident
            for fact, origin, firm in (steps if firm_first else steps[::-1])
            for incident in ledger.spend(books, origin, uid(7), fact, firm=firm)
        ]
        assert codes(incidents) == ["spend_differs"]
        outcomes.append((has(books), books.spends[uid(7)].amount, lease.spent_amount))

    assert outcomes == [({"lent": 40}, 60, 60)] * 2


def test_a_void_works_in_either_order() -> None:
    """Before the spend it leaves a tombstone, after it it reverses; the books are the same."""
    books, lease = lent(100)
    ledger.void(books, HERE, voided(1))
    ledger.spend(books, HERE, uid(1), spent(lease, 30))
    other, same = lent(100)
    ledger.spend(other, HERE, uid(1), spent(same, 30))
    ledger.void(other, HERE, voided(1))

    assert has(books) == has(other) == {"lent": 100}
    assert books.spends == other.spends
    assert lease == same
    assert lease.spent_count == 0


def test_another_store_voids_nothing() -> None:
    """A void from another store is an incident, before the spend and after it."""
    elsewhere = Origin(edge_id=9, store_id="S9")
    books, lease = lent(100)
    ledger.spend(books, HERE, uid(1), spent(lease, 30))
    after = ledger.void(books, elsewhere, voided(1))
    ledger.void(books, elsewhere, voided(2))
    before = ledger.spend(books, HERE, uid(2), spent(lease, 20))

    assert codes(after) == codes(before) == ["foreign_void"]
    assert has(books) == {"lent": 50}


def test_beyond_a_lease_the_store_pays_with_an_incident() -> None:
    """What no right covers is the store's shortage, never the owner's; a void relieves it first."""
    books, lease = lent(100)
    first = ledger.spend(books, HERE, uid(1), spent(lease, 70))
    second = ledger.spend(books, HERE, uid(2), spent(lease, 50))
    third = ledger.spend(books, HERE, uid(3), spent(None, 5))

    assert (codes(first), codes(second), codes(third)) == (
        [],
        ["points_shortage"],
        ["points_shortage"],
    )
    assert has(books) == {}
    assert system(books, AccountKind.SHORTAGE) == -25
    ledger.void(books, HERE, voided(1))
    assert has(books) == {"lent": 50}
    assert system(books, AccountKind.SHORTAGE) == -5
    assert lease.short_amount == 0


def test_a_close_waits_for_the_spends_it_counts() -> None:
    """Nothing comes back before every counted spend was seen, whichever way they come."""
    books, lease = lent(100)
    ledger.spend(books, HERE, uid(1), spent(lease, 10))
    ledger.close(books, HERE, closed(lease, 2, 40))

    assert lease.closing
    assert has(books) == {"lent": 90}
    assert lending.grant(books, HUB, "anna", ASSET, now_ms=5) is None
    ledger.spend(books, TILL, uid(2), spent(lease, 30, sub="s"))
    assert lease.state is LeaseState.CLOSED
    assert has(books) == {"avail": 60}
    again = lending.grant(books, HUB, "anna", ASSET, now_ms=6)
    assert again is not None
    assert again.lease_id != lease.lease_id


def test_a_close_that_counted_what_was_voided_waits_again() -> None:
    """Two spends alike: the close meets the wrong one first, and in the end nobody has lost."""
    books, lease = lent(100)
    ledger.spend(books, TILL, uid(1), spent(lease, 10, sub="s"))
    ledger.close(books, HERE, closed(lease, 1, 10))
    assert has(books) == {"avail": 90}
    ledger.void(books, TILL, voided(1))
    assert (lease.closing, has(books)) == (True, {"avail": 90, "lent": 10})
    ledger.spend(books, TILL, uid(2), spent(lease, 10, sub="s"))

    assert lease.state is LeaseState.CLOSED
    assert has(books) == {"avail": 90}
    assert system(books, AccountKind.SHORTAGE) == 0


def test_only_the_holder_closes() -> None:
    """Another edge's close is an incident, a close with fewer spends than seen one too."""
    books, lease = lent(100)
    ledger.spend(books, HERE, uid(1), spent(lease, 10))

    assert codes(ledger.close(books, TILL, closed(lease, 1, 10))) == ["unknown_lease"]
    assert codes(ledger.close(books, HERE, closed(lease, 0, 0))) == ["close_differs"]
    assert lease.live
    assert codes(ledger.close(books, HERE, closed(lease, 1, 10))) == ["close_differs"]


def test_a_till_spends_its_part_before_the_hub_has_told_of_it() -> None:
    """Spends on a part count on the lease; beyond the part they are an incident, no shortage."""
    books, lease = lent(100)
    ledger.spend(books, TILL, uid(1), spent(lease, 30, sub="s"))
    part = SubLeaseGranted(
        sub_lease_id="s", lease_id=lease.lease_id, till_edge_id=2, amount=20, spend_until_ms=9
    )

    assert codes(ledger.sub_lease_granted(books, HERE, part)) == ["sub_lease_overspent"]
    assert has(books) == {"lent": 70}
    assert system(books, AccountKind.SHORTAGE) == 0


def test_another_stores_lease_covers_nothing() -> None:
    """A spend that names a lease of another store, owner or asset is all shortage."""
    books, lease = lent(100)
    elsewhere = Origin(edge_id=9, store_id="S9")
    incidents = ledger.spend(books, elsewhere, uid(1), spent(lease, 30))

    assert codes(incidents) == ["points_shortage"]
    assert has(books) == {"lent": 100}
    assert system(books, AccountKind.SHORTAGE, "S9") == -30


def test_one_live_lease_of_an_owner_at_an_edge_in_an_epoch() -> None:
    """A second grant fills the first up; a new epoch gets a lease of its own."""
    books, lease = lent(100)
    lending.fund(books, "anna", ASSET, 20, cause=b"more")

    assert lending.grant(books, HUB, "anna", ASSET, now_ms=1) is lease
    assert (lease.granted, lease.grants) == (120, 2)
    assert lending.grant(books, HUB, "anna", ASSET, now_ms=2) is None
    lending.fund(books, "anna", ASSET, 5, cause=b"again")
    newer = Holder(edge_id=1, store_id="S1", epoch=2)
    other = lending.grant(books, newer, "anna", ASSET, now_ms=2)
    assert other is not None
    assert other.lease_id != lease.lease_id


def test_share_and_cap_bound_a_lease() -> None:
    """Q = min(share of what is owned, cap); a lease is filled up when little is left."""
    books = funded(1_000)
    rules = lending.Lending(share_ppm=500_000, cap=300, refill_below_ppm=300_000)
    lease = lending.grant(books, HUB, "anna", ASSET, now_ms=0, lending=rules)
    assert lease is not None
    assert lease.granted == 300
    ledger.spend(books, HERE, uid(1), spent(lease, 200))
    assert lending.grant(books, HUB, "anna", ASSET, now_ms=0, lending=rules) is None
    ledger.spend(books, HERE, uid(2), spent(lease, 20))

    assert lending.grant(books, HUB, "anna", ASSET, now_ms=0, lending=rules) is lease
    assert books.escrow(lease) == 300


def test_what_is_frozen_comes_back_by_proof_or_by_decision() -> None:
    """A close does not end a frozen lease; a proof, or writing it off, does."""
    books, lease = lent(100)
    ledger.spend(books, HERE, uid(1), spent(lease, 10))
    assert lending.freeze(books, 1, 1, now_ms=50) == [lease]
    ledger.close(books, HERE, closed(lease, 1, 10))
    assert lease.state is LeaseState.FROZEN
    ledger.spend(books, HERE, uid(2), spent(lease, 5))
    assert has(books) == {"lent": 85}

    assert lending.clear(books, 1, 1) == [lease]
    assert has(books) == {"avail": 85}


def test_what_a_till_may_still_tell_of_is_not_settled() -> None:
    """Until all others of the store have reported after its end, and a day after the freezing."""
    books, lease = lent(100)
    lending.freeze(books, 1, 1, now_ms=lease.spend_until_ms)
    last_use_ms = lease.spend_until_ms + lending.PROMISE_KEPT_MS
    assert lending.clear(books, 1, 1, heard_until_ms=last_use_ms) == []

    assert lending.clear(books, 1, 1, heard_until_ms=last_use_ms + 1) == [lease]


def test_small_leases_are_written_off_large_ones_wait_for_a_person() -> None:
    """Thirty days after its end up to 300 points go back; what comes later is the store's."""
    small, lease = lent(30_000)
    large, big = lent(30_001)
    late = lease.spend_until_ms + 30 * DAY_MS

    assert lending.settle(small, lease, now_ms=late - 1) is Fate.WAIT
    assert lending.settle(small, lease, now_ms=late) is Fate.WRITE_OFF
    assert lending.settle(large, big, now_ms=late) is Fate.ASK
    assert has(small) == {"avail": 30_000}
    assert has(large) == {"lent": 30_001}
    assert codes(ledger.spend(small, HERE, uid(1), spent(lease, 7))) == ["points_shortage"]
    assert system(small, AccountKind.SHORTAGE) == -7
    assert has(small) == {"avail": 30_000}


def test_what_a_return_takes_comes_from_its_own_lot_then_free_points_then_debt() -> None:
    """Nobody falls below zero: the rest is owed, and what is earned next pays it."""
    books = funded(10)
    ledger.earn(books, HERE, earned(1, 20, active_on="2026-12-01"))
    ledger.claw_back(books, HERE, taken(2, 20, sale=1, active_on="2026-12-01"))
    assert has(books) == {"avail": 10}
    ledger.claw_back(books, HERE, taken(3, 25, sale=9))
    assert has(books) == {"debt": -15}
    ledger.earn(books, HERE, earned(4, 6, active_on="2026-12-01"))
    assert has(books) == {"debt": -9}
    ledger.earn(books, HERE, earned(5, 12))
    assert has(books) == {"avail": 3}


def test_points_come_back_from_a_return_once() -> None:
    """What was spent on the goods is free again."""
    books, lease = lent(100)
    ledger.spend(books, HERE, uid(1), spent(lease, 100))
    giving = ledger.Giving(record_uid=uid(2), index=0, owner="anna", asset=ASSET, amount=40)
    for _ in range(2):
        ledger.give_back(books, HERE, giving)

    assert has(books) == {"avail": 40}


def test_points_are_free_on_their_day_and_expire_after_their_last() -> None:
    """First expiring first: what was spent is taken to be what would have expired first."""
    books = Books(whole=True)
    ledger.earn(books, HERE, earned(1, 50, active_on="2026-12-01", expires_on="2026-12-31"))
    ledger.earn(books, HERE, earned(2, 50, expires_on="2027-12-31"))
    assert upkeep.activate(books, "2026-11-30") == 0
    assert upkeep.activate(books, "2026-12-01") == 1
    lease = lending.grant(books, HUB, "anna", ASSET, now_ms=0)
    assert lease is not None
    ledger.spend(books, HERE, uid(3), spent(lease, 30))
    ledger.close(books, HERE, closed(lease, 1, 30))

    assert upkeep.expire(books, "anna", ASSET, "2026-12-31", now_ms=1) == 0
    assert upkeep.expire(books, "anna", ASSET, "2027-01-01", now_ms=2) == 20
    assert upkeep.expire(books, "anna", ASSET, "2027-01-02", now_ms=3) == 0
    assert has(books) == {"avail": 50}


def test_what_a_shop_may_still_hand_out_does_not_expire() -> None:
    """Points in a lease live until it ends, and it is not prolonged for them."""
    books = Books(whole=True)
    ledger.earn(books, HERE, earned(1, 60, expires_on="2026-12-31"))
    lease = lending.grant(books, HUB, "anna", ASSET, now_ms=0)
    assert lease is not None
    ledger.earn(books, HERE, earned(2, 40, expires_on="2026-12-31"))
    rules = lending.Lending()

    assert upkeep.expire(books, "anna", ASSET, "2027-01-01", now_ms=4) == 40
    assert not lending.renew(books, lease, now_ms=10**12, today="2027-01-01", lending=rules)
    ledger.spend(books, HERE, uid(3), spent(lease, 25))
    ledger.close(books, HERE, closed(lease, 1, 25))
    assert upkeep.expire(books, "anna", ASSET, "2027-01-01", now_ms=5) == 35
    assert has(books) == {}


def test_holds_answer_the_same_under_one_uid() -> None:
    """Set aside, captured in part, the rest free; released before it was asked for, refused."""
    books = funded(100)
    for _ in range(2):
        assert holds.hold(books, HERE, uid(1), "anna", ASSET, 60, expires_at_ms=9).granted
    assert has(books) == {"avail": 40, "held": 60}
    for _ in range(2):
        assert holds.capture(books, HERE, uid(1), "anna", ASSET, 50) == []
    assert has(books) == {"avail": 50}
    holds.release(books, HERE, uid(2))
    assert not holds.hold(books, HERE, uid(2), "anna", ASSET, 1, expires_at_ms=9).granted
    assert has(books) == {"avail": 50}


def test_a_hold_that_ran_out_is_free_again_and_a_late_capture_stands() -> None:
    """The sale was made: of what is free first, the rest the store's."""
    books = funded(100)
    holds.hold(books, HERE, uid(1), "anna", ASSET, 60, expires_at_ms=9)
    assert holds.expire_holds(books, now_ms=8) == 0
    assert holds.expire_holds(books, now_ms=9) == 1
    assert has(books) == {"avail": 100}
    assert codes(holds.capture(books, HERE, uid(1), "anna", ASSET, 130)) == ["points_shortage"]
    assert has(books) == {}
    assert system(books, AccountKind.SHORTAGE) == -30


def test_a_hold_that_does_not_fit_says_who_keeps_the_rest() -> None:
    """Part of the points is reserved by a shop until its lease ends."""
    books, lease = lent(100)
    lending.fund(books, "anna", ASSET, 50, cause=b"more")
    answer = holds.hold(books, HERE, uid(1), "anna", ASSET, 60, expires_at_ms=9)

    assert (answer.granted, answer.available, answer.reserved) == (False, 50, [lease])
    assert lending.recall(books, lease)
    ledger.close(books, HERE, closed(lease, 0, 0))
    assert holds.hold(books, HERE, uid(2), "anna", ASSET, 60, expires_at_ms=9).granted


def test_merged_customers_have_one_purse_and_leases_stay() -> None:
    """What comes later under the old name is the new one's."""
    books, lease = lent(100)
    lending.fund(books, "anna", ASSET, 7, cause=b"more")
    bert = Purse("bert", ASSET)
    ledger.claw_back(
        books,
        HERE,
        ledger.Taking(
            record_uid=uid(50),
            index=0,
            owner="bert",
            asset=ASSET,
            amount=10,
            sale_uid=None,
            active_on=DAY,
        ),
    )
    upkeep.merge(books, "anna", "bert", [ASSET])
    upkeep.merge(books, "anna", "bert", [ASSET])

    assert has(books, bert) == {"debt": -3, "lent": 100}
    ledger.spend(books, HERE, uid(1), spent(lease, 30))
    ledger.close(books, HERE, closed(lease, 1, 30))
    ledger.earn(books, HERE, earned(3, 5))
    assert has(books, bert) == {"avail": 72}
    assert has(books) == {}


def test_a_gift_card_is_sold_spent_and_taken_back_by_the_same_rules() -> None:
    """Its money is an asset; a card that was used is not taken back."""
    books = Books(whole=True)
    lending.fund(books, "ab12", "gift:rub", 5_000, cause=b"sold", store_id="S1")
    assert lending.unfund(books, "ab12", "gift:rub", 5_000, cause=b"back", store_id="S1")
    lending.fund(books, "ab12", "gift:rub", 5_000, cause=b"sold again", store_id="S1")
    assert holds.hold(books, HERE, uid(1), "ab12", "gift:rub", 1, expires_at_ms=1).granted
    holds.capture(books, HERE, uid(1), "ab12", "gift:rub", 1)

    assert not lending.unfund(books, "ab12", "gift:rub", 5_000, cause=b"b2", store_id="S1")
    assert has(books, Purse("ab12", "gift:rub")) == {"avail": 4_999}


def test_a_campaigns_budget_is_lent_by_quotas_and_filled_up_below_a_third() -> None:
    """Stores spend their own quotas; together never more than the budget."""
    asset, purse = "budget:tea", Purse("tea", "budget:tea")
    books = Books(whole=True)
    lending.fund(books, "tea", asset, 100, cause=b"budget")
    hubs = [Holder(edge_id=number, store_id=f"S{number}") for number in (1, 2)]
    leases = [lending.grant(books, hub, "tea", asset, now_ms=0, quota=40) for hub in hubs]
    assert [lease.granted for lease in leases if lease] == [40, 40]
    first = leases[0]
    assert first is not None
    fact = LeaseSpent(
        lease_id=first.lease_id,
        sub_lease_id=None,
        owner="tea",
        asset=asset,
        amount=28,
        receipt_id="r",
        spent_at_ms=1,
    )
    ledger.spend(books, HERE, uid(1), fact)

    assert lending.grant(books, hubs[0], "tea", asset, now_ms=1, quota=40) is None
    ledger.spend(books, HERE, uid(2), LeaseSpent(**{**_fields(fact), "amount": 1}))
    assert lending.grant(books, hubs[0], "tea", asset, now_ms=1, quota=40) is first
    assert books.escrow(first) == 31
    assert books.balance(AccountKind.AVAIL, purse) == 0


def _fields(fact: LeaseSpent) -> dict:
    return {name: getattr(fact, name) for name in fact.__struct_fields__}


def test_impossible_amounts_are_incidents_and_move_nothing() -> None:
    """Below zero or beyond every bound: nothing is posted, nothing is raised."""
    books, lease = lent(100)
    before = dict(books.balances)
    for amount in (-1, 2**63, 10**15 + 1):
        assert codes(ledger.spend(books, HERE, uid(1), spent(lease, amount))) == ["bad_amount"]
        assert codes(ledger.earn(books, HERE, earned(1, amount))) == ["bad_amount"]
        assert codes(ledger.close(books, HERE, closed(lease, 0, amount))) == ["bad_amount"]
    assert ledger.spend(books, HERE, uid(1), spent(lease, 0)) == []

    assert dict(books.balances) == before
    assert not any(isinstance(each, Spend) for each in books.spends.values())


def test_what_comes_back_on_the_day_of_expiry_expires_too() -> None:
    """The same amount from the same state, twice in a day, is two movements."""
    books = Books(whole=True)
    ledger.earn(books, HERE, earned(1, 50, expires_on="2026-12-31"))
    ledger.spend(books, HERE, uid(2), spent(None, 1))
    assert upkeep.expire(books, "anna", ASSET, "2027-01-01", now_ms=1) == 50
    giving = ledger.Giving(record_uid=uid(3), index=0, owner="anna", asset=ASSET, amount=50)
    ledger.give_back(books, HERE, giving)

    assert upkeep.expire(books, "anna", ASSET, "2027-01-01", now_ms=2) == 50
    assert has(books) == {}
