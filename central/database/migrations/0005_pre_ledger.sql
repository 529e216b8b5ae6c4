-- The ledger over assets, with epochs of leases, spends by their uid, lots, holds and an auditor.
-- What is there is kept: accounts and transfers get the names of assets, leases their counts.

alter table ledger_transfer
    drop constraint ledger_transfer_debit_account_id_fkey,
    drop constraint ledger_transfer_credit_account_id_fkey;
drop index ledger_transfer_debit_idx, ledger_transfer_credit_idx, ledger_transfer_record_idx,
    ledger_account_owner_idx;
alter table lease rename to old_lease;
alter table ledger_account rename to old_account;
alter table ledger_transfer rename to old_transfer;
alter table old_lease drop constraint lease_pkey;
alter table old_account drop constraint ledger_account_pkey;
alter table pending_points drop constraint pending_points_transfer_id_fkey;
alter table old_transfer drop constraint ledger_transfer_pkey;

-- points and whatever else can run short: double entry; balance = credits - debits

create table ledger_account (
    account_id text primary key,
    kind text not null check (
        kind in ('avail', 'pending', 'debt', 'held', 'escrow',
            'issued', 'redeemed', 'store_shortage', 'expired', 'goodwill')
    ),
    owner text not null,
    asset text not null,
    balance bigint not null default 0,
    check (balance >= 0 or kind not in ('avail', 'pending', 'held', 'escrow')),
    check (balance <= 0 or kind <> 'debt')
) with (fillfactor = 80);
create index ledger_account_owner_idx on ledger_account (owner, asset) where kind = 'avail';

create table ledger_transfer (
    transfer_id bytea primary key,
    debit_account_id text not null,
    credit_account_id text not null,
    amount bigint not null check (amount > 0),
    reason text not null,
    cause_uid bytea,
    posted_at timestamptz not null default now(),
    xid xid8 not null default pg_current_xact_id(),
    check (debit_account_id <> credit_account_id)
);
create index ledger_transfer_posted_idx on ledger_transfer using brin (posted_at);

-- granted = spent - short + returned + what the escrow account holds
create table lease (
    lease_id text primary key,
    owner text not null,
    asset text not null,
    edge_id bigint not null references edge,
    epoch integer not null,
    store_id text not null references store,
    granted bigint not null check (granted >= 0),
    grants integer not null,
    quota bigint,
    spend_until timestamptz not null,
    state text not null check (state in ('open', 'recalled', 'frozen', 'closed', 'written_off')),
    spent_count bigint not null default 0,
    spent_amount bigint not null default 0,
    short_amount bigint not null default 0 check (short_amount >= 0),
    returned_amount bigint not null default 0 check (returned_amount >= 0),
    close_count bigint,
    close_amount bigint,
    frozen_at timestamptz
);
create unique index lease_one_live_idx on lease (owner, asset, edge_id, epoch)
    where state in ('open', 'recalled', 'frozen') and close_count is null;
create index lease_live_idx on lease (owner, asset) where state in ('open', 'recalled', 'frozen');
create index lease_edge_idx on lease (edge_id, spend_until)
    where state in ('open', 'recalled', 'frozen');

-- a till's part of a lease; amount is null until the hub's own record has come
create table sub_lease (
    sub_lease_id text primary key,
    lease_id text not null,
    till_edge_id bigint,
    amount bigint,
    spent_count bigint not null,
    spent_amount bigint not null,
    close_count bigint,
    close_amount bigint
);

-- every spend by its uid, once; one that was voided unheard has the amount 0
create table ledger_spend (
    spend_uid bytea primary key,
    lease_id text,
    sub_lease_id text,
    owner text not null,
    asset text not null,
    amount bigint not null check (amount >= 0),
    store_id text not null,
    edge_id bigint not null,
    state text not null check (state in ('counted', 'voided')),
    on_lease boolean not null,
    firm boolean not null
);

-- what is set aside for sales that ask central
create table ledger_hold (
    hold_uid bytea primary key,
    owner text not null,
    asset text not null,
    amount bigint not null check (amount >= 0),
    captured_amount bigint not null check (captured_amount >= 0),
    store_id text not null,
    expires_at timestamptz not null,
    state text not null check (state in ('held', 'captured', 'released'))
);
create index ledger_hold_due_idx on ledger_hold (expires_at) where state = 'held';

-- what becomes free on a day
create table pending_lot (
    lot_id bytea primary key,
    sale_uid bytea not null,
    owner text not null,
    asset text not null,
    amount bigint not null check (amount > 0),
    active_on date not null,
    expires_on date not null
);
create index pending_lot_due_idx on pending_lot (active_on);
create index pending_lot_sale_idx on pending_lot (sale_uid);

-- what an owner was given, by the last day on which it is good; 9999-12-31: always
create table ledger_lot (
    owner text not null,
    asset text not null,
    expires_on date not null,
    amount bigint not null,
    primary key (owner, asset, expires_on)
) with (fillfactor = 80);
create index ledger_lot_expiry_idx on ledger_lot (expires_on) where expires_on < '9999-12-31';

-- customers that were merged into another
create table owner_alias (
    alias text primary key,
    owner text not null check (owner <> alias)
);
create index owner_alias_owner_idx on owner_alias (owner);

-- the auditor's own copy of the balances, as far as it has counted
create table audit_mark (
    account_id text primary key,
    balance bigint not null
) with (fillfactor = 80);

create table audit_state (
    only_one boolean primary key default true check (only_one),
    xid xid8 not null default '0',
    counted_to timestamptz not null default '-infinity',
    checked_at timestamptz,
    full_checked_at timestamptz
);
insert into audit_state default values;

-- what the auditor or the guard below found; empty for ever, if all is well
create table ledger_drift (
    drift_id bigint generated always as identity primary key,
    found_at timestamptz not null default now(),
    subject text not null,
    expected bigint not null,
    actual bigint not null,
    cleared_at timestamptz
);
create unique index ledger_drift_once_idx on ledger_drift (subject) where cleared_at is null;

-- a statement that changes balances must leave the sum of each asset as it was
create function ledger_guard() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into ledger_drift (subject, expected, actual)
        select 'statement:' || asset || ':' || pg_current_xact_id(), 0, sum(balance)
        from after_change group by asset having sum(balance) <> 0
        on conflict do nothing;
    elsif tg_op = 'UPDATE' then
        insert into ledger_drift (subject, expected, actual)
        select 'statement:' || asset || ':' || pg_current_xact_id(), 0, sum(change)
        from (
            select asset, balance as change from after_change
            union all
            select asset, -balance from before_change
        ) as changes group by asset having sum(change) <> 0
        on conflict do nothing;
    else
        insert into ledger_drift (subject, expected, actual)
        select 'statement:' || asset || ':' || pg_current_xact_id(), 0, -sum(balance)
        from before_change group by asset having sum(balance) <> 0
        on conflict do nothing;
    end if;
    return null;
end;
$$;
create trigger ledger_guard_insert after insert on ledger_account
    referencing new table as after_change
    for each statement execute function ledger_guard();
create trigger ledger_guard_update after update on ledger_account
    referencing old table as before_change new table as after_change
    for each statement execute function ledger_guard();
create trigger ledger_guard_delete after delete on ledger_account
    referencing old table as before_change
    for each statement execute function ledger_guard();


create index customer_home_idx on customer (home_store_id);

-- what there was, under its new names

insert into ledger_account (account_id, kind, owner, asset, balance)
select kind || ':' || replace(replace(owner, '%', '%25'), ':', '%3A') || ':points:' || points_account,
       kind, owner, 'points:' || points_account, balance_centi
from old_account;

insert into ledger_transfer
    (transfer_id, debit_account_id, credit_account_id, amount, reason, cause_uid, posted_at)
select t.transfer_id,
       d.kind || ':' || replace(replace(d.owner, '%', '%25'), ':', '%3A') || ':points:' || d.points_account,
       c.kind || ':' || replace(replace(c.owner, '%', '%25'), ':', '%3A') || ':points:' || c.points_account,
       t.amount_centi, t.reason, t.record_uid, t.posted_at
from old_transfer t
join old_account d on d.account_id = t.debit_account_id
join old_account c on c.account_id = t.credit_account_id;

insert into lease (lease_id, owner, asset, edge_id, epoch, store_id, granted, grants, spend_until,
    state, spent_count, spent_amount)
select l.lease_id, l.customer_id, 'points:' || l.points_account, l.edge_id,
       coalesce((select max(h.epoch) from stream_head h where h.edge_id = l.edge_id), 1),
       l.store_id, l.granted_centi, g.grants, l.spend_until, l.state, s.spends, s.amount
from old_lease l
cross join lateral (
    select count(*) as grants from old_transfer t
    where t.credit_account_id = 'escrow:' || l.lease_id
) g
cross join lateral (
    select count(*) as spends, coalesce(sum(t.amount_centi), 0) as amount from old_transfer t
    where t.debit_account_id = 'escrow:' || l.lease_id
) s;

-- a spend of that release was told by its receipt alone, and is known by its transfer
insert into ledger_spend (spend_uid, lease_id, sub_lease_id, owner, asset, amount, store_id,
    edge_id, state, on_lease, firm)
select t.transfer_id, l.lease_id, null, l.customer_id, 'points:' || l.points_account,
       t.amount_centi, l.store_id, l.edge_id, 'counted', true, false
from old_transfer t join old_lease l on t.debit_account_id = 'escrow:' || l.lease_id;

insert into pending_lot (lot_id, sale_uid, owner, asset, amount, active_on, expires_on)
select p.transfer_id, coalesce(t.record_uid, p.transfer_id), p.customer_id,
       'points:' || p.points_account, p.amount_centi, p.active_on, '9999-12-31'
from pending_points p join old_transfer t using (transfer_id)
where p.activated_at is null;

-- points of that release never expire
insert into ledger_lot (owner, asset, expires_on, amount)
select owner, asset, '9999-12-31', sum(balance)
from (
    select owner, asset, balance from ledger_account where kind = 'avail'
    union all
    select l.owner, l.asset, a.balance
    from lease l join ledger_account a on a.kind = 'escrow' and a.owner = l.lease_id
) as parts
group by owner, asset having sum(balance) > 0;

drop table pending_points, old_lease, old_transfer, old_account;
