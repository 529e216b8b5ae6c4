-- put --
-- A product as head office knows it now.
insert into product (sku, name, category, brand, attributes, flags, weighed, min_price_minor, max_discount_ppm)
values (%(sku)s, %(name)s, %(category)s, %(brand)s, %(attributes)s, %(flags)s, %(weighed)s, %(min_price_minor)s, %(max_discount_ppm)s)
on conflict (sku) do update
set name = excluded.name, category = excluded.category, brand = excluded.brand,
    attributes = excluded.attributes, flags = excluded.flags, weighed = excluded.weighed,
    min_price_minor = excluded.min_price_minor, max_discount_ppm = excluded.max_discount_ppm;

-- names --
-- The names of some products.
select sku, name from product where sku = any(%(skus)s);
