-- Webhooks: who set them up is in the ledger, what waits to be delivered is not.

-- The newest word of the ledger on each webhook (`settings` entries whose `change` is `webhook_…`; their `record` is the webhook). Where
-- it leads, and on whose behalf, is sealed in those entries and read there: a row exchanged here leads nowhere else.
create table projection.webhooks (
    webhook     uuid        not null primary key,
    -- The newest entry, and the first.
    entry_index bigint      not null,
    added_index bigint      not null,
    added_at    timestamptz not null,
    changed_at  timestamptz not null,
    -- `enabled`, `disabled`, `removed`.
    state       text        not null,
    record      uuid        not null
);
create index on projection.webhooks (added_index);
select ledger.grant_projection('projection');

-- Keys that sign deliveries, wrapped under the master key. Never in the ledger; which of them count stands in its entries.
create table people.webhook_secrets (
    secret  uuid  not null constraint webhook_secrets_pkey primary key,
    webhook uuid  not null,
    wrapped bytea not null constraint webhook_secrets_wrapped check (octet_length(wrapped) <= 256)
);
create index on people.webhook_secrets (webhook);
grant select, insert, delete on people.webhook_secrets to muniment_append;

-- What is on its way out, and answers that may be asked for again: no evidence, and gone when it has been done. What left is on record
-- in the ledger before it leaves. A backup without these rows repeats deliveries (receivers tell them apart by their id) or begins anew.
create schema delivery;
revoke all on schema delivery from public;
grant usage on schema delivery to muniment_append;

-- How far each webhook is, and which process delivers it now.
create table delivery.positions (
    webhook       uuid        not null primary key,
    next_index    bigint      not null,
    holder        uuid,
    held_until    timestamptz not null default '-infinity',
    -- Since when nothing could be delivered; none while it goes well.
    failing_since timestamptz
);

-- Messages made and not yet taken, and the last ones that were.
create table delivery.messages (
    number      bigint      generated always as identity primary key,
    -- The `webhook-id` of every attempt, without its prefix.
    message     uuid        not null unique,
    webhook     uuid        not null,
    sort        text        not null constraint messages_sort check (sort in ('events', 'ping')),
    first_index bigint,
    last_index  bigint,
    events      bigint      not null,
    body        bytea       not null constraint messages_body check (octet_length(body) <= 1048576),
    made_at     timestamptz not null default now(),
    state       text        not null default 'waiting' constraint messages_state check (state in ('waiting', 'delivered', 'dead')),
    attempts    integer     not null default 0,
    due_at      timestamptz not null default now(),
    tried_at    timestamptz,
    -- What the last attempt came to: a status, or why there was none.
    status      integer,
    cause       text
);
create index on delivery.messages (webhook, state, number);

-- Writes that came with an idempotency key: what was asked, as a keyed digest, and the answer, sealed.
create table delivery.answers (
    id          uuid        not null primary key,
    officer     uuid        not null,
    operation   text        not null,
    key         bytea       not null constraint answers_key check (octet_length(key) = 32),
    fingerprint bytea       not null constraint answers_fingerprint check (octet_length(fingerprint) = 32),
    -- The entry that does it, if it is in the ledger.
    entry       uuid        not null,
    made_at     timestamptz not null default now(),
    begun_at    timestamptz not null default now(),
    answer      bytea       constraint answers_answer check (octet_length(answer) <= 65536),
    unique (officer, operation, key)
);
create index on delivery.answers (made_at);

grant select, insert, update, delete on all tables in schema delivery to muniment_append;
