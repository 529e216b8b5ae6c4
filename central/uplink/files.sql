-- edge --
-- Who asks by file, and when it was heard last.
select e.store_id, e.state, e.device_public_key,
       (extract(epoch from e.last_contact_at) * 1000)::bigint as heard_at_ms
from edge e where e.edge_id = %(edge_id)s;

-- note --
-- A file was taken in, once more perhaps.
insert into edge_file (edge_id, file_id, made_at_ms, records, size_bytes)
values (%(edge_id)s, %(file_id)s, %(made_at_ms)s, %(records)s, %(size_bytes)s)
on conflict (edge_id, file_id) do update set taken_at = now();

-- forget --
-- Older files of an agent than are listed.
delete from edge_file f using (
    select file_id from edge_file where edge_id = %(edge_id)s
    order by made_at_ms desc, file_id offset %(keep)s
) old
where f.edge_id = %(edge_id)s and f.file_id = old.file_id;

-- list --
-- The files that came last.
select f.edge_id, e.store_id, s.name as store_name, s.timezone, f.made_at_ms, f.taken_at, f.records,
       f.size_bytes
from edge_file f join edge e using (edge_id) join store s using (store_id)
order by f.taken_at desc, f.edge_id, f.file_id limit %(count)s;
