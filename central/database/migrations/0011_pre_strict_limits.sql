-- what one customer may use of promotions in a period, by the programme in force
create table customer_limit (
    promotion text not null,
    per text not null,
    measure text not null,
    amount bigint not null check (amount >= 0),
    primary key (promotion, measure)
);

alter table store add column strict_limits boolean not null default false;
