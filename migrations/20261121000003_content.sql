-- Content: what the commitments in entries stand for, sealed under one secret per record.
--
-- Nothing here is readable without the firm's master key. Rows are added with their entry, in one transaction, and leave only
-- by disposal. No foreign keys, for the reason given with the ledger.

-- One secret per record, wrapped by the firm's master key. Destroying this row disposes of the record, wherever else its
-- ciphertext may still lie.
create table content.keys (
    record      uuid   not null constraint keys_pkey primary key,
    entry_index bigint not null constraint keys_entry_index check (entry_index >= 0),
    wrapped     bytea  not null constraint keys_wrapped check (octet_length(wrapped) between 32 and 1024)
);

create index keys_entry_index on content.keys using brin (entry_index);

-- The sealed fields of one entry, in one row: a capture has about ten, and a row each would cost more than the entry itself.
-- `select unnest(names), unnest(ciphertexts)` reads like a row each.
create table content.sealed (
    entry_index bigint  not null constraint sealed_pkey primary key constraint sealed_entry_index check (entry_index >= 0),
    record      uuid    not null,
    names       text[]  not null,
    ciphertexts bytea[] not null,
    constraint sealed_pairs check (cardinality(names) = cardinality(ciphertexts) and cardinality(names) > 0)
) with (toast_tuple_target = 8160);
-- Ciphertext does not compress. Rows of up to a page stay in the table: one insert instead of one per two kilobytes.
alter table content.sealed alter column ciphertexts set storage external;
create index sealed_record on content.sealed (record);

-- Fields too large for a row: which file of the blob store holds them. Never shared between records.
create table content.blobs (
    digest      bytea  not null constraint blobs_pkey primary key constraint blobs_digest check (octet_length(digest) = 32),
    entry_index bigint not null constraint blobs_index check (entry_index >= 0),
    record      uuid   not null,
    name        text   not null,
    size        bigint not null constraint blobs_size check (size >= 0)
);
create index blobs_record on content.blobs (record);
create index blobs_entry_index on content.blobs (entry_index);

-- A deleted row lies in its page until it is vacuumed away. Rows here are deleted by disposals alone, so the server's own vacuum
-- comes after each of them and not when a fifth of the table has gone: the service has no right to vacuum.
alter table content.keys set (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);
alter table content.sealed set (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
                                toast.autovacuum_vacuum_threshold = 0, toast.autovacuum_vacuum_scale_factor = 0);
alter table content.blobs set (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0);

-- Records whose content was destroyed, and by which entry: how verification tells disposal from loss.
create table content.disposals (
    record      uuid   not null constraint disposals_pkey primary key,
    entry_index bigint not null
);

-- Blob files that disposal has doomed and that still have to be deleted. The key is gone already, so this is housekeeping that
-- can stop and go on at any time.
create table content.sweeps (
    digest      bytea  not null constraint sweeps_pkey primary key,
    entry_index bigint not null
);

-- How long everything is kept at least, unless a longer rule applies. The owner alone changes it. `ledger.dispose` obeys it
-- even if whoever asks has been talked into something shorter.
create table content.retention (
    only_row boolean  not null default true constraint retention_pkey primary key constraint retention_only_row check (only_row),
    minimum  interval not null
);
insert into content.retention (minimum) values ('6 years');

-- What was in force before each change, and below which entry: so that an old disposal is held against the rule of its time. The
-- head is locked, so that a disposal under way is on the side of the rule that it obeyed.
create table content.retention_changes (
    number      bigint   not null generated always as identity constraint retention_changes_pkey primary key,
    until_index bigint   not null,
    minimum     interval not null
);
create function content.note_retention() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    insert into content.retention_changes (until_index, minimum)
    select h.size, old.minimum from ledger.head h where h.only_row for update;
    return null;
end
$$;
create trigger changes_are_noted after update on content.retention for each row execute function content.note_retention();
create trigger append_only_rows before delete on content.retention for each row execute function ledger.refuse_change();
create trigger append_only_rows before update or delete on content.retention_changes
    for each row execute function ledger.refuse_change();
create trigger append_only_table before truncate on content.retention_changes
    for each statement execute function ledger.refuse_change();

-- Refuses unless `ledger.dispose` is at work: it runs as the owner and says so for the length of its transaction.
create function content.refuse_unless_disposing() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'DELETE'
       and current_setting('muniment.disposing', true) = txid_current()::text
       and current_user = (select pg_get_userbyid(c.relowner) from pg_catalog.pg_class c where c.oid = tg_relid) then
        return old;
    end if;
    raise exception '% is append-only: % is refused', tg_table_schema || '.' || tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation',
              hint = 'records end by disposal (ledger.dispose), never by hand';
end
$$;

do $$
declare
    name text;
begin
    foreach name in array array['keys', 'sealed', 'blobs', 'disposals'] loop
        execute format('create trigger append_only_rows before update or delete on content.%I
                        for each row execute function content.refuse_unless_disposing()', name);
        execute format('create trigger append_only_table before truncate on content.%I
                        for each statement execute function ledger.refuse_change()', name);
    end loop;
end
$$;

grant select on content.keys, content.sealed, content.blobs, content.disposals, content.sweeps, content.retention,
                content.retention_changes
    to muniment_append, muniment_project;
