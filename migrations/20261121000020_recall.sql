-- What capture asks about after a restart: which of its own captures never got an outcome, and whether an item was seen before.
-- Both are answered from projections; a rebuild fills the new columns.

alter table projection.records add column source uuid;
create index on projection.records (source, entry_index) where type = 'capture' and outcome is null;

-- Changes when the item's content changes and not when its counters do: hex of a digest over somebody's text, so as sealed as that.
alter table projection.communications add column version text;

-- Rows that are there already are made again from the start.
truncate projection.records, projection.communications, projection.record_entries, projection.gaps, projection.advisors,
    projection.devices, projection.accounts, projection.officers, projection.looks, projection.verifications;
update projection.progress set next_index = 0;
