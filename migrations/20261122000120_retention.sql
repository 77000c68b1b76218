-- How long records are kept is decided outside, by the schedule, from what their entries say: this is how it reads them. From the ledger's own
-- tables, as `ledger.dispose` does, and not from projections, so that whoever can change those cannot make a record look older than it is.
--
-- `until` is where the archive's own floor (`content.retention`) ends for the entry; the latest of a record is what `ledger.dispose` asks for. An
-- entry that is not there has neither body nor end: such a record is not disposed of.
create function ledger.said_of(records uuid[]) returns table (record uuid, entry_index bigint, body bytea, until timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select p.record, p.entry_index, e.body,
           (convert_from(e.body, 'UTF8')::json ->> 'at')::timestamptz + (select r.minimum from content.retention r)
      from ledger.entries_of(records) p
      left join ledger.entries e on e.index = p.entry_index
     order by p.record, p.entry_index
$$;
-- Whoever appends may ask: all of it stands in tables that they read.
revoke all on function ledger.said_of(uuid[]) from public;
grant execute on function ledger.said_of(uuid[]) to muniment_append;
