-- Search: words in four languages, and any characters, with an index each.
--
-- Which forms of which words are kept is decided by the program and not by the database's dictionaries, which have no Czech and no
-- Polish, and of which a managed server may have others.

-- Trigrams are an extension that comes with Postgres (contrib) and that the owner of a database may create.
do $$
begin
    if not exists (select from pg_extension where extname = 'pg_trgm') then
        create schema if not exists extensions;
        create extension pg_trgm with schema extensions;
    end if;
end
$$;

alter table projection.communications drop column words;
alter table projection.communications
    -- Forms of the words of its text and of what is attached, and their places.
    add column words  tsvector,
    -- The same text without case and diacritics, for searches of any characters.
    add column folded text;
create index on projection.communications using gin (words);
do $$
begin
    execute format('create index on projection.communications using gin (folded %I.gin_trgm_ops)',
                   (select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_trgm'));
end
$$;

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
