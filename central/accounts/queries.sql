-- lock_ledger --
-- Transactions that move points go one after another; every one touches `issued` anyway.
select pg_advisory_xact_lock(7305802);

-- ensure_account --
-- An account exists from its first transfer on.
insert into ledger_account (account_id, kind, owner, points_account)
values (%(account_id)s, %(kind)s, %(owner)s, %(points_account)s)
on conflict (account_id) do nothing;

-- transfer --
-- One immutable movement and both balances; a repeated id moves nothing.
with posted as (
    insert into ledger_transfer
        (transfer_id, debit_account_id, credit_account_id, amount_centi, reason, record_uid)
    values (%(transfer_id)s, %(debit)s, %(credit)s, %(amount_centi)s, %(reason)s, %(record_uid)s)
    on conflict (transfer_id) do nothing
    returning amount_centi
), debited as (
    update ledger_account set balance_centi = balance_centi - posted.amount_centi
    from posted where account_id = %(debit)s
), credited as (
    update ledger_account set balance_centi = balance_centi + posted.amount_centi
    from posted where account_id = %(credit)s
)
select count(*) as moved from posted;

-- balance --
-- What an account holds.
select balance_centi from ledger_account where account_id = %(account_id)s;

-- home_hub --
-- The agent that may hold a member's leases: the newest active hub of the home store.
select e.edge_id, e.store_id
from customer c join edge e on e.store_id = c.home_store_id
where c.customer_id = %(customer_id)s and e.kind = 'hub' and e.state = 'active'
order by e.edge_id desc limit 1;

-- grant_lease --
-- Add to a lease, or open it.
insert into lease (lease_id, customer_id, points_account, edge_id, store_id, granted_centi, spend_until)
values (%(lease_id)s, %(customer_id)s, %(points_account)s, %(edge_id)s, %(store_id)s, %(amount_centi)s,
        to_timestamp(%(spend_until_ms)s::bigint / 1000.0))
on conflict (lease_id) do update
set granted_centi = lease.granted_centi + excluded.granted_centi,
    spend_until = greatest(lease.spend_until, excluded.spend_until)
returning lease_id, customer_id, points_account, edge_id, store_id, granted_centi, state,
          (extract(epoch from spend_until) * 1000)::bigint as spend_until_ms;

-- lease --
-- A lease and what is left of it in escrow.
select l.lease_id, l.customer_id, l.points_account, l.edge_id, l.state,
       coalesce(a.balance_centi, 0) as escrow_centi
from lease l left join ledger_account a on a.account_id = 'escrow:' || l.lease_id
where l.lease_id = %(lease_id)s;

-- owned --
-- What a member has: free, and lent to shops.
select coalesce(sum(balance_centi), 0)::bigint as owned_centi from ledger_account
where points_account = %(points_account)s
  and ((kind = 'avail' and owner = %(customer_id)s)
       or (kind = 'escrow' and owner in
           (select lease_id from lease where customer_id = %(customer_id)s)));

-- put_pending --
-- Points that become free on a day.
insert into pending_points (transfer_id, customer_id, points_account, amount_centi, active_on)
values (%(transfer_id)s, %(customer_id)s, %(points_account)s, %(amount_centi)s, %(active_on)s::date)
on conflict (transfer_id) do nothing;

-- due --
-- Pending points whose day has come, a bounded number.
select transfer_id, customer_id, points_account, amount_centi
from pending_points
where activated_at is null and active_on <= %(today)s::date
order by active_on, transfer_id limit 500
for update skip locked;

-- mark_activated --
-- Free now.
update pending_points set activated_at = now() where transfer_id = %(transfer_id)s;

-- homeless --
-- Members of a store that hold free points: a hub that has just enrolled gets their leases.
select a.owner as customer_id, a.points_account
from ledger_account a join customer c on c.customer_id = a.owner
where a.kind = 'avail' and a.balance_centi > 0 and c.home_store_id = %(store_id)s
order by a.owner;

-- renew_leases --
-- Leases of agents heard of lately live on; a silent agent's run out.
update lease set spend_until = to_timestamp(%(spend_until_ms)s::bigint / 1000.0)
where state = 'open' and spend_until < to_timestamp(%(renew_below_ms)s::bigint / 1000.0)
  and edge_id in (select edge_id from edge where last_contact_at > now() - interval '1 day')
returning lease_id, customer_id, points_account, edge_id, store_id, granted_centi, state,
          (extract(epoch from spend_until) * 1000)::bigint as spend_until_ms;

-- audit --
-- The sums that must be zero, and how many accounts disagree with their transfers.
select
    (select coalesce(sum(balance_centi), 0)::bigint from ledger_account) as ledger_sum_centi,
    (select count(*) from ledger_account
     where balance_centi < 0 and kind in ('avail', 'pending', 'escrow')) as negative_accounts,
    (select count(*) from ledger_account a
     left join lateral (
         select coalesce(sum(case when t.credit_account_id = a.account_id then t.amount_centi
                                  else -t.amount_centi end), 0) as moved
         from ledger_transfer t
         where t.credit_account_id = a.account_id or t.debit_account_id = a.account_id
     ) m on true
     where m.moved <> a.balance_centi) as unbalanced_accounts,
    (select count(*) from ledger_account) as accounts,
    (select count(*) from ledger_transfer) as transfers,
    (select count(*) from lease l left join lateral (
         select coalesce(sum(t.amount_centi), 0) as redeemed from ledger_transfer t
         where t.debit_account_id = 'escrow:' || l.lease_id
     ) r on true
     left join ledger_account a on a.account_id = 'escrow:' || l.lease_id
     where r.redeemed + coalesce(a.balance_centi, 0) <> l.granted_centi) as wrong_leases,
    (select coalesce(sum(-balance_centi), 0)::bigint from ledger_account
     where kind = 'store_shortage') as shortage_centi,
    (select coalesce(sum(-balance_centi), 0)::bigint from ledger_account
     where kind = 'issued') as issued_centi,
    (select coalesce(sum(balance_centi), 0)::bigint from ledger_account
     where kind = 'redeemed') as redeemed_centi;
