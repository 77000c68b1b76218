-- Rotation of the master key: record keys are wrapped again, and nothing else of them changes. Only the owner may: whoever appends could otherwise
-- put noise in place of a key and so destroy what it opens. What was wrapped before is compared, so that nothing is replaced that changed meanwhile;
-- rows that a disposal holds are left for the next round.
create or replace function content.refuse_unless_disposing() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    is_owner boolean := current_user = (select pg_get_userbyid(c.relowner) from pg_catalog.pg_class c where c.oid = tg_relid);
begin
    if tg_op = 'DELETE' and is_owner and current_setting('muniment.disposing', true) = txid_current()::text then
        return old;
    end if;
    if tg_op = 'UPDATE' and is_owner and tg_table_schema = 'content' and tg_table_name = 'keys'
       and current_setting('muniment.rewrapping', true) = txid_current()::text then
        if new.record = old.record and new.entry_index = old.entry_index then
            return new;
        end if;
    end if;
    raise exception '% is append-only: % is refused', tg_table_schema || '.' || tg_table_name, lower(tg_op)
        using errcode = 'restrict_violation',
              hint = 'records end by disposal (ledger.dispose), never by hand';
end
$$;

create function content.rewrap(records uuid[], was bytea[], becomes bytea[]) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    changed bigint;
begin
    if cardinality(records) <> cardinality(was) or cardinality(records) <> cardinality(becomes) or cardinality(records) > 10000 then
        raise exception 'a round wraps at most 10,000 keys again' using errcode = 'invalid_parameter_value';
    end if;
    -- 01, the name of the master key (8), nonce (12), the key and its tag (48): docs/FORMAT.md, section 11.
    if exists (select from unnest(was, becomes) r (was, becomes)
                where octet_length(r.becomes) <> 69 or get_byte(r.becomes, 0) <> 1
                   or substring(r.was from 2 for 8) = substring(r.becomes from 2 for 8)) then
        raise exception 'not a record key wrapped under another master key' using errcode = 'invalid_parameter_value';
    end if;
    perform set_config('muniment.rewrapping', txid_current()::text, true);
    with there as (
        select k.record, r.becomes
          from content.keys k join unnest(records, was, becomes) r (record, was, becomes)
            on k.record = r.record and k.wrapped = r.was
         order by k.record for update of k skip locked)
    update content.keys k set wrapped = t.becomes from there t where k.record = t.record;
    get diagnostics changed = row_count;
    perform set_config('muniment.rewrapping', '', true);
    return changed;
end
$$;
revoke all on function content.rewrap(uuid[], bytea[], bytea[]) from public;
