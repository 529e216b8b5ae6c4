-- Files that agents without a line had carried here.
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
