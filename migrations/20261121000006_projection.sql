-- Projections: what lists, filters and search read. Everything here is read off entries and their content, in order of the
-- entry index, by the projector; nothing here is believed by verification, and `muniment rebuild` makes it all again.

-- How far the projector is. Its lock keeps two projectors apart.
create table projection.progress (
    only_row   boolean not null default true primary key check (only_row),
    next_index bigint  not null
);
insert into projection.progress (next_index) values (0);

-- One row per record: its capture or observation, with what later entries say of it.
create table projection.records (
    record        uuid        not null primary key,
    -- The entry that made it, and the newest one that belongs to it.
    entry_index   bigint      not null,
    entry         uuid        not null,
    last_index    bigint      not null,
    type          text        not null,
    at            timestamptz not null,
    captured_at   timestamptz not null,
    network       text        not null,
    transport     text        not null,
    direction     text        not null,
    kinds         text[]      not null,
    flags         text[]      not null,
    rule          text,
    method        text,
    exchange      uuid        not null,
    size          bigint      not null,
    attachments   bigint      not null,
    device        uuid,
    advisors      uuid[]      not null,
    retry_of      uuid,
    derived_from  uuid,
    previous_version uuid,
    -- The outcome, once there is one.
    outcome       uuid,
    state         text,
    status        bigint,
    -- The disposal, once there is one: text is gone then, the row stays.
    disposed      bigint
);
create unique index on projection.records (entry_index);
create index on projection.records (entry);
create index on projection.records using gin (advisors);
create index on projection.records (network, entry_index);

-- One row per communication of a record.
create table projection.communications (
    record        uuid    not null,
    entry_index   bigint  not null,
    number        integer not null,
    kind          text    not null,
    direction     text    not null,
    text          text,
    author_id     text,
    author_handle text,
    author_name   text,
    account_id    text,
    account_handle text,
    item          text,
    parent        text,
    root          text,
    conversation  text,
    permalink     text,
    occurred_at   text,
    edited_from   text,
    visibility    text,
    attachments   text,
    -- The text as words, folded, in no particular language. The bound keeps a very long text from being unindexable.
    words         tsvector generated always as (to_tsvector('simple', left(coalesce(text, ''), 100000))) stored,
    primary key (record, number)
);
create index on projection.communications (entry_index);
create index on projection.communications using gin (words);
create index on projection.communications (conversation) where conversation is not null;
create index on projection.communications (account_id) where account_id is not null;
create index on projection.communications (item) where item is not null;

-- Every entry of a record, so that its history is found.
create table projection.record_entries (
    record      uuid   not null,
    entry_index bigint not null,
    type        text   not null,
    primary key (record, entry_index)
);

create table projection.gaps (
    entry_index bigint      not null primary key,
    at          timestamptz not null,
    cause       text        not null,
    count       bigint      not null,
    since       timestamptz not null,
    until       timestamptz not null,
    network     text,
    device      uuid,
    exchange    uuid,
    capture     uuid,
    size        bigint,
    step        text,
    step_us     bigint,
    host        text,
    advisors    uuid[]      not null,
    -- Whose key seals what is readable here; it goes when that record is disposed of.
    record uuid
);
create index on projection.gaps using gin (advisors);

create table projection.advisors (
    advisor       uuid   not null primary key,
    name          text,
    added_index   bigint not null,
    added_at      timestamptz not null,
    revoked_index bigint,
    record uuid
);
create table projection.devices (
    device        uuid   not null primary key,
    advisor       uuid,
    name          text,
    added_index   bigint not null,
    added_at      timestamptz not null,
    revoked_index bigint,
    record uuid
);
create index on projection.devices (advisor);
create table projection.accounts (
    account       uuid   not null primary key,
    advisor       uuid,
    network       text,
    network_id    text,
    handle        text,
    name          text,
    added_index   bigint not null,
    added_at      timestamptz not null,
    revoked_index bigint,
    record uuid
);
create index on projection.accounts (advisor);
create index on projection.accounts (network, network_id);
create table projection.officers (
    officer       uuid   not null primary key,
    roles         text[] not null,
    name          text,
    added_index   bigint not null,
    added_at      timestamptz not null,
    revoked_index bigint,
    record uuid
);

-- Who looked at what, and why.
create table projection.looks (
    entry_index bigint      not null primary key,
    at          timestamptz not null,
    officer     uuid,
    operation   text        not null,
    allowed     boolean     not null,
    count       bigint      not null,
    advisor     uuid,
    records     uuid[]      not null,
    purpose     text,
    query       text,
    record uuid
);
create index on projection.looks using gin (records);
create index on projection.looks (officer);

-- Results of verifying.
create table projection.verifications (
    entry_index   bigint      not null primary key,
    at            timestamptz not null,
    scope         text        not null,
    result        text        not null,
    failures      bigint      not null,
    first_failure bigint,
    from_index    bigint      not null,
    until_index   bigint      not null
);

-- Rights on a schema of projections: given here, and again by a rebuild to the schema it has made.
create function ledger.grant_projection(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    execute format('grant usage on schema %I to muniment_append, muniment_project', name);
    execute format('grant select on all tables in schema %I to muniment_append', name);
    execute format('grant select, insert, update, delete on all tables in schema %I to muniment_project', name);
end
$$;
revoke all on function ledger.grant_projection(text) from public;
select ledger.grant_projection('projection');

-- Where verification makes the projections anew, to compare them with what is there. The service may fill tables there and make
-- none: this function makes them, empty, for the length of the caller's transaction. What an earlier caller left goes first.
create schema projection_check;
grant usage on schema projection_check to muniment_project;
create function ledger.make_projection_check() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    name text;
begin
    for name in select t.tablename from pg_catalog.pg_tables t where t.schemaname = 'projection_check' loop
        execute format('drop table projection_check.%I', name);
    end loop;
    for name in select t.tablename from pg_catalog.pg_tables t where t.schemaname = 'projection' loop
        execute format('create unlogged table projection_check.%I (like projection.%I including all)', name, name);
        execute format('grant select, insert, update, delete on projection_check.%I to muniment_project', name);
    end loop;
    insert into projection_check.progress (next_index) values (0);
end
$$;
revoke all on function ledger.make_projection_check() from public;
grant execute on function ledger.make_projection_check() to muniment_project;
