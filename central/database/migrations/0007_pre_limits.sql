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
