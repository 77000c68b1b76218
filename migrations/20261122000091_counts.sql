-- Counts of records, kept as the projections grow: so that counting all of them, or those of a span of time, takes as long
-- with millions as with thousands.
--
-- The ledger is cut into runs of entries. When the projector has passed the end of a run, it counts once, by facet and value: the
-- records that got their place in the run, as they stood at its end; and what its entries changed of records of earlier runs (an
-- outcome, an attribution, a disposal), as one less of what it was and one more of what it became. So the sum over all runs below a
-- size is how things stood at that size. What a disposal takes away for ever (whose account it was) is taken away in the run of the record.

-- Entries in a run. Whoever changes it has to rebuild.
create function ledger.counted_run() returns bigint language sql immutable parallel safe return 16384;

create table projection.counts (
    -- The run in which the records got their place.
    of_run bigint not null,
    -- The run whose entries say so.
    by_run bigint not null,
    facet  text   not null,
    -- For `account`, the account's key: which account that is may be known later.
    value  text   not null,
    n      bigint not null,
    primary key (of_run, by_run, facet, value)
);
create index on projection.attributions (entry_index);
create index on projection.disposals (entry_index);

-- By what whoever something was sent to is found: ids on the network, and handles with `@` before them.
alter table projection.communications add column addressed text[];
create index on projection.communications using gin (addressed);

-- Rows that are there already are made again from the start.
do $$
declare
    name text;
begin
    for name in select t.tablename from pg_tables t where t.schemaname = 'projection' and t.tablename <> 'progress' loop
        execute format('truncate projection.%I', name);
    end loop;
end
$$;
update projection.progress set next_index = 0, people = 0;

select ledger.grant_projection('projection');
