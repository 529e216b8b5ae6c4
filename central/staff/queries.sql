-- put_member --
-- A member of staff, or a new password and role for one.
insert into staff_member (login, password_hash, role)
values (%(login)s, %(password_hash)s, %(role)s)
on conflict (login) do update
set password_hash = excluded.password_hash, role = excluded.role;

-- end_sessions_of --
-- A new password ends what the old one opened.
delete from staff_session
where staff_id = (select staff_id from staff_member where login = %(login)s);

-- member --
-- Who signs in by that name.
select staff_id, password_hash, blocked from staff_member where login = %(login)s;

-- put_session --
-- A sign-in; only the token's hash is kept.
insert into staff_session (token_sha256, staff_id, csrf_token, expires_at)
values (%(token_sha256)s, %(staff_id)s, %(csrf_token)s,
        now() + make_interval(secs => %(valid_s)s));

-- session --
-- The session of a token while it is good and its owner is not blocked.
select m.staff_id, m.login, m.role, s.csrf_token
from staff_session s join staff_member m using (staff_id)
where s.token_sha256 = %(token_sha256)s and s.expires_at > now() and not m.blocked;

-- end_session --
-- Signed out.
delete from staff_session where token_sha256 = %(token_sha256)s;

-- sweep_sessions --
-- Forget what has run out.
delete from staff_session where expires_at <= now();
