-- Disposal: the one way content leaves. The caller hands over the finished `disposal` entry; this function checks that the
-- entry may follow the head, that every record it names has outlived its retention and is under no hold, and destroys keys
-- and content in the same transaction that appends the entry. What it cannot check is not its business: why it was asked is
-- in the entry, for everybody to see.
-- Every entry of these records, as far as any table knows. Only for whoever asks before content is destroyed.
create function ledger.entries_of(records uuid[]) returns table (record uuid, entry_index bigint)
language sql stable set search_path = pg_catalog, pg_temp as $$
    select k.record, k.entry_index from content.keys k where k.record = any (records)
    union select s.record, s.entry_index from content.sealed s where s.record = any (records)
    union select b.record, b.entry_index from content.blobs b where b.record = any (records)
    union select a.record, a.entry_index from ledger.attributions a where a.record = any (records)
    union select p.record, p.entry_index from ledger.plain_entries p where p.record = any (records)
$$;
revoke all on function ledger.entries_of(uuid[]) from public;

create function ledger.dispose(
    entry_id uuid, entry_leaf bytea, entry_body bytea, entry_source uuid, entry_source_next bigint
) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    last record;
    said json := convert_from(entry_body, 'UTF8')::json;
    doomed uuid[];
    culprit uuid;
begin
    -- Waits for the append that holds the head; from here on nothing can be appended, and so no hold can slip in between.
    select size, leaf, at into strict last from ledger.head for update;
    if said ->> 'type' <> 'disposal' or said -> 'detail' ->> 'phase' <> 'destroyed' then
        raise exception 'not an entry that destroys' using errcode = 'invalid_parameter_value';
    end if;
    if (said ->> 'index')::bigint <> last.size or said ->> 'previous' <> encode(last.leaf, 'hex') then
        raise exception 'the disposal entry does not continue the chain' using errcode = 'serialization_failure';
    end if;

    if (said ->> 'at')::timestamptz > greatest(last.at, clock_timestamp() + interval '60 seconds') then
        raise exception 'the disposal entry is from the future' using errcode = 'object_not_in_prerequisite_state';
    end if;

    select array_agg(distinct r::uuid order by r::uuid) into doomed from json_array_elements_text(said -> 'detail' -> 'records') r;
    if doomed is null or cardinality(doomed) > 100 then
        raise exception 'a disposal names between 1 and 100 records' using errcode = 'invalid_parameter_value';
    end if;

    select r into culprit from unnest(doomed) r where not exists (select from content.keys k where k.record = r) limit 1;
    if found then
        raise exception 'record % has no key to destroy', culprit using errcode = 'no_data_found';
    end if;

    -- Retention runs from the record's last entry: an outcome or a new version keeps the whole record. An entry that is not there,
    -- or does not say when it was, keeps it for good. Neither our clock nor the entry's may be beyond the end.
    select p.record into culprit
      from ledger.entries_of(doomed) p
      left join ledger.entries e on e.index = p.entry_index
     where coalesce((convert_from(e.body, 'UTF8')::json ->> 'at')::timestamptz + (select r.minimum from content.retention r)
                    > least(clock_timestamp(), (said ->> 'at')::timestamptz), true)
     limit 1;
    if found then
        raise exception 'record % is still within its retention', culprit using errcode = 'restrict_violation';
    end if;

    -- A hold names the record itself or a custodian whose stream holds any entry of the record, or to whom it was attributed.
    select k.record into culprit
      from content.keys k
     where k.record = any (doomed)
       and exists (
           select from ledger.holds h
            where not exists (select from ledger.releases l where l.hold = h.hold)
              and (h.scope = 'record' and h.target = k.record
                or h.scope = 'stream' and exists (
                       select from ledger.attributions a where a.record = k.record and a.stream = h.target)
                or h.scope = 'stream' and h.target in (
                       select (stream ->> 'id')::uuid
                         from ledger.entries_of(array[k.record]) p
                         join ledger.entries e on e.index = p.entry_index
                        cross join lateral json_array_elements(convert_from(e.body, 'UTF8')::json -> 'streams') stream)))
     limit 1;
    if found then
        raise exception 'record % is under a hold', culprit using errcode = 'restrict_violation';
    end if;

    perform ledger.add(
        true, last.size, last.leaf, (said ->> 'at')::timestamptz, entry_source, entry_source_next,
        array[entry_id], array[entry_leaf], array[entry_body], array[said ->> 'actor'], array['disposal'],
        array[(said ->> 'record')::uuid], '{}',
        array[json_array_length(said -> 'streams')],
        array(select (s ->> 'id')::uuid from json_array_elements(said -> 'streams') with ordinality e (s, k) order by k),
        array(select (s ->> 'index')::bigint from json_array_elements(said -> 'streams') with ordinality e (s, k) order by k),
        array_fill(1, array[json_array_length(said -> 'streams')]),
        '{}', '{}', '{}', '{}', '{}', '{}', '{}');

    perform set_config('muniment.disposing', txid_current()::text, true);
    insert into content.sweeps (digest, entry_index) select digest, last.size from content.blobs where record = any (doomed);
    insert into content.disposals (record, entry_index) select r, last.size from unnest(doomed) r;
    delete from content.keys where record = any (doomed);
    delete from content.sealed where record = any (doomed);
    delete from content.blobs where record = any (doomed);
    perform set_config('muniment.disposing', '', true);
    return last.size;
end
$$;
revoke all on function ledger.dispose(uuid, bytea, bytea, uuid, bigint) from public;
grant execute on function ledger.dispose(uuid, bytea, bytea, uuid, bigint) to muniment_append;

-- Takes a file off the list once it is deleted.
create function content.swept(file bytea) returns void
language sql security definer set search_path = pg_catalog, pg_temp as $$
    delete from content.sweeps where digest = file
$$;
revoke all on function content.swept(bytea) from public;
grant execute on function content.swept(bytea) to muniment_append;
