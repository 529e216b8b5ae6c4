-- stores --
-- the panel's stores in a fixed order, so that folding them does not depend on the week
select distinct store_id from read_parquet($transactions) order by store_id

-- products --
-- the assortment sold in the week; fuel-like quantities (thousandths of a unit) mark weighed goods
-- (a few SKUs were sold that the panel does not describe: they have no words)
select t.product_id, p.department, p.product_category, p.product_type, p.brand, p.manufacturer_id,
       coalesce(p.package_size, ''), max(t.quantity) > $pieces_max as by_measure
from read_parquet($transactions) t left join read_parquet($products) p using (product_id)
where t.week = $week
group by all
order by t.product_id

-- lines --
-- what was sold in the week: amounts in cents at the shelf price, before any discount
select t.basket_id, t.household_id, t.store_id, t.transaction_timestamp, t.product_id,
       cast(t.quantity as bigint) as quantity,
       cast(round((t.sales_value + t.retail_disc + t.coupon_match_disc) * 100) as bigint) as cents
from read_parquet($transactions) t
where t.week = $week
order by t.transaction_timestamp, t.basket_id, t.product_id

-- members --
-- every household: what it spent before the week (cents), and where it shops most
with visits as (
    select household_id, store_id, count(distinct basket_id) as baskets
    from read_parquet($transactions) group by all
), homes as (
    select household_id, arg_max(store_id, baskets * 10000 - store_id) as home
    from visits group by household_id
), spending as (
    select household_id,
           cast(round(coalesce(sum(sales_value) filter (week < $week), 0) * 100) as bigint) as cents
    from read_parquet($transactions) group by household_id
)
select household_id, home, cents from homes join spending using (household_id)
order by household_id

-- memberships --
-- which households each campaign running in the week was sent to
select c.household_id, c.campaign_id
from read_parquet($campaigns) c join read_parquet($descriptions) d using (campaign_id)
where d.start_date <= $last_day and d.end_date >= $first_day
order by c.household_id, c.campaign_id

-- coupons --
-- coupons of the campaigns running in the week that somebody ever redeemed, with their goods of the week
select c.coupon_upc, c.campaign_id, any_value(d.campaign_type), any_value(d.start_date)::date,
       any_value(d.end_date)::date, list_sort(list(distinct c.product_id)) as product_ids
from read_parquet($coupons) c
join read_parquet($descriptions) d using (campaign_id)
join (select distinct coupon_upc, campaign_id from read_parquet($redemptions)) r
  using (coupon_upc, campaign_id)
where d.start_date <= $last_day and d.end_date >= $first_day
  and c.product_id in (select product_id from read_parquet($transactions) where week = $week)
group by c.coupon_upc, c.campaign_id
order by c.campaign_id, c.coupon_upc

-- redemptions --
-- who used which coupon on which day of the week
select household_id, redemption_date::date, coupon_upc, campaign_id
from read_parquet($redemptions)
where redemption_date >= $first_day and redemption_date <= $last_day
order by all

-- best_sellers --
-- the SKUs bought most often in the week by the piece, with their usual shelf price in cents
select product_id, cast(median((sales_value + retail_disc + coupon_match_disc) * 100 / quantity) as bigint)
from read_parquet($transactions)
where week = $week and quantity between 1 and $pieces_max and sales_value > 0
group by product_id
order by count(*) desc, product_id
limit 12
