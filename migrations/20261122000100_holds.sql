-- Holds of every scope: by record, by custodian, by dates, and by what a query selects.
--
-- `ledger.holds` has what the entries of holds name; one row for each entry now, since the same custodian can be named again with other
-- dates. What else an entry says stands once, in `ledger.hold_terms`. Both are read off the entries as they arrive, under the head's lock, so
-- that `ledger.dispose` decides without trusting anybody's projection.
alter table ledger.holds drop constraint holds_pkey;
alter table ledger.holds add constraint holds_pkey primary key (hold, scope, target, entry_index);

create table ledger.hold_terms (
    entry_index bigint not null constraint hold_terms_pkey primary key,
    hold        uuid   not null,
    matter      uuid,
    scope       text   not null constraint hold_terms_scope check (scope in ('record', 'stream', 'all')),
    -- Times as entries spell them, which compare as text.
    since       text   collate "C" constraint hold_terms_since check (octet_length(since) = 27),
    until       text   collate "C" constraint hold_terms_until check (octet_length(until) = 27),
    -- Up to where records were looked for that the hold selects; never beyond the entry that says so.
    evaluated   bigint constraint hold_terms_evaluated check (evaluated between 0 and entry_index)
);
create index hold_terms_hold on ledger.hold_terms (hold, entry_index);
create index hold_terms_matter on ledger.hold_terms (matter) where matter is not null;
-- What covers more than it names is rare, and asked for at each disposal.
create index hold_terms_all on ledger.hold_terms (hold) where scope = 'all';
create index hold_terms_evaluated on ledger.hold_terms (hold, evaluated) where evaluated is not null;
create trigger append_only_rows before update or delete on ledger.hold_terms
    for each row execute function ledger.refuse_change();
create trigger append_only_table before truncate on ledger.hold_terms
    for each statement execute function ledger.refuse_change();
grant select on ledger.hold_terms to muniment_append, muniment_publish, muniment_project;

-- One `hold` entry, into both tables.
create function ledger.note_hold(entry_index bigint, detail json) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    insert into ledger.hold_terms (entry_index, hold, matter, scope, since, until, evaluated)
    values (entry_index, (detail ->> 'hold')::uuid, (detail ->> 'matter')::uuid, detail ->> 'scope', detail ->> 'from',
            -- Of none there is no least.
            detail ->> 'until', case when detail ->> 'evaluated' is not null
                                     then least((detail ->> 'evaluated')::bigint, entry_index) end);
    insert into ledger.holds (hold, scope, target, entry_index)
    select (detail ->> 'hold')::uuid, detail ->> 'scope', target::uuid, note_hold.entry_index
      from json_array_elements_text(detail -> 'targets') target
     where detail ->> 'scope' <> 'all'
        on conflict do nothing;
$$;
revoke all on function ledger.note_hold from public;

-- Entries that are there already.
select ledger.note_hold(e.index, convert_from(e.body, 'UTF8')::json -> 'detail')
  from ledger.entries e
 where substring(e.body from octet_length(e.body) - 20) = convert_to(',"type":"hold","v":1}', 'UTF8');

-- As before, but for holds.
create or replace function ledger.note_orders(disposing boolean, from_index bigint, bodies bytea[], types text[]) returns void
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
            perform ledger.note_hold(told.index, told.said -> 'detail');
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

-- Which holds in force cover these records, and why, as a word:
--     named            the hold names the record
--     custodian        it names a custodian in one of whose streams the record stands, at its dates where it has some
--     everything       it covers everything, at its dates where it has some
--     not_evaluated    it selects, and whether it selects this record has not been looked for since the record's last entry
--     own              the record is the hold's own, or that of its matter
-- For records whose content is there: of others, nobody knows the entries.
create function ledger.holds_on(records uuid[]) returns table (record uuid, hold uuid, why text)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with asked as materialized (select distinct r as record from unnest(records) r),
    -- Every entry of each, with the streams that it says.
    said as materialized (
        select p.record, p.entry_index, convert_from(e.body, 'UTF8')::json as said
          from ledger.entries_of(records) p join ledger.entries e on e.index = p.entry_index),
    entry as materialized (select s.record, s.entry_index, (s.said ->> 'at') collate "C" as at from said s),
    streams as materialized (
        select s.record, (stream ->> 'id')::uuid as stream
          from said s cross join lateral json_array_elements(s.said -> 'streams') stream
        union
        select a.record, a.stream from ledger.attributions a where a.record = any (records)),
    covered as (
        select a.record, h.hold, 'named' as why
          from asked a join ledger.holds h on h.target = a.record and h.scope = 'record'
        union
        select s.record, h.hold, 'custodian'
          from streams s
          join ledger.holds h on h.target = s.stream and h.scope = 'stream'
          join ledger.hold_terms t on t.entry_index = h.entry_index
         where t.since is null and t.until is null
            or exists (select from entry e where e.record = s.record and (t.since is null or e.at >= t.since)
                                             and (t.until is null or e.at < t.until))
        union
        select a.record, t.hold, 'everything'
          from asked a cross join ledger.hold_terms t
         where t.scope = 'all'
           and (t.since is null and t.until is null
                or exists (select from entry e where e.record = a.record and (t.since is null or e.at >= t.since)
                                                 and (t.until is null or e.at < t.until)))
        union
        select a.record, t.hold, 'not_evaluated'
          from asked a
         cross join (select t.hold, max(t.evaluated) as evaluated
                       from ledger.hold_terms t where t.evaluated is not null group by t.hold) t
         where exists (select from entry e where e.record = a.record and e.entry_index >= t.evaluated)
        union
        select a.record, t.hold, 'own' from asked a join ledger.hold_terms t on t.hold = a.record
        union
        select a.record, t.hold, 'own' from asked a join ledger.hold_terms t on t.matter = a.record)
    select c.record, c.hold, c.why from covered c
     where not exists (select from ledger.releases l where l.hold = c.hold)
$$;
-- Whoever appends may ask: it says no more than the tables do.
revoke all on function ledger.holds_on from public;
grant execute on function ledger.holds_on to muniment_append;

-- As before, but for holds.
create or replace function ledger.dispose(
    entry_id uuid, entry_leaf bytea, entry_body bytea, entry_source uuid, entry_source_next bigint
) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    last record;
    said json := convert_from(entry_body, 'UTF8')::json;
    doomed uuid[];
    culprit uuid;
    held uuid;
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

    select h.record, h.hold into culprit, held from ledger.holds_on(doomed) h order by h.record, h.hold limit 1;
    if found then
        raise exception 'record % is under a hold (%)', culprit, held using errcode = 'restrict_violation';
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
