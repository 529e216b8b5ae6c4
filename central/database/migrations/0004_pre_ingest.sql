-- Taking records in by batches: a receipt is one row with its lines in arrays, a batch is one row
-- with the hashes of its records, and every other fact has a row under its uid.

-- receipts: no row a line, no trigger a row (the stream's agent and store are checked before)
alter table receipt
    drop constraint receipt_edge_id_fkey,
    drop constraint receipt_store_id_fkey,
    alter column receipt drop not null,
    alter column answer drop not null,
    add column body bytea,
    add column line_numbers bigint[] not null default '{}',
    add column line_skus text[] not null default '{}',
    add column line_qty_milli bigint[] not null default '{}',
    add column line_list_minor bigint[] not null default '{}',
    add column line_discount_minor bigint[] not null default '{}',
    add column line_net_minor bigint[] not null default '{}',
    add column line_points_spent_minor bigint[] not null default '{}',
    add column line_to_pay_minor bigint[] not null default '{}',
    add column applied_lines bigint[] not null default '{}',
    add column applied_promotions text[] not null default '{}',
    add column applied_discount_minor bigint[] not null default '{}',
    add column applied_qty_milli bigint[] not null default '{}',
    add check (body is not null or (receipt is not null and answer is not null));
alter table receipt alter column body set storage external;

update receipt r set
    line_numbers = l.numbers, line_skus = l.skus, line_qty_milli = l.qty_milli,
    line_list_minor = l.list_minor, line_discount_minor = l.discount_minor,
    line_net_minor = l.net_minor, line_points_spent_minor = l.points_spent_minor,
    line_to_pay_minor = l.to_pay_minor
from (
    select record_uid, array_agg(line::bigint order by line) as numbers,
        array_agg(sku order by line) as skus, array_agg(qty_milli order by line) as qty_milli,
        array_agg(list_minor order by line) as list_minor,
        array_agg(discount_minor order by line) as discount_minor,
        array_agg(net_minor order by line) as net_minor,
        array_agg(points_spent_minor order by line) as points_spent_minor,
        array_agg(to_pay_minor order by line) as to_pay_minor
    from receipt_line group by record_uid
) l where l.record_uid = r.record_uid;
update receipt r set
    applied_lines = a.lines, applied_promotions = a.promotions,
    applied_discount_minor = a.discount_minor, applied_qty_milli = a.qty_milli
from (
    select record_uid, array_agg(line::bigint order by line, promotion_id) as lines,
        array_agg(promotion_id order by line, promotion_id) as promotions,
        array_agg(discount_minor order by line, promotion_id) as discount_minor,
        array_agg(qty_milli order by line, promotion_id) as qty_milli
    from receipt_applied group by record_uid
) a where a.record_uid = r.record_uid;
drop table receipt_applied;
drop table receipt_line;

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

alter table receipt_incident drop constraint receipt_incident_record_uid_fkey;

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
insert into stream_run (edge_id, lane, epoch, last_seq, first_seq, hashes, uids)
select edge_id, lane, epoch, seq, seq, hash, uid from stream_record;
drop table stream_record;

-- the same bytes refused for the same reason are one piece of evidence
delete from quarantine q using quarantine earlier
where earlier.quarantine_id < q.quarantine_id and earlier.edge_id = q.edge_id
  and earlier.lane = q.lane and earlier.epoch = q.epoch and earlier.first_seq = q.first_seq
  and earlier.last_seq = q.last_seq and earlier.reason = q.reason and earlier.data = q.data;
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
