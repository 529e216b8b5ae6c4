-- budgets_lock --
-- Budgets are set by one at a time.
select pg_advisory_xact_lock(7305811);

-- budgets --
-- What everybody together may use of promotions; 0: of one that is no longer in force.
select promotion, asset, amount, excess from promotion_budget order by promotion, asset;

-- budget --
-- What everybody together may use of one promotion.
select amount from promotion_budget where promotion = %(promotion)s and asset = %(asset)s;

-- put_budgets --
-- The limits of the programme in force.
insert into promotion_budget (promotion, asset, amount, version, excess)
select * from unnest(%(promotions)s::text[], %(assets)s::text[], %(amounts)s::bigint[],
                     %(versions)s::bigint[], %(excesses)s::bigint[])
on conflict (promotion, asset) do update
set amount = excluded.amount, version = excluded.version, excess = excluded.excess;

-- budgets_with_excess --
-- Budgets that were lowered while more of them was lent.
select promotion, asset, amount, version from promotion_budget
where excess > 0 order by promotion, asset limit %(limit)s;

-- budgets_in_force --
-- Budgets of which stores should have something, a bounded number after the last one seen.
select promotion, asset, amount, version from promotion_budget
where amount > 0 and (promotion, asset) > (%(promotion)s, %(asset)s)
order by promotion, asset limit %(limit)s;

-- traffic_lately --
-- How many receipts each store had in the last days.
select store_id, sum(receipts)::bigint as receipts from store_traffic
where business_date > current_date - %(days)s::integer group by store_id;

-- count_traffic --
-- How many receipts each store had on each of the last days.
insert into store_traffic (store_id, business_date, receipts)
select s.store_id, day.day::date, counted.receipts
from store s
cross join generate_series(%(first)s::date, %(last)s::date, interval '1 day') as day (day)
cross join lateral (
    select count(*) as receipts from receipt r
    where r.store_id = s.store_id and r.committed_at >= day.day::date
      and r.committed_at < day.day::date + 1
) counted
where counted.receipts > 0
on conflict (store_id, business_date) do update set receipts = excluded.receipts;

-- forget_traffic --
-- Days that no forecast looks at.
delete from store_traffic where business_date < %(before)s::date;

-- in_touch --
-- Which of these agents have asked for news just now.
select edge_id from feed_reader
where edge_id = any(%(edge_ids)s::bigint[])
  and seen_at > now() - make_interval(secs => %(seconds)s);

-- names --
-- Which of these are customers, and under which name they are counted now. One whom a shop made
-- may not be here yet, and is counted under the shop's name until then.
select asked.name, coalesce(a.owner, asked.name) as owner
from unnest(%(names)s::text[]) as asked (name)
left join owner_alias a on a.alias = asked.name
left join customer c on c.customer_id = coalesce(a.owner, asked.name)
where c.customer_id is not null or asked.name ~ '^new-[0-9]{1,19}-[0-9a-f]{20}$';

-- lock_counts --
-- Two edges may tell of one customer at the same moment, and the later has to see the earlier.
select pg_advisory_xact_lock(7305812, place)
from (select distinct hashtext(name) as place from unnest(%(names)s::text[]) as name
      order by place) as places;

-- add_uses --
-- Customers used more of promotions. The rows are locked in the order given.
insert into customer_use (customer_id, promotion, measure, period, edge_id, amount, last_date)
select * from unnest(%(customers)s::text[], %(promotions)s::text[], %(measures)s::text[],
                     %(periods)s::text[], %(edges)s::bigint[], %(amounts)s::bigint[],
                     %(last_dates)s::date[])
on conflict (customer_id, promotion, measure, period, edge_id) do update
set amount = customer_use.amount + excluded.amount
returning customer_id, promotion, measure, period, edge_id, amount, told;

-- used --
-- What customers used of promotions at all edges.
select u.customer_id, u.promotion, u.measure, u.period, sum(u.amount)::bigint as amount
from unnest(%(customers)s::text[], %(promotions)s::text[], %(measures)s::text[],
            %(periods)s::text[]) as k (customer_id, promotion, measure, period)
join customer_use u using (customer_id, promotion, measure, period)
group by u.customer_id, u.promotion, u.measure, u.period;

-- uses_of --
-- All counts of one customer.
select customer_id, promotion, measure, period, edge_id, amount, last_date, told
from customer_use where customer_id = %(customer_id)s
order by promotion, measure, period, edge_id for update;

-- drop_uses --
-- A customer who is another now.
delete from customer_use where customer_id = %(customer_id)s;

-- untell_uses --
-- Counts of periods that are over: no shop asks for them any more.
with due as (
    select customer_id, promotion, measure, period, edge_id from customer_use
    where told and last_date < %(before)s::date
    order by last_date limit %(limit)s for update skip locked
)
update customer_use u set told = false from due
where (u.customer_id, u.promotion, u.measure, u.period, u.edge_id)
    = (due.customer_id, due.promotion, due.measure, due.period, due.edge_id)
returning u.customer_id, u.promotion, u.measure, u.period, u.edge_id;

-- forget_uses --
-- Counts of periods long past.
delete from customer_use where (customer_id, promotion, measure, period, edge_id) in (
    select customer_id, promotion, measure, period, edge_id from customer_use
    where not told and last_date < %(before)s::date order by last_date limit %(limit)s);

-- drop_customer_limits --
-- The programme in force is another.
delete from customer_limit;

-- put_customer_limits --
-- What one customer may use of promotions in a period.
insert into customer_limit (promotion, per, measure, amount)
select * from unnest(%(promotions)s::text[], %(pers)s::text[], %(measures)s::text[],
                     %(amounts)s::bigint[]);

-- customer_limit --
-- What one customer may use of a promotion.
select per, amount from customer_limit
where promotion = %(promotion)s and measure = %(measure)s;

-- counted --
-- Who a customer is now, and what they used of a promotion by all that was heard.
select heir.owner, coalesce(sum(u.amount), 0)::bigint as amount
from (select coalesce((select owner from owner_alias where alias = %(owner)s), %(owner)s) as owner)
    as heir
left join customer_use u on u.customer_id = heir.owner and u.promotion = %(promotion)s
    and u.measure = %(measure)s and u.period = %(period)s
group by heir.owner;

-- budgets_report --
-- Every budget: what everybody may use, what was used by right, what is free at head office, what
-- stores hold, and of that what agents hold who were not heard of for a day.
select b.promotion, b.asset, b.amount,
       coalesce(f.funded, 0) - coalesce(a.balance, 0) - coalesce(l.held, 0) as used,
       coalesce(a.balance, 0) as free, coalesce(l.held, 0) as held, coalesce(l.silent, 0) as silent
from promotion_budget b
left join lateral (
    select sum(amount)::bigint as funded from ledger_lot
    where owner = b.promotion and asset = b.asset
) f on true
left join ledger_account a on a.kind = 'avail' and a.owner = b.promotion and a.asset = b.asset
left join lateral (
    select sum(rest)::bigint as held,
           sum(rest) filter (where last_contact_at is null
                             or last_contact_at < now() - interval '1 day')::bigint as silent
    from (
        select l.granted - l.spent_amount + l.short_amount - l.returned_amount as rest,
               e.last_contact_at
        from lease l left join edge e using (edge_id)
        where l.owner = b.promotion and l.asset = b.asset
          and l.state in ('open', 'recalled', 'frozen')
    ) live
) l on true
order by b.promotion, b.asset;
