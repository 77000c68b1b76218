-- Records by advisor, in ledger order.
--
-- `records.advisors` says whose a record is, and an index of arrays finds an advisor's records without an order: a page of them read
-- and sorted all. Here a page is a page. The array stays: it is what a row shows, and what a look is checked against.
create table projection.advised (
    advisor     uuid   not null,
    entry_index bigint not null,
    record      uuid   not null,
    primary key (advisor, entry_index)
);
drop index projection.records_advisors_idx;

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
