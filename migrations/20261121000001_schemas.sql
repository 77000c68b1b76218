-- Four schemas, by who may change what and by what a backup may leave out.
--
--   ledger      the truth: entries, their streams, the tree's tiles, the signed checkpoints. Never changed, only added to.
--   content     what the commitments in entries stand for, sealed: wrapped record keys, fields, the catalogue of blobs.
--               Added to; taken away only by `ledger.dispose`.
--   people      secrets by which people and devices are known: password and token hashes. Never in the ledger, and so not
--               rebuildable from it.
--   projection  readable copies for search and lists. Dropped and made again by `muniment rebuild`; an evidence backup
--               leaves this schema out, because it is the only one that holds text in the clear.
--
-- Whoever runs the migrations owns everything. The running service never works as the owner: it takes one of three roles,
-- which `muniment migrate` makes beforehand (roles belong to the whole server, not to one database):
--
--   muniment_append   select and insert on ledger and content, update on the one-row head
--   muniment_publish  select on the ledger, insert on tiles and checkpoints
--   muniment_project  select on ledger and content, anything on projection
--
-- Migrations are forward only and are never edited once released.

create schema ledger;
create schema content;
create schema people;
create schema projection;

revoke all on schema ledger, content, people, projection from public;

grant usage on schema ledger to muniment_append, muniment_publish, muniment_project;
grant usage on schema content to muniment_append, muniment_project;
grant usage on schema people to muniment_append, muniment_project;
grant usage on schema projection to muniment_append, muniment_project;

-- Refuses, for a row trigger on update and delete and for a statement trigger on truncate. The roles lack these rights
-- anyway; the triggers are for the owner's slip of the hand. A superuser can switch triggers off, which is what the chain
-- and the checkpoints held outside are for.
create function ledger.refuse_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception '% is append-only: % is refused', tg_table_schema || '.' || tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation',
              hint = 'records end by disposal (ledger.dispose), never by hand';
end
$$;
