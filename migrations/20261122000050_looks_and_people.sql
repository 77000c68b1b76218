-- Who looked at whom, who was who when, and which settings were in force: what the access log, histories and the inventory read.
--
-- The projections are emptied here and fill themselves again.
truncate projection.records, projection.communications, projection.record_entries, projection.gaps, projection.advisors,
         projection.devices, projection.accounts, projection.officers, projection.looks, projection.verifications,
         projection.attachments, projection.outcomes, projection.disposals, projection.faults;
update projection.progress set next_index = 0;

alter table projection.looks
    -- Whose records were shown, late attributions included, and whom the look asked for.
    add column advisors uuid[] not null,
    -- The acting accounts of the records shown: the network, then `#` and its id there or `@` and its handle. Emptied with the record.
    add column accounts text[] not null,
    -- Advisors, devices, accounts and officers that were shown themselves.
    add column subjects uuid[] not null;
create index on projection.looks using gin (advisors);
create index on projection.looks using gin (accounts);
create index on projection.looks using gin (subjects);
create index on projection.looks (at, entry_index);
drop index projection.looks_officer_idx;
create index on projection.looks (officer, entry_index);
create index on projection.looks (operation, entry_index);
create index on projection.looks (entry_index) where not allowed;

-- Every `identity` entry about a person or a thing of theirs.
create table projection.identities (
    entry_index bigint      not null primary key,
    at          timestamptz not null,
    subject     text        not null,
    change      text        not null,
    id          uuid        not null,
    -- As in entries: `service:command`, `device:…`.
    actor       text        not null,
    advisor     uuid,
    network     text,
    role        text,
    name        text,
    handle      text,
    network_id  text,
    -- Whose key seals what is readable here.
    record      uuid
);
create index on projection.identities (id, entry_index);

alter table projection.officers
    -- Until when the token is taken, which operations it reaches and whose records; no operations and no advisors: all of them.
    add column expires_at timestamptz,
    add column operations text[] not null default '{}',
    add column advisors   uuid[] not null default '{}';

-- Which settings, rules and software were in force from when on. The settings themselves stay sealed.
create table projection.settings (
    entry_index bigint      not null primary key,
    at          timestamptz not null,
    change      text        not null,
    rules       text,
    software    text,
    source      uuid        not null,
    record      uuid
);

select ledger.grant_projection('projection');
