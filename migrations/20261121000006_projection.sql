-- Projections: what lists, filters and search read. Everything here is read off entries and their content, in order of the
-- entry index, by the projector; nothing here is believed by verification, and `muniment rebuild` makes it all again. A restore from
-- a backup without their rows (`pg_dump --exclude-table-data='projection.*'`), which is how evidence backups leave readable text
-- out, is filled again by itself.

-- How far the projector is. Its lock keeps two projectors apart.
create table projection.progress (
    only_row   boolean not null default true primary key check (only_row),
    next_index bigint  not null,
    -- The newest entry that added, changed or revoked an advisor, device or officer: whoever remembers something about a
    -- credential looks here whether that may still hold.
    people     bigint  not null default 0
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
    source        uuid,
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
    -- What became of the sealed fields of its first entry: `none` (there are none), `readable`, `unreadable` (`faults` says why),
    -- `disposed`.
    content       text        not null,
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
create index on projection.records (at, entry_index);
create index on projection.records (device, entry_index) where device is not null;
create index on projection.records using gin (kinds, flags);
-- What was refused, is unknown or is still awaited is rare, and looked for.
create index on projection.records (entry_index) where type = 'capture' and state is null;
create index on projection.records (state, entry_index) where state <> 'accepted';
-- Which of its own captures never got an outcome: asked by capture after a restart.
create index on projection.records (source, entry_index) where type = 'capture' and outcome is null;

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
    recipients    text,
    item          text,
    -- Changes when the item's content changes and not when its counters do: hex of a digest over somebody's text, so as sealed as that.
    version       text,
    parent        text,
    root          text,
    conversation  text,
    permalink     text,
    occurred_at   text,
    edited_from   text,
    followers     bigint,
    visibility    text,
    attachments   text,
    detail        text,
    -- Names and descriptions of what is attached: found together with the text.
    attached      text,
    -- The text as words, folded, in no particular language. The bound keeps a very long text from being unindexable.
    words         tsvector generated always as (
        to_tsvector('simple', left(coalesce(text, '') || ' ' || coalesce(attached, ''), 100000))) stored,
    primary key (record, number)
);
create index on projection.communications (entry_index);
create index on projection.communications using gin (words);
create index on projection.communications (conversation) where conversation is not null;
create index on projection.communications (edited_from) where edited_from is not null;
create index on projection.communications (item) where item is not null;
-- First and last record of an account.
create index on projection.communications (account_id, entry_index) where account_id is not null;
create index on projection.communications (account_handle, entry_index) where account_handle is not null;
-- An account may turn out to be an advisor's after records of it were kept: found by who wrote them.
create index on projection.communications (author_id) where author_id is not null;
create index on projection.communications (lower(ltrim(author_handle, '@'))) where author_handle is not null;

-- What a communication carries or links. `field` is the sealed field that holds its bytes, `part` the multipart part of it.
create table projection.attachments (
    record      uuid    not null,
    entry_index bigint  not null,
    number      integer not null,
    position    integer not null,
    field       text,
    part        bigint,
    media_type  text,
    name        text,
    description text,
    reference   text,
    url         text,
    size        bigint,
    digest      text,
    primary key (record, number, position)
);

-- Every answer of an origin; the newest one also stands in its record.
create table projection.outcomes (
    entry_index bigint      not null primary key,
    entry       uuid        not null,
    record      uuid,
    capture     uuid        not null,
    at          timestamptz not null,
    state       text        not null,
    status      bigint,
    cause       text,
    size        bigint,
    reason      text
);
create index on projection.outcomes (record) where record is not null;

-- Whose key ended with which entry, and until when a backup may still open it.
create table projection.disposals (
    record            uuid        not null,
    entry_index       bigint      not null,
    at                timestamptz not null,
    rule              text        not null,
    backups_expire_at timestamptz not null,
    primary key (record, entry_index)
);

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

-- Entries that could not be projected whole, with the reason as a word. Verification names the same ones.
create table projection.faults (
    entry_index bigint not null primary key,
    problem     text   not null
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
