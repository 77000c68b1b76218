-- An account may turn out to be an advisor's after records of it were kept: found by who wrote them.
create index on projection.communications (author_id) where author_id is not null;
create index on projection.communications (lower(ltrim(author_handle, '@'))) where author_handle is not null;
