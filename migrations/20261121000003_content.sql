-- Content: what the commitments in entries stand for, sealed under one secret per record.
--
-- Nothing here is readable without the firm's master key. Rows are added with their entry, in one transaction, and leave only
-- by disposal. No foreign keys, for the reason given with the ledger.

-- One secret per record, wrapped by the firm's master key. Destroying this row disposes of the record, wherever else its
-- ciphertext may still lie.
create table content.keys (
    record      uuid   not null constraint keys_pkey primary key,
    entry_index bigint not null,
    wrapped     bytea  not null constraint keys_wrapped check (octet_length(wrapped) between 32 and 1024)
);

-- The sealed fields of one entry, in one row: a capture has about ten, and a row each would cost more than the entry itself.
-- `select unnest(names), unnest(ciphertexts)` reads like a row each.
create table content.sealed (
    entry_index bigint  not null constraint sealed_pkey primary key,
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
    entry_index bigint not null,
    record      uuid   not null,
    name        text   not null,
    size        bigint not null constraint blobs_size check (size >= 0)
);
create index blobs_record on content.blobs (record);
create index blobs_entry_index on content.blobs (entry_index);

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

-- Refuses unless `ledger.dispose` is at work: it runs as the owner and says so for the length of its transaction.
create function content.refuse_unless_disposing() returns trigger
language plpgsql as $$
begin
    if tg_op = 'DELETE'
       and current_setting('muniment.disposing', true) = txid_current()::text
       and current_user = (select pg_get_userbyid(relowner) from pg_class where oid = tg_relid) then
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

-- Nothing may be added for a record that was disposed of: a key that comes back would undo the disposal.
-- As with the ledger, rows are looked up one by one, whatever the tables looked like when the plan was made.
create function content.refuse_disposed() returns trigger
language plpgsql set enable_seqscan = off as $$
begin
    if exists (select from added a
                where (select d.record from content.disposals d where d.record = a.record) is not null) then
        raise exception 'the record was disposed of' using errcode = 'restrict_violation';
    end if;
    return null;
end
$$;
create trigger disposed_stay_disposed after insert on content.keys
    referencing new table as added for each statement execute function content.refuse_disposed();

-- Content without its record's key could never be read: refused, so that it cannot happen by mistake. A record that was
-- disposed of has no key any more, so nothing can be added to it either.
create function content.refuse_keyless() returns trigger
language plpgsql set enable_seqscan = off as $$
begin
    if exists (select from added a
                where (select k.record from content.keys k where k.record = a.record) is null) then
        raise exception 'the record has no key' using errcode = 'restrict_violation';
    end if;
    return null;
end
$$;
create trigger content_has_its_key after insert on content.sealed
    referencing new table as added for each statement execute function content.refuse_keyless();
create trigger content_has_its_key after insert on content.blobs
    referencing new table as added for each statement execute function content.refuse_keyless();

grant select on content.keys, content.sealed, content.blobs, content.disposals, content.sweeps, content.retention
    to muniment_append, muniment_project;
grant insert on content.keys, content.sealed, content.blobs to muniment_append;
