-- Appending: the one way in. `ledger.append` is handed a whole group of finished entries with all that belongs to them; it holds
-- everything it is told against the head and against the bytes of the entries, inserts it and moves the head, all in one
-- transaction. No role of the service can insert into any of these tables itself. So whoever holds the append role can only add to
-- the end, and leaves an end that can be added to: counts go on where they stopped, content comes with its entry and its key, a hold
-- is on the list of holds, a disposal came through `ledger.dispose`.
--
-- Checked here, and not by triggers on the tables: a trigger has to find again what was inserted, row by row, and a call knows it.

-- Appends entries from `from_index` on, behind the entry whose leaf is `link`. A place is counted from 1 within the group.
--
-- The entries are not taken apart, which would cost more than inserting them. Each must be JSON, begin with its actor and the time
-- of the head, and end with
--     ,"id":"…","index":…,"previous":"…"[,"record":"…"],"source":"…","source_index":…,"streams":[…],"type":"…","v":1}
-- spelled from the arguments. That these are members of the entry itself, and not of something inside it, follows: after what the
-- text opens it closes one brace more, which in JSON that ends there can only be the outermost, and could it begin inside a string,
-- its first quote would end that string before a word. Whether the rest of it is an entry is for whoever appends, and for whoever
-- verifies.
--
-- The head must be locked. Rows are looked up one by one (a subquery that yields one value is never turned into a join), and
-- sequential scans are off: plans are made once for a session, perhaps on an empty table, and would otherwise read all of a table
-- that has grown since. The search path ends with temporary tables, so that nobody can put a table of their own in the place of one.
create function ledger.add(
    disposing boolean,
    from_index bigint, link bytea, moved_at timestamptz,
    writer uuid, writer_next bigint,
    ids uuid[], leaves bytea[], bodies bytea[], actors text[], types text[], records uuid[],
    plain integer[],                                       -- places of entries that are of a record and commit to nothing
    stream_ends integer[], streams uuid[], stream_indices bigint[], stream_places integer[],
    keyed integer[], wraps bytea[],                        -- places of entries that bring their record's key
    fields content.sealed[],
    blob_digests bytea[], blob_places integer[], blob_names text[], blob_sizes bigint[]
) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
    n constant integer := cardinality(ids);
    began constant text := '","at":"' || to_char(moved_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '","captured_at":"';
    came integer;
    bad bigint;
begin
    insert into ledger.entries (index, id, leaf, body)
    select t.index, t.id, t.leaf, t.body
      from (select s.*, octet_length(s.body) as size,
                   convert_to('{"actor":"' || s.actor || began, 'UTF8') as front,
                   convert_to(',"id":"' || s.id || '","index":' || s.index || ',"previous":"' || encode(s.previous, 'hex')
                              || case when s.record is null then '' else '","record":"' || s.record end
                              || '","source":"' || writer || '","source_index":' || writer_next - n + s.place - 1
                              || ',"streams":[' || s.spelled || '],"type":"' || s.type || '","v":1}', 'UTF8') as tail
              from (select u.*, from_index + u.place - 1 as index,
                           case u.stream_end - u.stream_start
                           when 0 then ''
                           when 1 then case when stream_places[u.stream_end] = u.place
                                            then '{"id":"' || streams[u.stream_end] || '","index":' || stream_indices[u.stream_end] || '}' end
                           else (select case when bool_and(stream_places[k] = u.place)
                                             then string_agg('{"id":"' || streams[k] || '","index":' || stream_indices[k] || '}', ','
                                                             order by k) end
                                   from generate_series(u.stream_start + 1, u.stream_end) k)
                           end as spelled
                      from unnest(ids, leaves, array_prepend(link, leaves), bodies, actors, types, records,
                                  array_prepend(0, stream_ends), stream_ends)
                           with ordinality u (id, leaf, previous, body, actor, type, record, stream_start, stream_end, place)
                     where u.place <= n offset 0) s
            offset 0) t
     where t.leaf = sha256('\x00'::bytea || t.body)
       and substring(t.body from t.size - octet_length(t.tail) + 1) = t.tail
       and substring(t.body from 1 for octet_length(t.front)) = t.front
       and translate(t.actor, '"\', '') = t.actor
       and translate(t.type, 'abcdefghijklmnopqrstuvwxyz_', '') = ''
       -- What it commits to follows on the time of its writer's clock.
       and case substring(t.body from octet_length(t.front) + 28 for 18)
           when '","commitments":{}' then (t.record is not null) = (t.place = any (plain))
           when '","commitments":{"' then t.place <> all (plain)
           when '","commitments_roo' then t.place <> all (plain)
           end
       and convert_from(t.body, 'UTF8')::json is not null;
    get diagnostics came = row_count;
    if came is distinct from n or n = 0 then
        select i into bad from generate_series(from_index, from_index + n - 1) i
         where (select e.index from ledger.entries e where e.index = i) is null
         order by i limit 1;
        raise exception 'entry % does not continue the chain, or is not what was said of it', coalesce(bad, from_index)
            using errcode = 'restrict_violation';
    end if;
    if stream_ends[n] <> cardinality(streams) or cardinality(stream_indices) <> cardinality(streams)
       or cardinality(keyed) <> cardinality(wraps) then
        raise exception 'arguments of different lengths' using errcode = 'invalid_parameter_value';
    end if;

    -- Each place needs a later entry than the one before it: one entry cannot be cited for many.
    insert into ledger.stream_entries (stream, stream_index, entry_index)
    select s.stream, s.index, from_index + s.place - 1 from unnest(streams, stream_indices, stream_places) s (stream, index, place);
    select from_index + s.place - 1 into bad
      from unnest(streams, stream_indices, stream_places) s (stream, index, place)
     where s.index > 0 and coalesce((select p.entry_index from ledger.stream_entries p
                                      where p.stream = s.stream and p.stream_index = s.index - 1) >= from_index + s.place - 1, true)
     limit 1;
    if found then
        raise exception 'entry % does not go on where its stream stopped', bad using errcode = 'restrict_violation';
    end if;

    -- The entries bear the counts from `writer_next - n` on (above).
    if writer_next - n <> coalesce((select s.next_index from ledger.sources s where s.source = writer
                                     order by s.next_index desc limit 1), 0) then
        raise exception 'entry % does not go on where its source stopped', from_index using errcode = 'restrict_violation';
    end if;
    insert into ledger.sources (source, next_index, entry_index) values (writer, writer_next, from_index + n - 1);

    -- A key is of the record that its entry names. A record that was disposed of cannot have one again, which would undo the disposal.
    if cardinality(keyed) > 0 then
        insert into content.keys (record, entry_index, wrapped)
        select records[k.place], from_index + k.place - 1, k.wrapped
          from unnest(keyed, wraps) k (place, wrapped)
         where (select d.record from content.disposals d where d.record = records[k.place]) is null;
        get diagnostics came = row_count;
        if came <> cardinality(keyed) then
            raise exception 'the record was disposed of' using errcode = 'restrict_violation';
        end if;
    end if;

    -- Content is of the record that its entry names, and that record has a key: without, nobody could ever read it. A record that was
    -- disposed of has none any more, so nothing can be added to it either.
    if cardinality(fields) > 0 then
        insert into content.sealed (entry_index, record, names, ciphertexts)
        select f.*
          from unnest(fields) f
         where f.record = records[(f.entry_index - from_index)::integer + 1]
           and ((f.entry_index - from_index)::integer + 1 = any (keyed)
                or (select k.record from content.keys k where k.record = f.record) is not null);
        get diagnostics came = row_count;
        if came <> cardinality(fields) then
            raise exception 'content came whose record has no key, or is not that of its entry' using errcode = 'restrict_violation';
        end if;
    end if;
    if cardinality(blob_places) > 0 then
        insert into content.blobs (digest, entry_index, record, name, size)
        select b.digest, from_index + b.place - 1, records[b.place], b.name, b.size
          from unnest(blob_digests, blob_places, blob_names, blob_sizes) b (digest, place, name, size)
         where b.place between 1 and n and (select k.record from content.keys k where k.record = records[b.place]) is not null;
        get diagnostics came = row_count;
        if came <> cardinality(blob_places) then
            raise exception 'content came whose record has no key, or is not that of its entry' using errcode = 'restrict_violation';
        end if;
    end if;

    if cardinality(plain) > 0 then
        insert into ledger.plain_entries (record, entry_index) select records[p], from_index + p - 1 from unnest(plain) p;
    end if;
    if types && array['hold', 'release', 'attribution', 'disposal'] then
        perform ledger.note_orders(disposing, from_index, bodies, types);
    end if;

    update ledger.head set size = from_index + n, leaf = leaves[n], at = moved_at where only_row;
end
$$;

-- Writes down holds, releases and attributions as they arrive, and lets no disposal pass that destroys and did not come through
-- `ledger.dispose`.
create function ledger.note_orders(disposing boolean, from_index bigint, bodies bytea[], types text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    told record;
begin
    for told in select from_index + b.place - 1 as index, b.type, convert_from(b.body, 'UTF8')::json as said
                  from unnest(bodies, types) with ordinality b (body, type, place)
                 where b.type in ('hold', 'release', 'attribution', 'disposal')
                 order by b.place
    loop
        if told.said ->> 'type' is distinct from told.type then
            raise exception 'entry % says its type twice', told.index using errcode = 'restrict_violation';
        end if;
        case told.type
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
        when 'disposal' then
            if not disposing and told.said -> 'detail' ->> 'phase' is distinct from 'swept' then
                raise exception 'a disposal is appended by ledger.dispose only' using errcode = 'insufficient_privilege';
            end if;
        end case;
    end loop;
end
$$;

-- Appends a group, if the head is where the caller thinks it is and the caller's clock is not too far ahead of ours. Otherwise nothing
-- happens, and the answer says so. Waits for whoever holds the head and then looks again.
create function ledger.append(
    from_index bigint, link bytea, moved_at timestamptz, caller_clock timestamptz, most_ahead float8,
    writer uuid, writer_next bigint,
    ids uuid[], leaves bytea[], bodies bytea[], actors text[], types text[], records uuid[], plain integer[],
    stream_ends integer[], streams uuid[], stream_indices bigint[], stream_places integer[],
    keyed integer[], wraps bytea[], fields content.sealed[],
    blob_digests bytea[], blob_places integer[], blob_names text[], blob_sizes bigint[],
    out moved boolean, out clock timestamptz
)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform from ledger.head h where h.only_row and h.size = from_index and h.leaf = link for update;
    moved := found and caller_clock <= clock_timestamp() + make_interval(secs => most_ahead);
    if moved then
        perform ledger.add(false, from_index, link, moved_at, writer, writer_next, ids, leaves, bodies, actors, types, records,
                           plain, stream_ends, streams, stream_indices, stream_places, keyed, wraps, fields,
                           blob_digests, blob_places, blob_names, blob_sizes);
    end if;
    clock := clock_timestamp();
end
$$;

revoke all on function ledger.add, ledger.note_orders, ledger.append from public;
grant execute on function ledger.append to muniment_append;
