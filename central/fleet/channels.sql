-- put_channel --
-- A channel sells for a store under this token; the one before is worth nothing from now on.
insert into channel (channel_id, store_id, token_sha256)
values (%(channel_id)s, %(store_id)s, %(token_sha256)s)
on conflict (channel_id) do update
set store_id = excluded.store_id, token_sha256 = excluded.token_sha256, revoked_at = null;

-- revoke_channel --
-- A channel may ask for nothing any more.
update channel set revoked_at = now() where channel_id = %(channel_id)s and revoked_at is null;

-- channel --
-- The channel that has this token.
select channel_id, store_id from channel
where token_sha256 = %(token_sha256)s and revoked_at is null;
