-- Coupons that are one customer's own.

alter table coupon add column customer_id text references customer;
create index coupon_customer_idx on coupon (customer_id) where customer_id is not null;
