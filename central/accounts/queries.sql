-- purses_behind --
-- Owners and assets of the leases, spends, holds and edges that a piece of work names; what says
-- whose a row is never changes.
select owner, asset from lease where lease_id = any(%(leases)s::text[])
union
select l.owner, l.asset from ledger_spend s join lease l using (lease_id)
where s.spend_uid = any(%(spends)s::bytea[])
union
select owner, asset from ledger_spend
where spend_uid = any(%(spends)s::bytea[]) and owner <> ''
union
select owner, asset from ledger_hold
where hold_uid = any(%(holds)s::bytea[]) and owner <> ''
union
select owner, asset from lease
where edge_id = any(%(edges)s::bigint[]) and state in ('open', 'recalled', 'frozen')
union
select owner, asset from pending_lot where sale_uid = any(%(sales)s::bytea[]);

-- aliases --
-- Who was merged into whom, as far as these owners are concerned.
with heir as (
    select coalesce(a.owner, o.owner) as owner
    from unnest(%(owners)s::text[]) as o(owner) left join owner_alias a on a.alias = o.owner
)
select alias, owner from owner_alias where owner in (select owner from heir);

-- lock_accounts --
-- Lock accounts, everybody in the same order; whoever has an owner's `avail` has all of the owner.
select account_id, balance from ledger_account
where account_id = any(%(ids)s::text[]) order by account_id for update;

-- ensure_accounts --
-- Accounts exist from their first use on.
insert into ledger_account (account_id, kind, owner, asset)
select id, kind, owner, asset
from unnest(%(ids)s::text[], %(kinds)s::text[], %(owners)s::text[], %(assets)s::text[])
    as new(id, kind, owner, asset)
order by id
on conflict (account_id) do nothing
returning account_id;

-- balances --
-- What accounts hold that are locked by their owner's `avail`.
select account_id, balance from ledger_account where account_id = any(%(ids)s::text[]);

-- leases --
-- Leases by their ids, and the live ones of owners and of edges.
select lease_id, owner, asset, edge_id, epoch, store_id, granted, grants, quota,
       (extract(epoch from spend_until) * 1000)::bigint as spend_until_ms, state, spent_count,
       spent_amount, short_amount, returned_amount, close_count, close_amount,
       (extract(epoch from frozen_at) * 1000)::bigint as frozen_at_ms
from lease
where lease_id in (
    select unnest(%(leases)s::text[])
    union all
    select lease_id from ledger_spend where spend_uid = any(%(spends)s::bytea[])
    union all
    select l.lease_id from unnest(%(owners)s::text[], %(assets)s::text[]) as p(owner, asset)
    join lease l on l.owner = p.owner and l.asset = p.asset
    where l.state in ('open', 'recalled', 'frozen')
    union all
    select lease_id from lease
    where edge_id = any(%(edges)s::bigint[]) and state in ('open', 'recalled', 'frozen')
);

-- sub_leases --
-- Tills' parts by their ids, those of spends, and the parts of leases that are being closed of which
-- more was spent than their tills told, or may have been; and those parts of edges.
select sub_lease_id, lease_id, till_edge_id, amount, spent_count, spent_amount, close_count,
       close_amount, is_certain
from sub_lease
where sub_lease_id in (
    select unnest(%(sub_leases)s::text[])
    union all
    select sub_lease_id from ledger_spend where spend_uid = any(%(spends)s::bytea[])
    union all
    select sub_lease_id from sub_lease
    where lease_id = any(%(closing)s::text[]) and (spent_count > close_count or not is_certain)
    union all
    select sub_lease_id from sub_lease
    where till_edge_id = any(%(edges)s::bigint[]) and not is_certain
);

-- uncertain_leases --
-- Leases of which a till has a part that it may have spent from and forgotten.
select distinct lease_id from sub_lease where till_edge_id = %(edge_id)s and not is_certain;

-- spends --
-- Spends by their uids.
select spend_uid as uid, lease_id, sub_lease_id, owner, asset, amount, store_id, edge_id, state,
       on_lease, firm
from ledger_spend where spend_uid = any(%(spends)s::bytea[]);

-- holds --
-- Holds by their uids.
select hold_uid as uid, owner, asset, amount, captured_amount, store_id,
       (extract(epoch from expires_at) * 1000)::bigint as expires_at_ms, state
from ledger_hold where hold_uid = any(%(holds)s::bytea[]);

-- pending --
-- What sales earned that is not free yet.
select lot_id, sale_uid, owner, asset, amount, active_on::text as active_on,
       expires_on::text as expires_on
from pending_lot where sale_uid = any(%(sales)s::bytea[]);

-- lots --
-- What owners were given, by last day.
select l.owner, l.asset, l.expires_on::text as expires_on, l.amount
from unnest(%(owners)s::text[], %(assets)s::text[]) as p(owner, asset)
join ledger_lot l on l.owner = p.owner and l.asset = p.asset;

-- causes --
-- Which of these transfers were made.
select transfer_id from ledger_transfer where transfer_id = any(%(causes)s::bytea[]);

-- add_transfers --
-- Movements, each once for ever.
insert into ledger_transfer
    (transfer_id, debit_account_id, credit_account_id, amount, reason, cause_uid)
select * from unnest(%(ids)s::bytea[], %(debits)s::text[], %(credits)s::text[],
    %(amounts)s::bigint[], %(reasons)s::text[], %(causes)s::bytea[])
on conflict (transfer_id) do nothing;

-- change_balances --
-- All balances of a piece of work in one statement, which the guard adds up.
update ledger_account a set balance = a.balance + c.change
from unnest(%(ids)s::text[], %(changes)s::bigint[]) as c(account_id, change)
where a.account_id = c.account_id;

-- add_leases --
-- Leases that are new; a second live one of the same right is refused by its index.
insert into lease (lease_id, owner, asset, edge_id, epoch, store_id, granted, grants, quota,
    spend_until, state, spent_count, spent_amount, short_amount, returned_amount, close_count,
    close_amount, frozen_at)
select lease_id, owner, asset, edge_id, epoch, store_id, granted, grants, quota,
       to_timestamp(spend_until_ms / 1000.0), state, spent_count, spent_amount, short_amount,
       returned_amount, close_count, close_amount, to_timestamp(frozen_at_ms / 1000.0)
from unnest(%(lease_id)s::text[], %(owner)s::text[], %(asset)s::text[], %(edge_id)s::bigint[],
    %(epoch)s::integer[], %(store_id)s::text[], %(granted)s::bigint[], %(grants)s::integer[],
    %(quota)s::bigint[], %(spend_until_ms)s::bigint[], %(state)s::text[], %(spent_count)s::bigint[],
    %(spent_amount)s::bigint[], %(short_amount)s::bigint[], %(returned_amount)s::bigint[],
    %(close_count)s::bigint[], %(close_amount)s::bigint[], %(frozen_at_ms)s::bigint[])
    as new(lease_id, owner, asset, edge_id, epoch, store_id, granted, grants, quota, spend_until_ms,
        state, spent_count, spent_amount, short_amount, returned_amount, close_count, close_amount,
        frozen_at_ms)
on conflict do nothing;

-- change_leases --
-- Leases that have changed.
update lease l
set granted = c.granted, grants = c.grants, quota = c.quota,
    spend_until = to_timestamp(c.spend_until_ms / 1000.0), state = c.state, spent_count = c.spent_count, spent_amount = c.spent_amount,
    short_amount = c.short_amount, returned_amount = c.returned_amount,
    close_count = c.close_count, close_amount = c.close_amount,
    frozen_at = to_timestamp(c.frozen_at_ms / 1000.0)
from unnest(%(lease_id)s::text[], %(granted)s::bigint[], %(grants)s::integer[],
    %(quota)s::bigint[], %(spend_until_ms)s::bigint[], %(state)s::text[], %(spent_count)s::bigint[],
    %(spent_amount)s::bigint[], %(short_amount)s::bigint[], %(returned_amount)s::bigint[],
    %(close_count)s::bigint[], %(close_amount)s::bigint[], %(frozen_at_ms)s::bigint[])
    as c(lease_id, granted, grants, quota, spend_until_ms, state, spent_count, spent_amount,
        short_amount, returned_amount, close_count, close_amount, frozen_at_ms)
where l.lease_id = c.lease_id;

-- put_sub_leases --
-- Tills' parts as they are now.
insert into sub_lease (sub_lease_id, lease_id, till_edge_id, amount, spent_count, spent_amount,
    close_count, close_amount, is_certain)
select * from unnest(%(sub_lease_id)s::text[], %(lease_id)s::text[], %(till_edge_id)s::bigint[],
    %(amount)s::bigint[], %(spent_count)s::bigint[], %(spent_amount)s::bigint[],
    %(close_count)s::bigint[], %(close_amount)s::bigint[], %(is_certain)s::boolean[])
on conflict (sub_lease_id) do update
set till_edge_id = excluded.till_edge_id, amount = excluded.amount,
    spent_count = excluded.spent_count, spent_amount = excluded.spent_amount,
    close_count = excluded.close_count, close_amount = excluded.close_amount,
    is_certain = excluded.is_certain;

-- add_spends --
-- Spends that are new. Two sources that tell one at the same moment meet here: the second waits,
-- adds nothing, and is done again.
insert into ledger_spend (spend_uid, lease_id, sub_lease_id, owner, asset, amount, store_id,
    edge_id, state, on_lease, firm)
select * from unnest(%(uid)s::bytea[], %(lease_id)s::text[], %(sub_lease_id)s::text[],
    %(owner)s::text[], %(asset)s::text[], %(amount)s::bigint[], %(store_id)s::text[],
    %(edge_id)s::bigint[], %(state)s::text[], %(on_lease)s::boolean[], %(firm)s::boolean[])
    as new(uid)
order by uid
on conflict (spend_uid) do nothing;

-- change_spends --
-- Spends that have changed.
update ledger_spend s
set lease_id = c.lease_id, sub_lease_id = c.sub_lease_id, owner = c.owner, asset = c.asset,
    amount = c.amount, store_id = c.store_id, edge_id = c.edge_id, state = c.state,
    on_lease = c.on_lease, firm = c.firm
from unnest(%(uid)s::bytea[], %(lease_id)s::text[], %(sub_lease_id)s::text[],
    %(owner)s::text[], %(asset)s::text[], %(amount)s::bigint[], %(store_id)s::text[],
    %(edge_id)s::bigint[], %(state)s::text[], %(on_lease)s::boolean[], %(firm)s::boolean[])
    as c(uid, lease_id, sub_lease_id, owner, asset, amount, store_id, edge_id, state, on_lease,
        firm)
where s.spend_uid = c.uid;

-- add_holds --
-- Holds that are new.
insert into ledger_hold (hold_uid, owner, asset, amount, captured_amount, store_id, expires_at,
    state)
select uid, owner, asset, amount, captured_amount, store_id,
       to_timestamp(expires_at_ms / 1000.0), state
from unnest(%(uid)s::bytea[], %(owner)s::text[], %(asset)s::text[], %(amount)s::bigint[],
    %(captured_amount)s::bigint[], %(store_id)s::text[], %(expires_at_ms)s::bigint[],
    %(state)s::text[])
    as new(uid, owner, asset, amount, captured_amount, store_id, expires_at_ms, state)
order by uid
on conflict (hold_uid) do nothing;

-- change_holds --
-- Holds that have changed.
update ledger_hold h
set owner = c.owner, asset = c.asset, amount = c.amount, captured_amount = c.captured_amount,
    store_id = c.store_id, expires_at = to_timestamp(c.expires_at_ms / 1000.0), state = c.state
from unnest(%(uid)s::bytea[], %(owner)s::text[], %(asset)s::text[], %(amount)s::bigint[],
    %(captured_amount)s::bigint[], %(store_id)s::text[], %(expires_at_ms)s::bigint[],
    %(state)s::text[])
    as c(uid, owner, asset, amount, captured_amount, store_id, expires_at_ms, state)
where h.hold_uid = c.uid;

-- put_pending --
-- What becomes free on a day, as it is now.
insert into pending_lot (lot_id, sale_uid, owner, asset, amount, active_on, expires_on)
select lot_id, sale_uid, owner, asset, amount, active_on::date, expires_on::date
from unnest(%(lot_id)s::bytea[], %(sale_uid)s::bytea[], %(owner)s::text[], %(asset)s::text[],
    %(amount)s::bigint[], %(active_on)s::text[], %(expires_on)s::text[])
    as new(lot_id, sale_uid, owner, asset, amount, active_on, expires_on)
on conflict (lot_id) do update set amount = excluded.amount;

-- drop_pending --
-- What is free now, or was taken back.
delete from pending_lot where lot_id = any(%(lots)s::bytea[]);

-- add_to_lots --
-- What owners were given, by last day. Owners are locked, so the order does not matter.
insert into ledger_lot (owner, asset, expires_on, amount)
select owner, asset, expires_on::date, amount
from unnest(%(owners)s::text[], %(assets)s::text[], %(days)s::text[], %(amounts)s::bigint[])
    as new(owner, asset, expires_on, amount)
on conflict (owner, asset, expires_on) do update set amount = ledger_lot.amount + excluded.amount;

-- put_aliases --
-- Merged customers.
insert into owner_alias (alias, owner)
select * from unnest(%(aliases)s::text[], %(owners)s::text[])
on conflict (alias) do update set owner = excluded.owner;

-- home_holders --
-- The agent that may hold a member's leases: the newest active hub of the home store, in its
-- present epoch, unless its money lane is frozen. Looked for once a store, not once a member.
with member as materialized (
    select customer_id, home_store_id from customer
    where customer_id = any(%(owners)s::text[]) and home_store_id is not null
), holder as materialized (
    select distinct on (e.store_id) e.store_id, e.edge_id, h.epoch
    from (select distinct home_store_id from member) home
    join edge e on e.store_id = home.home_store_id and e.kind = 'hub' and e.state = 'active'
    cross join lateral (
        select epoch, state from stream_head
        where edge_id = e.edge_id and lane = 0 order by epoch desc limit 1
    ) h
    where h.state = 'open'
    order by e.store_id, e.edge_id desc
)
select m.customer_id, h.edge_id, h.store_id, h.epoch
from member m join holder h on h.store_id = m.home_store_id;

-- holder --
-- One agent as a holder of leases, in its present epoch, unless its money lane is frozen.
select e.edge_id, e.store_id, h.epoch
from edge e
cross join lateral (
    select epoch, state from stream_head
    where edge_id = e.edge_id and lane = 0 order by epoch desc limit 1
) h
where e.edge_id = %(edge_id)s and e.state = 'active' and h.state = 'open';

-- assets_of --
-- Every asset of which an owner has an account.
select distinct asset from ledger_account
where kind = 'avail' and owner = any(%(owners)s::text[]) order by asset;

-- due_lots --
-- Pending lots whose day has come, a bounded number.
select sale_uid, owner, asset from pending_lot
where active_on <= %(today)s::date order by active_on, lot_id limit %(limit)s;

-- due_holds --
-- Holds that nobody captured in time, a bounded number.
select hold_uid from ledger_hold
where state = 'held' and expires_at <= to_timestamp(%(now_ms)s::bigint / 1000.0)
order by expires_at limit %(limit)s;

-- due_expiry --
-- Owners who have lots past their last day, a bounded number after the last one seen.
select distinct owner, asset from ledger_lot
where expires_on < %(today)s::date and expires_on < '9999-12-31'
  and (owner, asset) > (%(owner)s, %(asset)s)
order by owner, asset limit %(limit)s;

-- forget_lots --
-- Lots long past whose owners have nothing left of them: nothing that follows depends on them.
delete from ledger_lot l
using unnest(%(owners)s::text[], %(assets)s::text[], %(days)s::text[]) as p(owner, asset, day)
where l.owner = p.owner and l.asset = p.asset and l.expires_on = p.day::date;

-- homeless --
-- Members of a store that have something free: a hub that has enrolled gets their leases.
select c.customer_id as owner, a.asset
from customer c
join ledger_account a on a.owner = c.customer_id and a.kind = 'avail' and a.balance > 0
where c.home_store_id = %(store_id)s and c.customer_id > %(after)s
order by c.customer_id, a.asset limit %(limit)s;

-- due_renewals --
-- Open leases past half of their term whose holders were heard of lately, a bounded number.
select l.lease_id, l.owner, l.asset from lease l join edge e using (edge_id)
where l.state = 'open' and l.close_count is null
  and l.spend_until < to_timestamp(%(renew_below_ms)s::bigint / 1000.0)
  and e.state = 'active' and e.last_contact_at > now() - interval '1 day'
  and l.lease_id > %(after)s
order by l.lease_id limit %(limit)s;

-- due_settling --
-- Live leases that ran out long ago, a bounded number after the last one seen.
select lease_id from lease
where state in ('open', 'recalled', 'frozen')
  and greatest(spend_until, frozen_at) < to_timestamp(%(until_ms)s::bigint / 1000.0)
  and lease_id > %(after)s
order by lease_id limit %(limit)s;

-- stores_with_hubs --
-- Stores that have an agent which may hold leases.
select distinct store_id from edge where kind = 'hub' and state = 'active' order by store_id;

-- undecided --
-- Live leases that ran out, are frozen or wait for spends: a person may have to decide.
select lease_id, owner, asset, store_id, edge_id, epoch, state, spend_until,
       granted - (spent_amount - short_amount) - returned_amount as rest,
       close_count is not null as closing
from lease
where state in ('open', 'recalled', 'frozen')
  and (state = 'frozen' or close_count is not null or spend_until < now())
order by spend_until, lease_id limit %(limit)s;

-- holders_of_stores --
-- The agents that may hold these stores' leases: the newest active hub of each, in its present
-- epoch, unless its money lane is frozen.
select distinct on (e.store_id) e.edge_id, e.store_id, h.epoch
from edge e
cross join lateral (
    select epoch, state from stream_head
    where edge_id = e.edge_id and lane = 0 order by epoch desc limit 1
) h
where e.store_id = any(%(stores)s::text[]) and e.kind = 'hub' and e.state = 'active'
  and h.state = 'open'
order by e.store_id, e.edge_id desc;

