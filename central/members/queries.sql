-- lock_phone --
-- Two registrations of one phone wait for each other.
select pg_advisory_xact_lock(hashtextextended('member phone ' || encode(%(phone_hash)s, 'hex'), 0));

-- owners_of_phone --
-- Whose this phone is, the eldest first; a merged member is who it was merged into.
select coalesce(a.owner, p.customer_id) as customer_id, min(c.created_at) as since
from customer_phone p
join customer c using (customer_id)
left join owner_alias a on a.alias = p.customer_id
where p.phone_hash = %(phone_hash)s
group by 1 order by 2, 1 limit %(limit)s;

-- owner_of_card --
-- Whose this card is.
select coalesce(a.owner, k.customer_id) as customer_id
from customer_card k left join owner_alias a on a.alias = k.customer_id
where k.card_tag = %(card_tag)s;

-- owner_of --
-- Who this name stands for now.
select coalesce((select owner from owner_alias where alias = %(customer_id)s), %(customer_id)s)
    as customer_id;

-- shown --
-- What a cashier may see of members beside what shops know.
select c.customer_id, right(p.phone, 2) as phone_end, c.created_at::date::text as registered_on
from customer c left join customer_phone p using (customer_id)
where c.customer_id = any(%(ids)s);

-- put_phone --
-- A member's phone and what they agreed to.
insert into customer_phone (customer_id, phone, phone_hash, phone_tag, consents, edge_id)
values (%(customer_id)s, %(phone)s, %(phone_hash)s, %(phone_tag)s, %(consents)s, %(edge_id)s)
on conflict (customer_id) do update
set phone = excluded.phone, phone_hash = excluded.phone_hash, phone_tag = excluded.phone_tag,
    consents = excluded.consents;

-- members_of_phones --
-- Everybody who has one of these phones.
select customer_id from customer_phone where phone_hash = any(%(phone_hashes)s);

-- put_registration --
-- What a shop told of a new member, once.
insert into registration (record_uid, edge_id, body) values (%(record_uid)s, %(edge_id)s, %(body)s)
on conflict (record_uid) do nothing;

-- registration --
-- One of them, locked.
select record_uid, edge_id, body, owner, is_new, card_taken, settled_at is not null as settled
from registration where record_uid = %(record_uid)s for update;

-- unsettled --
-- Those on which nothing was decided yet, the eldest first.
select record_uid from registration where settled_at is null
order by received_at, record_uid limit %(limit)s;

-- settle --
-- Decided; the phone in it is kept with the member now.
update registration set settled_at = now(), owner = %(owner)s, is_new = %(is_new)s,
    card_taken = %(card_taken)s, failure = %(failure)s, body = ''
where record_uid = %(record_uid)s;

-- name --
-- Whether a shop's name for a new member is in use already, and was given in the store that tells of
-- it: nobody makes himself the member of another shop's newcomer.
select exists (select 1 from customer where customer_id = %(customer_id)s)
        or exists (select 1 from owner_alias where alias = %(customer_id)s) as taken,
    exists (
        select 1 from edge given join edge teller using (store_id)
        where given.edge_id = %(given_by)s and teller.edge_id = %(told_by)s
    ) as own;
