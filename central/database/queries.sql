-- create_journal --
-- Where the names of applied migrations are kept.
create table if not exists schema_migration (
    name text primary key,
    applied_at timestamptz not null default now()
);

-- lock_migrations --
-- One migrator at a time.
select pg_advisory_xact_lock(7305801);

-- applied --
-- The migrations this database has had.
select name from schema_migration;

-- mark_applied --
-- Remember a migration.
insert into schema_migration (name) values (%(name)s);

-- database_exists --
-- Whether a server of our own has its database yet.
select 1 from pg_database where datname = 'kopilka';

-- create_database --
-- Made once, right after initdb.
create database kopilka;
