-- What projections say of content that cannot be read, of answers, attachments and disposals.
--
-- Emptied here; the projector fills them again by itself. The same holds after a restore from a backup without their rows
-- (`pg_dump --exclude-table-data='projection.*'`), which is how evidence backups leave readable text out.

truncate projection.records, projection.communications, projection.record_entries, projection.gaps, projection.advisors,
         projection.devices, projection.accounts, projection.officers, projection.looks, projection.verifications;
update projection.progress set next_index = 0;

-- The newest entry that added, changed or revoked an advisor, device or officer: whoever remembers something about a
-- credential looks here whether that may still hold.
alter table projection.progress add column people bigint not null default 0;

-- What became of the sealed fields of its first entry: `none` (there are none), `readable`, `unreadable` (`faults` says why),
-- `disposed`.
alter table projection.records add column content text not null;
create index on projection.records (at, entry_index);
create index on projection.records (device, entry_index) where device is not null;
-- What was refused, is unknown or is still awaited is rare, and looked for.
create index on projection.records (entry_index) where type = 'capture' and state is null;
create index on projection.records (state, entry_index) where state <> 'accepted';
create index on projection.records using gin (kinds, flags);

alter table projection.communications drop column words;
alter table projection.communications
    add column recipients text,
    add column followers  bigint,
    add column detail     text,
    -- Names and descriptions of what is attached: found together with the text.
    add column attached   text,
    add column words      tsvector generated always as (
        to_tsvector('simple', left(coalesce(text, '') || ' ' || coalesce(attached, ''), 100000))) stored;
create index on projection.communications using gin (words);
create index on projection.communications (edited_from) where edited_from is not null;
create index on projection.communications (account_handle, entry_index) where account_handle is not null;
-- First and last record of an account.
drop index projection.communications_account_id_idx;
create index on projection.communications (account_id, entry_index) where account_id is not null;

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

-- Entries that could not be projected whole, with the reason as a word. Verification names the same ones.
create table projection.faults (
    entry_index bigint not null primary key,
    problem     text   not null
);

select ledger.grant_projection('projection');
