-- The truth for new databases: every table of central, in the order of their subjects.
-- Points are in hundredths (centi), money in minor units, quantities in thousandths (milli).

create table schema_migration (
    name text primary key,
    applied_at timestamptz not null default now()
);

-- stores and agents

-- unproven_points_max: the most points of an account, in hundredths, that a receipt may take whose
-- customer showed no code of the app; null: no bound
create table store (
    store_id text primary key,
    name text not null,
    timezone text not null,
    currency text not null,
    strict_limits boolean not null default false,
    unproven_points_max bigint check (unproven_points_max >= 0)
);

create sequence edge_id_seq start 1001;

create table edge (
    edge_id bigint primary key default nextval('edge_id_seq'),
    store_id text not null references store,
    kind text not null check (kind in ('hub', 'till')),
    state text not null default 'active' check (state in ('active', 'frozen', 'revoked')),
    device_public_key bytea not null,
    credential_sha256 bytea not null unique,
    enrolled_at timestamptz not null default now(),
    agent_version text not null default '',
    last_contact_at timestamptz,
    bundle_version bigint,
    bundle_error text,
    queue_depth bigint not null default 0,
    oldest_queued_at timestamptz,
    started_at timestamptz,
    components jsonb not null default '[]'
);
create index edge_store_idx on edge (store_id);

-- files that agents without a line had carried here; made_at_ms: by their clock
create table edge_file (
    edge_id bigint not null references edge,
    file_id bytea not null check (length(file_id) = 16),
    made_at_ms bigint not null,
    taken_at timestamptz not null default now(),
    records bigint not null,
    size_bytes bigint not null,
    primary key (edge_id, file_id)
);
create index edge_file_taken_idx on edge_file (taken_at);

create table enrol_token (
    token_sha256 bytea primary key,
    store_id text not null references store,
    kind text not null check (kind in ('hub', 'till')),
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz,
    used_by bigint references edge,
    reused_at timestamptz
);

-- who sells for a store without an agent, such as a web shop; its token is kept as a hash
create table channel (
    channel_id text primary key,
    store_id text not null references store,
    token_sha256 bytea not null unique,
    issued_at timestamptz not null default now(),
    revoked_at timestamptz
);

create table stream_head (
    edge_id bigint not null references edge,
    lane smallint not null,
    epoch integer not null,
    nonce bytea not null,
    seq bigint not null default 0,
    hash bytea not null,
    state text not null default 'open' check (state in ('open', 'frozen', 'fenced')),
    updated_at timestamptz not null default now(),
    primary key (edge_id, lane, epoch)
);

-- one row a run of records that was taken, so that a repeated batch can be compared with it
create table stream_run (
    edge_id bigint not null,
    lane smallint not null,
    epoch integer not null,
    last_seq bigint not null,
    first_seq bigint not null,
    hashes bytea not null,
    uids bytea not null,
    primary key (edge_id, lane, epoch, last_seq),
    foreign key (edge_id, lane, epoch) references stream_head
);

create table quarantine (
    quarantine_id bigint generated always as identity primary key,
    edge_id bigint not null references edge,
    lane smallint not null,
    epoch integer not null,
    first_seq bigint not null,
    last_seq bigint not null,
    reason text not null,
    detail text not null,
    data bytea not null,
    received_at timestamptz not null default now()
);

create unique index quarantine_once_idx on quarantine
    (edge_id, lane, epoch, first_seq, last_seq, reason, sha256(data));

-- epochs that an edge was given without a person; where nothing of the one before is missing, its
-- leases are settled as soon as its records up to these numbers are here
create table epoch_issue (
    edge_id bigint not null references edge,
    epoch integer not null,
    recovery_id bytea not null,
    issued_at timestamptz not null default now(),
    money_seq bigint,
    receipts_seq bigint,
    cleared_at timestamptz,
    primary key (edge_id, epoch)
);

-- how far one edge has sent what was written under another epoch or by the edge it was before
create table adopted_head (
    edge_id bigint not null references edge,
    from_edge_id bigint not null,
    lane smallint not null,
    epoch integer not null,
    seq bigint not null,
    hash bytea not null,
    updated_at timestamptz not null default now(),
    primary key (edge_id, from_edge_id, lane, epoch)
);

-- feed to the agents: transactions write to the log, a publisher takes whole ones out of it in an
-- order that loses none, and keeps the last state of each key with its place

create sequence feed_change_id_seq;

create table feed_log (
    xid xid8 not null default pg_current_xact_id(),
    change_id bigint not null default nextval('feed_change_id_seq'),
    scope text not null,
    topic text not null,
    key text not null,
    operation text not null check (operation in ('put', 'delete', 'erase')),
    payload bytea not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
create index feed_log_order_idx on feed_log (xid, change_id);

create table feed_entry (
    scope text not null,
    topic text not null,
    key text not null,
    position bigint not null,
    change_id bigint not null,
    version bigint not null,
    operation text not null check (operation in ('put', 'delete', 'erase')),
    payload bytea not null,
    high bigint not null,
    low bigint not null,
    published_at timestamptz not null default now(),
    primary key (scope, topic, key)
);
create unique index feed_entry_position_idx on feed_entry (scope, position);
create index feed_entry_tombstone_idx on feed_entry (scope, position) where operation <> 'put';

-- what the entries of a topic add up to, modulo 2^128 (of either sign)
create table feed_sum (
    scope text not null,
    topic text not null,
    total numeric not null,
    entries bigint not null,
    primary key (scope, topic)
);

create table feed_scope (
    scope text primary key,
    head bigint not null,
    horizon bigint not null default 0
);
create index feed_scope_head_idx on feed_scope (head);

-- one row: the generation of cursors, the last position given out, what cursors are signed with
create table feed_state (
    only_one boolean primary key default true check (only_one),
    generation bigint not null,
    head bigint not null default 0,
    secret bytea not null
);
insert into feed_state (generation, secret) values (
    ('x' || substr(md5(gen_random_uuid()::text), 1, 15))::bit(60)::bigint,
    sha256(decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'))
);

create table feed_reader (
    edge_id bigint primary key references edge,
    store_id text not null,
    generation bigint not null,
    position bigint not null,
    applied_position bigint not null default 0,
    seen_at timestamptz not null default now()
);

create table feed_snapshot (
    scope text primary key,
    generation bigint not null,
    as_of bigint not null,
    chunks bytea not null,
    built_at timestamptz not null default now()
);

create table feed_chunk (
    scope text not null,
    sha256 bytea not null,
    data bytea not null,
    built_at timestamptz not null default now(),
    primary key (scope, sha256)
);

-- what shops need to know

create table product (
    sku text primary key,
    name text not null,
    category text,
    brand text,
    attributes jsonb not null default '{}',
    flags jsonb not null default '[]',
    weighed boolean not null default false,
    min_price_minor bigint,
    max_discount_ppm integer
);

create table customer (
    customer_id text primary key,
    home_store_id text references store,
    segments jsonb not null default '[]',
    level text,
    card_category text,
    blocked boolean not null default false,
    created_at timestamptz not null default now()
);

create index customer_home_idx on customer (home_store_id);

create table customer_card (
    card_tag bytea primary key,
    customer_id text not null references customer
);
create index customer_card_customer_idx on customer_card (customer_id);

-- a member's phone, for messages; found by the hash, which is slow, and known to shops by the tag,
-- which is keyed (shared.crypto.phones)
create table customer_phone (
    customer_id text primary key references customer,
    phone text not null,
    phone_hash bytea not null check (length(phone_hash) = 32),
    phone_tag bytea not null check (length(phone_tag) = 16),
    consents jsonb not null default '[]',
    edge_id bigint references edge,
    registered_at timestamptz not null default now()
);
create index customer_phone_hash_idx on customer_phone (phone_hash);

-- members whom shops made, by the uid of the record; owner: who it became, null: refused, and why;
-- body: as it came, with the phone sealed, until it is settled
create table registration (
    record_uid bytea primary key check (length(record_uid) = 16),
    edge_id bigint not null references edge,
    body bytea not null,
    owner text,
    is_new boolean not null default false,
    card_taken boolean not null default false,
    failure text,
    received_at timestamptz not null default now(),
    settled_at timestamptz
);
create index registration_waiting_idx on registration (received_at) where settled_at is null;

-- one with a customer is that customer's own, and works once
create table coupon (
    code text primary key check (code = upper(code)),
    series text not null,
    valid_from date,
    valid_to date,
    customer_id text references customer
);
create index coupon_customer_idx on coupon (customer_id) where customer_id is not null;

create table bundle (
    version bigint primary key,
    programme text not null,
    sha256 bytea not null,
    bytes bytea not null,
    document bytea not null,
    published_at timestamptz not null default now(),
    published_by text not null
);

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
    close_amount bigint,
    is_certain boolean not null default true
);
-- tills that were put back told of less than they had spent, or may have
create index sub_lease_untold on sub_lease (lease_id)
    where spent_count > close_count or not is_certain;
create index sub_lease_uncertain on sub_lease (till_edge_id) where not is_certain;

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

-- what everybody together may use of a promotion: 0 when it is no longer in force; excess: of what
-- was lowered, how much is still lent to stores and has to come back
create table promotion_budget (
    promotion text not null,
    asset text not null,
    amount bigint not null check (amount >= 0),
    version bigint not null,
    excess bigint not null check (excess >= 0),
    primary key (promotion, asset)
);
create index promotion_budget_excess_idx on promotion_budget (promotion, asset) where excess > 0;

-- what one customer may use of promotions in a period, by the programme in force
create table customer_limit (
    promotion text not null,
    per text not null,
    measure text not null,
    amount bigint not null check (amount >= 0),
    primary key (promotion, measure)
);

-- how many receipts a store had on a day, for forecasts
create table store_traffic (
    store_id text not null references store,
    business_date date not null,
    receipts bigint not null,
    primary key (store_id, business_date)
);

-- what a customer used of a limited promotion in a period, by the receipts of each edge; last_date:
-- of the period, null when it does not end; told: the shops know it
create table customer_use (
    customer_id text not null,
    promotion text not null,
    measure text not null,
    period text not null,
    edge_id bigint not null,
    amount bigint not null check (amount > 0),
    last_date date,
    told boolean not null default true,
    primary key (customer_id, promotion, measure, period, edge_id)
);
create index customer_use_told_idx on customer_use (last_date) where told;
create index customer_use_past_idx on customer_use (last_date) where not told;

-- gift cards: by the tag of the number, never by the number; what is on a card is in the ledger

create table gift_card (
    card_tag bytea primary key,
    currency text not null,
    pin_hash text,
    face_minor_min bigint not null check (face_minor_min > 0),
    face_minor_max bigint not null check (face_minor_max >= face_minor_min),
    valid_days integer check (valid_days > 0),
    last_date date,
    expires_on date,
    whole_only boolean not null,
    active boolean not null default false,
    registered_at timestamptz not null default now()
);

-- what stores did with cards, each once; without a card: reversed before it was heard of
create table gift_card_operation (
    store_id text not null references store,
    operation_id text not null,
    edge_id bigint not null references edge,
    action text not null check (action in ('activate', 'redeem', 'reverse')),
    card_tag bytea references gift_card,
    body_sha256 bytea not null,
    receipt_id text not null,
    amount_minor bigint not null check (amount_minor >= 0),
    reply bytea not null,
    reverse_reply bytea,
    done_at timestamptz not null,
    reversed_at timestamptz,
    primary key (store_id, operation_id),
    check (card_tag is not null or reverse_reply is not null)
);
create index gift_card_operation_card_idx on gift_card_operation (card_tag);

-- wrong PINs of a card, wrong numbers and PINs of an agent
create table gift_card_guess (
    subject text primary key,
    count integer not null,
    since timestamptz not null,
    wait_until timestamptz not null
);

-- tells the key of the tags from any other
create table gift_card_key (
    only_one boolean primary key default true check (only_one),
    key_check bytea not null
);

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

-- receipts

-- one row a sale, its lines and what promotions took off them in arrays (views below): a row a line
-- costs four times as much to take in. ``body`` is the fact as it was recorded, under zstd; sales of
-- the first release have ``receipt`` and ``answer`` instead. No foreign keys: the agent and its store
-- are checked before, and neither is ever deleted.
create table receipt (
    record_uid bytea primary key,
    content_sha256 bytea not null,
    receipt_id text not null,
    edge_id bigint not null,
    store_id text not null,
    register text not null,
    business_date date not null,
    committed_at timestamptz not null,
    received_at timestamptz not null default now(),
    customer_id text,
    bundle_version bigint not null,
    list_minor bigint not null,
    discount_minor bigint not null,
    net_minor bigint not null,
    points_spent_centi bigint not null,
    to_pay_minor bigint not null,
    earned_centi bigint not null,
    incident_count integer not null,
    receipt bytea,
    answer bytea,
    body bytea,
    line_numbers bigint[] not null default '{}',
    line_skus text[] not null default '{}',
    line_qty_milli bigint[] not null default '{}',
    line_list_minor bigint[] not null default '{}',
    line_discount_minor bigint[] not null default '{}',
    line_net_minor bigint[] not null default '{}',
    line_points_spent_minor bigint[] not null default '{}',
    line_to_pay_minor bigint[] not null default '{}',
    applied_lines bigint[] not null default '{}',
    applied_promotions text[] not null default '{}',
    applied_discount_minor bigint[] not null default '{}',
    applied_qty_milli bigint[] not null default '{}',
    check (body is not null or (receipt is not null and answer is not null))
);
alter table receipt alter column body set storage external;
create index receipt_committed_idx on receipt (committed_at desc, record_uid);
create index receipt_store_idx on receipt (store_id, committed_at desc);
create index receipt_customer_idx on receipt (customer_id) where customer_id is not null;
create unique index receipt_once_idx on receipt (store_id, receipt_id, edge_id);

create view receipt_line as
select r.record_uid, l.line, l.sku, coalesce(p.name, l.sku) as name, l.qty_milli, l.list_minor,
    l.discount_minor, l.net_minor, l.points_spent_minor, l.to_pay_minor
from receipt r
cross join lateral unnest(
    r.line_numbers, r.line_skus, r.line_qty_milli, r.line_list_minor, r.line_discount_minor,
    r.line_net_minor, r.line_points_spent_minor, r.line_to_pay_minor
) as l (line, sku, qty_milli, list_minor, discount_minor, net_minor, points_spent_minor,
    to_pay_minor)
left join product p on p.sku = l.sku;

create view receipt_applied as
select r.record_uid, a.line, a.promotion_id, a.discount_minor, a.qty_milli
from receipt r
cross join lateral unnest(
    r.applied_lines, r.applied_promotions, r.applied_discount_minor, r.applied_qty_milli
) as a (line, promotion_id, discount_minor, qty_milli);

create table receipt_return (
    record_uid bytea primary key,
    content_sha256 bytea not null,
    return_id text not null,
    edge_id bigint not null,
    store_id text not null,
    register text not null,
    business_date date not null,
    returned_at timestamptz not null,
    received_at timestamptz not null default now(),
    sale_uid bytea,
    sale_receipt_id text not null,
    customer_id text,
    money_minor bigint not null,
    points_back_centi bigint not null,
    points_taken_centi bigint not null,
    body bytea not null
);
create index receipt_return_sale_idx on receipt_return (sale_receipt_id);
create index receipt_return_customer_idx on receipt_return (customer_id)
    where customer_id is not null;

-- goods that are set aside for a return which is being made, until its record is here
create table return_claim (
    edge_id bigint not null,
    return_id text not null,
    return_uid bytea not null,
    sale_uid bytea not null,
    line_numbers bigint[] not null,
    line_qty_milli bigint[] not null,
    claimed_at timestamptz not null default now(),
    primary key (edge_id, return_id)
);
create index return_claim_sale_idx on return_claim (sale_uid);
create index return_claim_uid_idx on return_claim (return_uid);
create index return_claim_age_idx on return_claim (claimed_at);

create table receipt_incident (
    record_uid bytea not null,
    number integer not null,
    code text not null,
    detail text not null,
    primary key (record_uid, number)
);

-- facts that are neither a sale nor a return, as they were recorded
create table fact (
    record_uid bytea primary key,
    content_sha256 bytea not null,
    kind text not null,
    edge_id bigint not null,
    store_id text not null,
    received_at timestamptz not null default now(),
    body bytea not null
);

-- staff and their sessions

create table staff_member (
    staff_id bigint generated always as identity primary key,
    login text not null unique check (login = lower(login)),
    password_hash text not null,
    role text not null check (role in ('admin', 'marketer', 'support', 'analyst')),
    created_at timestamptz not null default now(),
    blocked boolean not null default false
);

create table staff_session (
    token_sha256 bytea primary key,
    staff_id bigint not null references staff_member,
    csrf_token text not null,
    created_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index staff_session_expiry_idx on staff_session (expires_at);
