-- put_store --
-- A store as head office knows it now.
insert into store (
    store_id, name, timezone, currency, strict_limits, unproven_points_max
) values (
    %(store_id)s, %(name)s, %(timezone)s, %(currency)s, %(strict_limits)s,
    %(unproven_points_max_centi)s
)
on conflict (store_id) do update
set name = excluded.name, timezone = excluded.timezone, currency = excluded.currency,
    strict_limits = excluded.strict_limits, unproven_points_max = excluded.unproven_points_max;

-- store_known --
-- Whether a store exists.
select 1 as known from store where store_id = %(store_id)s;

-- put_token --
-- A one-time right to enrol.
insert into enrol_token (token_sha256, store_id, kind, expires_at)
values (%(token_sha256)s, %(store_id)s, %(kind)s, now() + make_interval(secs => %(valid_s)s));

-- token --
-- The token, locked: two enrolments with it wait for each other.
select store_id, kind, expires_at < now() as expired, used_at is not null as used
from enrol_token where token_sha256 = %(token_sha256)s for update;

-- mark_token_used --
-- Spent.
update enrol_token set used_at = now(), used_by = %(edge_id)s where token_sha256 = %(token_sha256)s;

-- mark_token_reused --
-- Somebody tried a spent token: worth an alarm.
update enrol_token set reused_at = now() where token_sha256 = %(token_sha256)s;

-- next_edge_id --
-- Never given twice.
select nextval('edge_id_seq') as edge_id;

-- put_edge --
-- An agent that has just enrolled.
insert into edge (edge_id, store_id, kind, device_public_key, credential_sha256, agent_version)
values (%(edge_id)s, %(store_id)s, %(kind)s, %(device_public_key)s, %(credential_sha256)s, %(agent_version)s);

-- put_head --
-- A stream at its beginning.
insert into stream_head (edge_id, lane, epoch, nonce, hash)
values (%(edge_id)s, %(lane)s, %(epoch)s, %(nonce)s, %(hash)s);

-- edge --
-- Who an agent is, by its number.
select edge_id, store_id, kind, state, credential_sha256 from edge where edge_id = %(edge_id)s;

-- touch --
-- What an agent said of itself.
update edge
set last_contact_at = case
        when %(heard_at_ms)s::bigint is null then now()
        else greatest(to_timestamp(%(heard_at_ms)s::bigint / 1000.0), last_contact_at) end,
    agent_version = %(agent_version)s,
    bundle_version = %(bundle_version)s, bundle_error = %(bundle_error)s,
    queue_depth = %(queue_depth)s,
    oldest_queued_at = to_timestamp(%(oldest_queued_at_ms)s::bigint / 1000.0),
    started_at = to_timestamp(%(started_at_ms)s::bigint / 1000.0), components = %(components)s
where edge_id = %(edge_id)s;

-- heads --
-- How far central has every stream of an agent, in its newest epoch.
select distinct on (lane) lane, epoch, seq, hash
from stream_head where edge_id = %(edge_id)s order by lane, epoch desc;

-- list_edges --
-- Every agent with its store and what it last said.
select e.edge_id, e.store_id, s.name as store_name, s.timezone, e.kind, e.state, e.enrolled_at,
       e.agent_version, e.last_contact_at, e.bundle_version, e.bundle_error, e.queue_depth,
       e.oldest_queued_at, e.started_at, e.components,
       coalesce(e.last_contact_at > now() - make_interval(secs => %(online_s)s), false) as online
from edge e join store s using (store_id)
order by e.store_id, e.edge_id;

-- peers --
-- The agents of a store, as they know each other.
select edge_id, kind, device_public_key, state from edge where store_id = %(store_id)s order by edge_id;

-- may_carry --
-- Whether one agent is the hub of the other's store, and neither was taken out of service.
select 1 as carries from edge hub join edge till using (store_id)
where hub.edge_id = %(hub_id)s and hub.kind = 'hub' and hub.state = 'active'
  and till.edge_id = %(till_id)s and till.state = 'active';
