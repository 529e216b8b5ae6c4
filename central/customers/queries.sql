-- put --
-- A member as head office knows them now.
insert into customer (customer_id, home_store_id, segments, level, card_category, blocked)
values (%(customer_id)s, %(home_store_id)s, %(segments)s, %(level)s, %(card_category)s, %(blocked)s)
on conflict (customer_id) do update
set home_store_id = excluded.home_store_id, segments = excluded.segments,
    level = excluded.level, card_category = excluded.card_category, blocked = excluded.blocked;

-- put_card --
-- A card never changes its owner here.
insert into customer_card (card_tag, customer_id) values (%(card_tag)s, %(customer_id)s)
on conflict (card_tag) do nothing;

-- known --
-- Which of these members exist.
select customer_id from customer where customer_id = any(%(ids)s);

-- entries --
-- What shops may know of these members. A phone that several have is none's in the shops.
select c.customer_id, c.segments, c.level, c.card_category, c.blocked, a.owner as merged_into,
    case when a.owner is null then
        (select coalesce(array_agg(k.card_tag order by k.card_tag), '{}') from customer_card k
         where k.customer_id = c.customer_id
            or k.customer_id in (select alias from owner_alias where owner = c.customer_id))
        || (select coalesce(array_agg(p.phone_tag), '{}') from customer_phone p
            where p.customer_id = c.customer_id and not exists (
                select 1 from customer_phone o
                where o.phone_hash = p.phone_hash and o.customer_id <> p.customer_id
                    and not exists (
                        select 1 from owner_alias x
                        where x.alias = o.customer_id and x.owner = c.customer_id)))
        else '{}' end as tags
from customer c left join owner_alias a on a.alias = c.customer_id
where c.customer_id = any(%(ids)s);
