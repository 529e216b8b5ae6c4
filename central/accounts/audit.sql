-- audit_turn --
-- One auditor at a time; a second one has nothing to do.
select 1 as mine from audit_state for update skip locked;

-- count_on --
-- One turn of the standing auditor, in one statement and so in one snapshot: every account that
-- moved since the last turn must hold what the auditor's own copy says plus what moved. The copy
-- then goes on to the oldest transaction that still runs. No transaction runs for an hour.
with state as (
    select xid, counted_to from audit_state
), cut as (
    select pg_snapshot_xmin(pg_current_snapshot()) as xmin
), recent as (
    select t.debit_account_id, t.credit_account_id, t.amount, t.xid < cut.xmin as settled
    from ledger_transfer t, state, cut
    where t.xid >= state.xid and t.posted_at >= state.counted_to - interval '1 hour'
), moved as (
    select account_id, sum(change)::bigint as change,
           coalesce(sum(change) filter (where settled), 0)::bigint as settled
    from (
        select credit_account_id as account_id, amount as change, settled from recent
        union all
        select debit_account_id, -amount, settled from recent
    ) as sides
    group by account_id
), compared as (
    select m.account_id, coalesce(k.balance, 0) + m.change as expected,
           coalesce(a.balance, 0) as actual
    from moved m
    left join audit_mark k using (account_id)
    left join ledger_account a using (account_id)
), marked as (
    insert into audit_mark (account_id, balance)
    select account_id, settled from moved where settled <> 0
    on conflict (account_id) do update set balance = audit_mark.balance + excluded.balance
), drifted as (
    insert into ledger_drift (subject, expected, actual)
    select 'account:' || account_id, expected, actual from compared where expected <> actual
    on conflict do nothing
), stated as (
    update audit_state set xid = cut.xmin, counted_to = now(), checked_at = now() from cut
)
select count(*) as accounts from compared;

-- size --
-- About how many accounts there are.
select greatest(reltuples, 0)::bigint as accounts from pg_class
where oid = 'ledger_account'::regclass;

-- check_sums --
-- Every asset must sum to zero.
insert into ledger_drift (subject, expected, actual)
select 'asset:' || asset, 0, sum(balance)
from ledger_account group by asset having sum(balance) <> 0
on conflict do nothing;

-- check_accounts --
-- Every account must be the sum of its transfers, and every account that moved must be there.
with moved as (
    select account_id, sum(change)::bigint as expected
    from (
        select credit_account_id as account_id, amount as change from ledger_transfer
        union all
        select debit_account_id, -amount from ledger_transfer
    ) as sides
    group by account_id
)
insert into ledger_drift (subject, expected, actual)
select 'account:' || account_id, coalesce(m.expected, 0), coalesce(a.balance, 0)
from ledger_account a full join moved m using (account_id)
where coalesce(m.expected, 0) <> coalesce(a.balance, 0)
on conflict do nothing;

-- check_leases --
-- What a lease was granted is what was redeemed, given back, and is left; its counts are those of
-- its spends.
with told as (
    select lease_id, count(*) as spends, sum(amount)::bigint as amount
    from ledger_spend where on_lease and state = 'counted' group by lease_id
)
insert into ledger_drift (subject, expected, actual)
select 'lease:' || l.lease_id, l.granted,
       coalesce(s.amount, 0) - l.short_amount + l.returned_amount + coalesce(a.balance, 0)
from lease l
left join told s using (lease_id)
left join ledger_account a on a.account_id = 'escrow:'
    || replace(replace(l.lease_id, '%', '%25'), ':', '%3A') || ':' || l.asset
where l.granted <> coalesce(s.amount, 0) - l.short_amount + l.returned_amount
    + coalesce(a.balance, 0)
   or l.spent_count <> coalesce(s.spends, 0) or l.spent_amount <> coalesce(s.amount, 0)
on conflict do nothing;

-- mark_full --
-- The whole book was compared.
update audit_state set full_checked_at = now();

-- open_drift --
-- What was found and not cleared yet.
select subject, expected, actual, found_at from ledger_drift
where cleared_at is null order by drift_id limit 100;

-- clear_drift --
-- A person has looked into it.
update ledger_drift set cleared_at = now() where cleared_at is null;

-- sums --
-- The sums beside the proof; those in hundredths are of points.
select
    (select coalesce(sum(abs(total)), 0)::bigint from (
        select sum(balance) as total from ledger_account group by asset
    ) as assets) as ledger_sum_centi,
    (select count(*) from ledger_account
     where balance < 0 and kind in ('avail', 'pending', 'held', 'escrow')) as negative_accounts,
    (select count(*) from ledger_account) as accounts,
    (select count(*) from ledger_transfer) as transfers,
    (select count(*) from ledger_drift
     where cleared_at is null and subject like 'account:%') as unbalanced_accounts,
    (select count(*) from ledger_drift
     where cleared_at is null and subject like 'lease:%') as wrong_leases,
    (select count(*) from ledger_drift where cleared_at is null) as drift,
    (select count(*) from lease
     where close_count is not null and state in ('open', 'recalled', 'frozen')) as waiting_closes,
    (select coalesce(sum(-balance), 0)::bigint from ledger_account
     where kind = 'store_shortage' and asset like 'points:%') as shortage_centi,
    (select coalesce(sum(-balance), 0)::bigint from ledger_account
     where kind = 'issued' and asset like 'points:%') as issued_centi,
    (select coalesce(sum(balance), 0)::bigint from ledger_account
     where kind = 'redeemed' and asset like 'points:%') as redeemed_centi;
