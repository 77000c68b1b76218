-- Matters and holds as they are listed: read off `matter`, `hold` and `release` entries. What a hold covers is decided elsewhere
-- (`ledger.holds_on`), from the ledger's own tables.
create table projection.matters (
    matter      uuid        not null primary key,
    -- The newest entry, and the first.
    entry_index bigint      not null,
    added_index bigint      not null,
    added_at    timestamptz not null,
    changed_at  timestamptz not null,
    -- `open`, `closed`.
    state       text        not null,
    name        text,
    description text,
    external    text,
    record      uuid
);
create index on projection.matters (added_index);

-- Everything that became of one: custodians and notices are read off it.
create table projection.matter_entries (
    entry_index bigint      not null primary key,
    matter      uuid        not null,
    at          timestamptz not null,
    change      text        not null,
    actor       text        not null,
    advisor     uuid,
    notice      uuid,
    name        text,
    description text,
    external    text,
    reason      text,
    text        text,
    record      uuid
);
create index on projection.matter_entries (matter, entry_index);

create table projection.holds (
    hold           uuid        not null primary key,
    entry_index    bigint      not null,
    added_index    bigint      not null,
    added_at       timestamptz not null,
    changed_at     timestamptz not null,
    matter         uuid,
    scope          text        not null,
    -- Whether a query selects what it covers, and up to where that was looked for.
    selects        boolean     not null,
    evaluated      bigint,
    advisors       uuid[]      not null,
    since          timestamptz,
    until          timestamptz,
    -- Records that its entries name.
    targets        bigint      not null,
    name           text,
    reason         text,
    query          text,
    actor          text        not null,
    released_index bigint,
    released_at    timestamptz,
    released_by    text,
    release_reason text,
    record         uuid
);
create index on projection.holds (added_index);
create index on projection.holds (matter, added_index) where matter is not null;

create table projection.hold_entries (
    entry_index bigint      not null primary key,
    hold        uuid        not null,
    at          timestamptz not null,
    -- `placed`, `extended`, `released`.
    change      text        not null,
    actor       text        not null,
    targets     bigint      not null,
    evaluated   bigint,
    reason      text,
    record      uuid
);
create index on projection.hold_entries (hold, entry_index);

-- Which records a run of entries is about: asked for each minute by whoever looks for what holds select.
create index on projection.record_entries using brin (entry_index);

select ledger.grant_projection('projection');
-- Entries that are there already are projected again from the start, where there are any of these.
do $$
declare
    name text;
begin
    if exists (select from ledger.hold_terms) or exists (select from ledger.releases) then
        for name in select tablename from pg_tables where schemaname = 'projection' and tablename <> 'progress' loop
            execute format('truncate projection.%I', name);
        end loop;
        update projection.progress set next_index = 0, people = 0;
    end if;
end
$$;
