-- Goods that are set aside for a return which is being made, until its record is here.
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
