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
