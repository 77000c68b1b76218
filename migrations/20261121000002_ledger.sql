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

-- The functions below run once for each statement, with all its new rows at hand. Whatever they name is named in full, and their
-- search path ends with temporary tables, so that nobody can put a table of their own in the place of one. They look rows up one by one (a subquery that
-- yields one value is never turned into a join), and sequential scans are off for them: their plans are made once for a
-- session, perhaps on an empty table, and would otherwise read all of a table that has grown since.

-- The head only moves forward, and only to a row that is there. Runs after the statement that inserted the entries.
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

-- What the database itself insists on for every new entry: the hash is the hash of the bytes, the columns say what the bytes
-- say, the entry links to the one before it, bears the time of the head, and comes in one statement with the head that counts
-- it. So even somebody who holds the append role can only add to the end, and leaves an end that can be added to. Disposals come
-- through `ledger.dispose` alone, which runs as the owner.
--
-- The bytes are not taken apart for this, which would cost as much as inserting them. They must be JSON, and somewhere they must
-- read `,"id":"…","index":…,"previous":"…"` with the values of the columns and of the entry before. That these are members of
-- the entry itself, and not of something inside it, shows in the rest: no brace opens there but those of streams, and one more
-- closes than opens, which in JSON can only be the outermost. (In JSON neither text can stand inside a string, because its
-- quotes would be escaped there; nothing is escaped in what follows, so a disposal cannot hide its type.) Whether all of it is
-- an entry is for whoever appends, and for whoever verifies.
create function ledger.check_entries() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
    bad bigint;
    disposal boolean;
    untimely bigint;
    last bigint;
    head record;
begin
    select h.size, convert_to('"at":"' || to_char(h.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '","captured_at":"', 'UTF8') as at
      into strict head
      from ledger.head h
     where h.only_row;
    select min(e.index) filter (where
               e.leaf <> sha256('\x00'::bytea || e.body)
               or convert_from(e.body, 'UTF8')::json is null
               or e.place is null
               or e.place_at = 0
               or position('{' in e.rest) > 0
               or position('\' in e.rest) > 0
               or octet_length(e.rest) - octet_length(replace(e.rest, '}', ''))
                  <> 1 + (octet_length(e.tail) - octet_length(e.rest)) / octet_length('{"id":"')),
           coalesce(bool_or(case when position('"disposal"' in e.rest) > 0
                                 then convert_from(e.body, 'UTF8')::json -> 'detail' ->> 'phase' is distinct from 'swept'
                            end), false),
           -- Only the actor comes before it.
           min(e.index) filter (where position(head.at in substring(e.body from 1 for 512)) = 0),
           max(e.index)
      into bad, disposal, untimely, last
      from (select t.*, replace(t.tail, '{"id":"', '') as rest
              from (select p.*, convert_from(substring(p.body from p.place_at + octet_length(p.place)), 'UTF8') as tail
                      from (select n.*, position(n.place in n.body) as place_at
                              from (select a.index, a.leaf, a.body, convert_to(
                                               ',"id":"' || a.id || '","index":' || a.index || ',"previous":"'
                                               || case when a.index = 0 then repeat('0', 64) else encode(
                                                  (select b.leaf from ledger.entries b where b.index = a.index - 1),
                                                  'hex') end || '"', 'UTF8') as place
                                      from added a offset 0) n
                            offset 0) p
                    offset 0) t
            offset 0) e;
    if bad is not null then
        raise exception 'entry % does not continue the chain', bad using errcode = 'restrict_violation';
    end if;
    if disposal and current_user <> (select pg_get_userbyid(c.relowner) from pg_catalog.pg_class c where c.oid = tg_relid) then
        raise exception 'a disposal is appended by ledger.dispose only' using errcode = 'insufficient_privilege';
    end if;
    if untimely is not null then
        raise exception 'entry % does not bear the time of the head', untimely using errcode = 'restrict_violation';
    end if;
    if last is not null and last + 1 <> head.size then
        raise exception 'entries are appended together with the head' using errcode = 'restrict_violation';
    end if;
    return null;
end
$$;
create trigger entries_continue_the_chain after insert on ledger.entries
    referencing new table as added for each statement execute function ledger.check_entries();

-- The tables of streams and sources say what the entries say that came in the same transaction, and go on where they stopped:
-- what is counted in them can never run ahead of the entries that are there.
create function ledger.check_streams() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
    bad record;
begin
    select a.stream, a.stream_index, a.entry_index into bad
      from added a
     where not coalesce((select e.xmin = pg_current_xact_id()::xid
                            and position(convert_to('{"id":"' || a.stream || '","index":' || a.stream_index || '}', 'UTF8')
                                         in e.body) > 0
                           from ledger.entries e where e.index = a.entry_index), false)
        -- Each place needs a later entry than the one before it: one entry cannot be cited for many.
        or a.stream_index > 0 and coalesce((select s.entry_index from ledger.stream_entries s
                                             where s.stream = a.stream and s.stream_index = a.stream_index - 1)
                                           >= a.entry_index, true)
     limit 1;
    if found then
        raise exception 'place % of stream % is not that of entry %', bad.stream_index, bad.stream, bad.entry_index
            using errcode = 'restrict_violation';
    end if;
    return null;
end
$$;
create trigger streams_say_what_entries_say after insert on ledger.stream_entries
    referencing new table as added for each statement execute function ledger.check_streams();

create function ledger.check_sources() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
    bad record;
begin
    -- The last entry of the group, and the first: as many entries before it as were counted since the row before.
    select a.source, a.next_index, a.entry_index into bad
      from (select n.*, coalesce((select s.next_index from ledger.sources s
                                   where s.source = n.source and s.next_index < n.next_index
                                   order by s.next_index desc limit 1), 0) as before
              from added n offset 0) a
     where not coalesce((select e.xmin = pg_current_xact_id()::xid
                            and position(convert_to('"source":"' || a.source || '","source_index":' || (a.next_index - 1) || ',', 'UTF8')
                                         in e.body) > 0
                           from ledger.entries e where e.index = a.entry_index), false)
        or a.next_index > a.before + 1 and not coalesce((
              select position(convert_to('"source":"' || a.source || '","source_index":' || a.before || ',', 'UTF8') in e.body) > 0
                from ledger.entries e where e.index = a.entry_index + 1 - (a.next_index - a.before)), false)
     limit 1;
    if found then
        raise exception 'count % of source % is not that of entry %', bad.next_index, bad.source, bad.entry_index
            using errcode = 'restrict_violation';
    end if;
    return null;
end
$$;
create trigger sources_say_what_entries_say after insert on ledger.sources
    referencing new table as added for each statement execute function ledger.check_sources();

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

-- Writes down holds, releases, attributions and plain entries as they arrive. Runs as the owner: the append role cannot touch these
-- tables. An entry ends with its type (see above), so the few that matter are told from all the others by their last bytes.
create function ledger.note_holds() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    told record;
begin
    for told in select a.index, convert_from(a.body, 'UTF8')::json as said from added a
                 where substring(a.body from octet_length(a.body) - 19) = '"type":"hold","v":1}'
                    or substring(a.body from octet_length(a.body) - 22) = '"type":"release","v":1}'
                    or substring(a.body from octet_length(a.body) - 26) = '"type":"attribution","v":1}'
    loop
        case told.said ->> 'type'
        when 'hold' then
            insert into ledger.holds (hold, scope, target, entry_index)
            select (told.said -> 'detail' ->> 'hold')::uuid, told.said -> 'detail' ->> 'scope', target::uuid, told.index
              from json_array_elements_text(told.said -> 'detail' -> 'targets') target
            on conflict do nothing;
        when 'release' then
            insert into ledger.releases (hold, entry_index)
            values ((told.said -> 'detail' ->> 'hold')::uuid, told.index)
            on conflict do nothing;
        when 'attribution' then
            insert into ledger.attributions (record, stream, entry_index)
            select (told.said ->> 'record')::uuid, (stream ->> 'id')::uuid, told.index
              from json_array_elements(told.said -> 'streams') stream
             where told.said ->> 'record' is not null;
        else
            raise exception 'entry % says its type twice', told.index using errcode = 'restrict_violation';
        end case;
    end loop;
    insert into ledger.plain_entries (record, entry_index)
    select (convert_from(a.body, 'UTF8')::json ->> 'record')::uuid, a.index
      from added a
     where position('"commitments":{}'::bytea in substring(a.body from 1 for 512)) > 0
       and position('","record":"'::bytea in a.body) > 0
       and convert_from(a.body, 'UTF8')::json ->> 'record' is not null;
    return null;
end
$$;
revoke all on function ledger.note_holds() from public;
create trigger holds_are_noted after insert on ledger.entries
    referencing new table as added for each statement execute function ledger.note_holds();

grant select on all tables in schema ledger to muniment_append, muniment_publish, muniment_project;
grant insert on ledger.entries, ledger.stream_entries, ledger.sources to muniment_append;
grant update on ledger.head to muniment_append;
grant insert on ledger.tiles, ledger.checkpoints to muniment_publish;
