-- visit --
-- All that a loan may depend on, in one look that locks nothing: the agent that asks (unless its
-- money lane is frozen), whether there is such a member, what is free, and every live lease, a row
-- each. What has been merged is one owner.
with heir as (
    select coalesce(
        (select owner from owner_alias where alias = %(owner)s), %(owner)s
    ) as owner
), names as (
    select owner from heir
    union
    select a.alias from owner_alias a join heir using (owner)
), held as (
    select l.* from lease l join names using (owner)
    where l.asset = %(asset)s and l.state in ('open', 'recalled', 'frozen')
)
select heir.owner as heir, e.store_id as holder_store_id, h.epoch as holder_epoch,
       exists (select 1 from customer where customer_id = %(owner)s) as is_member,
       coalesce((
           select balance from ledger_account
           where kind = 'avail' and owner = heir.owner and asset = %(asset)s
       ), 0) as free,
       held.lease_id, held.owner, held.asset, held.edge_id, held.epoch, held.store_id, held.granted,
       held.grants, held.quota,
       (extract(epoch from held.spend_until) * 1000)::bigint as spend_until_ms, held.state,
       held.spent_count, held.spent_amount, held.short_amount, held.returned_amount,
       held.close_count, held.close_amount,
       (extract(epoch from held.frozen_at) * 1000)::bigint as frozen_at_ms
from heir
left join edge e on e.edge_id = %(edge_id)s and e.state = 'active'
left join lateral (
    select epoch, state from stream_head
    where edge_id = e.edge_id and lane = 0 order by epoch desc limit 1
) h on h.state = 'open'
left join held on true;
