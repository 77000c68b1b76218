-- Content that cannot be read, is disposed of or never was is the lesser part, and looked for.
create index on projection.records (content, entry_index) where content <> 'readable';
