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
