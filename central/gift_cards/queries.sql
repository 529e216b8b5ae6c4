-- put_key_check --
-- What the key of this database's cards makes of a fixed text; the first key stays.
insert into gift_card_key (key_check) values (%(key_check)s) on conflict do nothing;

-- key_check --
-- The same, to compare.
select key_check from gift_card_key;

-- add_cards --
-- New cards; numbers that are registered already are left out.
insert into gift_card (card_tag, currency, pin_hash, face_minor_min, face_minor_max, valid_days,
    last_date, expires_on, whole_only)
select card_tag, currency, pin_hash, face_minor_min, face_minor_max, valid_days, last_date,
       last_date, whole_only
from unnest(%(card_tag)s::bytea[], %(currency)s::text[], %(pin_hash)s::text[],
    %(face_minor_min)s::bigint[], %(face_minor_max)s::bigint[], %(valid_days)s::integer[],
    %(last_date)s::date[], %(whole_only)s::boolean[])
    as new(card_tag, currency, pin_hash, face_minor_min, face_minor_max, valid_days, last_date,
        whole_only)
on conflict (card_tag) do nothing;

-- known_tags --
-- Which of these are registered.
select card_tag from gift_card where card_tag = any(%(tags)s::bytea[]);

-- card --
-- One card.
select card_tag, currency, pin_hash, face_minor_min, face_minor_max, valid_days,
       expires_on::text as expires_on, whole_only, active
from gift_card where card_tag = %(card_tag)s;

-- lock_card --
-- One card; whoever else wants to change it waits.
select card_tag, currency, pin_hash, face_minor_min, face_minor_max, valid_days,
       expires_on::text as expires_on, whole_only, active
from gift_card where card_tag = %(card_tag)s for update;

-- mark_sold --
-- The card is sold, and its last day known.
update gift_card
set active = true,
    expires_on = least(last_date, %(today)s::date + valid_days)
where card_tag = %(card_tag)s
returning expires_on::text as expires_on;

-- mark_unsold --
-- The sale was undone: the card lies in the shop again.
update gift_card set active = false, expires_on = last_date where card_tag = %(card_tag)s
returning expires_on::text as expires_on;

-- place --
-- A store's currency, and what day it is there.
select currency,
       (to_timestamp(%(now_ms)s / 1000.0) at time zone timezone)::date::text as today
from store where store_id = %(store_id)s;

-- operation --
-- What a store has asked for under this id.
select action, card_tag, body_sha256, amount_minor, reply, reverse_reply
from gift_card_operation where store_id = %(store_id)s and operation_id = %(operation_id)s;

-- add_operation --
-- Something was done, or will never be done; the first writer wins.
insert into gift_card_operation (store_id, operation_id, edge_id, action, card_tag, body_sha256,
    receipt_id, amount_minor, reply, reverse_reply, done_at, reversed_at)
values (%(store_id)s, %(operation_id)s, %(edge_id)s, %(action)s, %(card_tag)s, %(body_sha256)s,
    %(receipt_id)s, %(amount_minor)s, %(reply)s, %(reverse_reply)s,
    to_timestamp(%(now_ms)s / 1000.0),
    case when %(reverse_reply)s::bytea is null then null
         else to_timestamp(%(now_ms)s / 1000.0) end)
on conflict do nothing;

-- mark_reversed --
-- It was undone.
update gift_card_operation
set reverse_reply = %(reverse_reply)s, reversed_at = to_timestamp(%(now_ms)s / 1000.0)
where store_id = %(store_id)s and operation_id = %(operation_id)s and reverse_reply is null;

-- lock_guesses --
-- The counts of these subjects, in order, so that two askers never wait for each other in turn.
select subject, count, (extract(epoch from since) * 1000)::bigint as since_ms,
       (extract(epoch from wait_until) * 1000)::bigint as wait_until_ms
from gift_card_guess where subject = any(%(subjects)s::text[]) order by subject for update;

-- ensure_guesses --
-- A row to lock for each of these.
insert into gift_card_guess (subject, count, since, wait_until)
select subject, 0, to_timestamp(0), to_timestamp(0)
from unnest(%(subjects)s::text[]) as new(subject) order by subject on conflict do nothing;

-- put_guesses --
-- How a subject's guesses stand now.
update gift_card_guess
set count = %(count)s, since = to_timestamp(%(since_ms)s / 1000.0),
    wait_until = to_timestamp(%(wait_until_ms)s / 1000.0)
where subject = %(subject)s;

-- audit --
-- Cards that hold something else than what their operations say, and what all cards hold together.
with told as (
    select card_tag, sum(case action when 'activate' then amount_minor else -amount_minor end)
        as balance
    from gift_card_operation where reverse_reply is null and card_tag is not null group by card_tag
), held as (
    select owner, sum(balance) as balance
    from ledger_account
    where asset like 'gift:%%' and kind in ('avail', 'held', 'pending', 'debt')
    group by owner
)
select count(*) filter (where coalesce(t.balance, 0) <> coalesce(h.balance, 0))
           as wrong_gift_cards,
       coalesce(sum(h.balance), 0)::bigint as gift_cards_minor
from gift_card c
left join told t using (card_tag)
full join held h on h.owner = encode(c.card_tag, 'hex');
