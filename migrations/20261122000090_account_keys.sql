-- One spelling of what an account is known by, and an index that finds its first and last record by it.

-- The network, then `#` and the account's id there, or `@` and its handle where no id is known. The bound is what an index entry bears.
create function ledger.account_key(network text, network_id text, handle text) returns text
language sql immutable parallel safe
return left(network || case when network_id is null then ' @' || lower(ltrim(handle, '@')) else ' #' || network_id end, 300);

-- A handle is the same with and without its `@`, and in any case. The index on the handle as written answered a question that
-- nobody may ask; the one without the place could not begin at the first or last record.
-- Found by what they are of: a rebuild gives indexes names of its own.
do $$
declare
    name text;
begin
    for name in select i.indexname from pg_indexes i
                 where i.schemaname = 'projection' and i.tablename = 'communications'
                   and i.indexdef ~ '\(account_handle, entry_index\)|btree \(lower\(ltrim\(account_handle' loop
        execute format('drop index projection.%I', name);
    end loop;
end
$$;
create index on projection.communications (lower(ltrim(account_handle, '@')), entry_index) where account_handle is not null;
