-- What a question as of an earlier size of the ledger needs: when each thing that may change became known.
--
-- A row of `records` and `communications` says how things stand. Where a record got no entry at or after the size asked for
-- (`last_index`), that is also how they stood; otherwise it is read from here.

-- Records that became an advisor's after they were kept: from which entry on.
create table projection.attributions (
    record      uuid   not null,
    advisor     uuid   not null,
    entry_index bigint not null,
    primary key (record, advisor)
);

-- What is known of a communication's place on the network, and since which entry: what its own entry said (only where an answer said
-- something later), and what each answer said. The newest word on each counts.
create table projection.made (
    record      uuid    not null,
    entry_index bigint  not null,
    number      integer not null,
    item        text,
    permalink   text,
    occurred_at text,
    primary key (record, number, entry_index)
);
create index on projection.made (item) where item is not null;

-- How an account was known, since which entry.
create table projection.account_versions (
    account     uuid   not null,
    entry_index bigint not null,
    network     text,
    network_id  text,
    handle      text,
    record      uuid,
    primary key (account, entry_index)
);

create index on projection.outcomes (capture, entry_index);
create index on projection.outcomes (state, entry_index) where state <> 'accepted';

-- Threads are followed up and down; whoever wrote without being named as the author did so under an account.
create index on projection.communications (parent) where parent is not null;
create index on projection.communications (root) where root is not null;
create index on projection.communications (lower(ltrim(account_handle, '@'))) where account_handle is not null;
-- How rare a handle is decides whether the index is begun with; nothing is known of expressions otherwise.
create statistics projection.communications_author on (lower(ltrim(author_handle, '@'))) from projection.communications;
create statistics projection.communications_acted on (lower(ltrim(account_handle, '@'))) from projection.communications;
-- What was recognised again from the same exchange, and what was seen to replace what.
create index on projection.records (derived_from) where derived_from is not null;
create index on projection.records (previous_version) where previous_version is not null;
-- From a gap to the records of the same exchange.
create index on projection.records (exchange);
create index on projection.gaps (cause, entry_index);

-- Rows that are there already are made again from the start.
truncate projection.records, projection.communications, projection.record_entries, projection.gaps, projection.advisors,
    projection.devices, projection.accounts, projection.officers, projection.looks, projection.verifications,
    projection.attachments, projection.outcomes, projection.disposals, projection.faults;
update projection.progress set next_index = 0;

select ledger.grant_projection('projection');
