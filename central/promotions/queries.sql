-- lock --
-- One publisher at a time.
select pg_advisory_xact_lock(7305803);

-- latest --
-- The bundle in force.
select version, programme, sha256, bytes, document, published_at, published_by
from bundle order by version desc limit 1;

-- get --
-- One bundle.
select version, programme, sha256, bytes, document, published_at, published_by
from bundle where version = %(version)s;

-- list --
-- Every bundle, newest first, without its bytes.
select version, programme, sha256, length(bytes) as size_bytes, published_at, published_by
from bundle order by version desc limit 100;

-- put --
-- A bundle is never changed.
insert into bundle (version, programme, sha256, bytes, document, published_by)
values (%(version)s, %(programme)s, %(sha256)s, %(bytes)s, %(document)s, %(published_by)s);
