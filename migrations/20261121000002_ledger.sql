-- The ledger: entries, the head, streams, sources, tiles, checkpoints.
--
-- Every table is keyed by (or can be split by) the entry index, so that a large archive can be partitioned by range of
-- index later. Two things would move then, and nothing else: the unique `id` becomes a table of its own (a unique constraint
-- of a partitioned table must contain the partition key), and nothing refers to entries by foreign key already, because a
-- foreign key costs a lookup per row on the one write path and adds nothing to what verification checks from the bytes.

create table ledger.entries (
    index bigint not null constraint entries_pkey primary key constraint entries_index check (index >= 0),
    -- Made by whoever asks for the append: what makes a repeated append harmless.
    id    uuid   not null constraint entries_id unique,
    -- SHA-256(0x00 || body): chain link of the next entry and leaf of the Merkle tree.
    leaf  bytea  not null constraint entries_leaf check (octet_length(leaf) = 32),
    -- The exact bytes that are hashed (RFC 8785 JSON). bytea and not json, because what is hashed is bytes.
    body  bytea  not null constraint entries_body check (octet_length(body) between 2 and 65535)
);
-- Hashes and digests do not compress; trying costs time on the write path.
alter table ledger.entries alter column body set storage external;

-- One row: how many entries there are and the leaf of the last. Its lock is what puts appends of all processes in order.
-- Room is left on the page so that each update stays on it and leaves no index entry behind.
create table ledger.head (
    only_row boolean not null default true constraint head_pkey primary key constraint head_only_row check (only_row),
    size     bigint not null constraint head_size check (size >= 0),
    leaf     bytea  not null constraint head_leaf check (octet_length(leaf) = 32),
    at       timestamptz not null
) with (fillfactor = 10);
insert into ledger.head (size, leaf, at) values (0, decode(repeat('00', 32), 'hex'), 'epoch');

-- Which entries belong to which custodian (a stream is an advisor), and at which place among that custodian's entries.
-- A copy of what the entries say, kept so that the next place is found without reading them.
create table ledger.stream_entries (
    stream       uuid   not null,
    stream_index bigint not null constraint stream_entries_stream_index check (stream_index >= 0),
    entry_index  bigint not null constraint stream_entries_index check (entry_index >= 0),
    constraint stream_entries_pkey primary key (stream, stream_index)
);
create index stream_entries_entry_index on ledger.stream_entries using brin (entry_index);

-- How far each source (a process with a data directory) has counted: one row per group commit that holds entries of it.
-- Two processes that share a source id by mistake meet in the primary key.
create table ledger.sources (
    source      uuid   not null,
    next_index  bigint not null constraint sources_next_index check (next_index > 0),
    entry_index bigint not null constraint sources_entry_index check (entry_index >= 0),
    constraint sources_pkey primary key (source, next_index)
);
-- Verification reads the rows of one run of entries after another.
create index sources_entry_index on ledger.sources using brin (entry_index);

-- Full tiles of the Merkle tree (C2SP tlog-tiles): 256 hashes of 32 bytes. Partial tiles are never stored: the tail of the
-- tree is read from the leaves themselves.
create table ledger.tiles (
    level  smallint not null constraint tiles_level check (level between 0 and 7),
    index  bigint   not null constraint tiles_index check (index >= 0),
    hashes bytea    not null constraint tiles_hashes check (octet_length(hashes) = 8192),
    constraint tiles_pkey primary key (level, index)
);
alter table ledger.tiles alter column hashes set storage external;

-- Signed checkpoints (C2SP tlog-checkpoint). `number` counts them from 0 without gaps: a publisher inserts the number after
-- the last one it saw, so of two publishers who saw the same last checkpoint only one can publish (compare and swap).
create table ledger.checkpoints (
    number bigint not null constraint checkpoints_pkey primary key constraint checkpoints_number check (number >= 0),
    size   bigint not null constraint checkpoints_size unique constraint checkpoints_size_positive check (size > 0),
    root   bytea  not null constraint checkpoints_root check (octet_length(root) = 32),
    note   text   not null constraint checkpoints_note check (octet_length(note) <= 65535),
    at     timestamptz not null
);

-- Holds in force, read off the `hold` and `release` entries as they are appended (below), so that `ledger.dispose` can
-- decide without trusting anybody's projection. A hold covers records, or every record of a custodian.
create table ledger.holds (
    hold        uuid   not null,
    scope       text   not null constraint holds_scope check (scope in ('record', 'stream')),
    target      uuid   not null,
    entry_index bigint not null,
    constraint holds_pkey primary key (hold, scope, target)
);
create index holds_target on ledger.holds (target);
create index holds_entry_index on ledger.holds using brin (entry_index);
create table ledger.releases (
    hold        uuid   not null constraint releases_pkey primary key,
    entry_index bigint not null
);

-- Records that turned out later to belong to one more custodian, read off the `attribution` entries in the same way: a hold on
-- that custodian covers them too.
create table ledger.attributions (
    record      uuid   not null,
    stream      uuid   not null,
    entry_index bigint not null,
    constraint attributions_pkey primary key (record, stream, entry_index)
);

-- Entries that belong to a record and commit to nothing, read off them in the same way: no content leads to them, and still they
-- keep their record and put it under the holds of their streams.
create table ledger.plain_entries (
    record      uuid   not null,
    entry_index bigint not null,
    constraint plain_entries_pkey primary key (record, entry_index)
);
create index attributions_entry_index on ledger.attributions using brin (entry_index);
create index plain_entries_entry_index on ledger.plain_entries using brin (entry_index);

-- Append-only in depth: nobody changes rows, whoever they are.
do $$
declare
    name text;
begin
    foreach name in array array['entries', 'stream_entries', 'sources', 'tiles', 'checkpoints', 'holds', 'releases',
                                'attributions', 'plain_entries'] loop
        execute format('create trigger append_only_rows before update or delete on ledger.%I
                        for each row execute function ledger.refuse_change()', name);
        execute format('create trigger append_only_table before truncate on ledger.%I
                        for each statement execute function ledger.refuse_change()', name);
    end loop;
end
$$;
create trigger append_only_rows before delete on ledger.head for each row execute function ledger.refuse_change();
create trigger append_only_table before truncate on ledger.head for each statement execute function ledger.refuse_change();

-- Whatever the functions below name is named in full, and their search path ends with temporary tables, so that nobody can put a
-- table of their own in the place of one.

-- The head only moves forward, and only to a row that is there: whoever appends inserts first.
create function ledger.check_head() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
begin
    if new.size <= old.size or new.at < old.at then
        raise exception 'the ledger head moves forward only' using errcode = 'restrict_violation';
    end if;
    if new.at > greatest(old.at, clock_timestamp() + interval '60 seconds') then
        raise exception 'the ledger head is from the future' using errcode = 'restrict_violation';
    end if;
    if (select e.leaf from ledger.entries e where e.index = new.size - 1) is distinct from new.leaf
       or (select e.index from ledger.entries e where e.index = new.size) is not null then
        raise exception 'the ledger head must be the last entry' using errcode = 'restrict_violation';
    end if;
    return null;
end
$$;
create trigger head_is_the_last_entry after update on ledger.head for each row execute function ledger.check_head();

-- Tiles and checkpoints speak of entries that are there, and checkpoints follow each other. Whether their hashes are right is for
-- whoever publishes and for whoever verifies.
create function ledger.check_tiles() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from added a
                where (a.index::numeric + 1) * 256::numeric ^ (a.level + 1) > (select h.size from ledger.head h where h.only_row)) then
        raise exception 'a tile covers entries that are not there' using errcode = 'restrict_violation';
    end if;
    return null;
end
$$;
create trigger tiles_cover_entries after insert on ledger.tiles
    referencing new table as added for each statement execute function ledger.check_tiles();

create function ledger.check_checkpoints() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if exists (select from added a
                where a.size > (select h.size from ledger.head h where h.only_row)
                   or a.number > 0 and a.size <= coalesce((select c.size from ledger.checkpoints c
                                                            where c.number = a.number - 1), a.size)) then
        raise exception 'a checkpoint covers entries that are not there, or does not follow the one before'
            using errcode = 'restrict_violation';
    end if;
    return null;
end
$$;
create trigger checkpoints_follow_each_other after insert on ledger.checkpoints
    referencing new table as added for each statement execute function ledger.check_checkpoints();

grant select on all tables in schema ledger to muniment_append, muniment_publish, muniment_project;
-- Entries come through `ledger.append`. Whoever locks the head has to be allowed to change something of it, and can then
-- not (above).
grant update (only_row) on ledger.head to muniment_append;
grant insert on ledger.tiles, ledger.checkpoints to muniment_publish;
