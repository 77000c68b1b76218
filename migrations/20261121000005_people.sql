-- Secrets by which people and devices are known. Who they are is in the ledger (`identity` entries) and, readable, in the
-- projections; only these hashes are nowhere else, so a rebuild leaves them alone and a lost table means new credentials.
-- A row by itself lets nobody in: the device or officer must also be registered, and not revoked, in the ledger.

create table people.credentials (
    device uuid not null constraint credentials_pkey primary key,
    -- PHC string: argon2id with its parameters and salt.
    hash   text not null constraint credentials_hash check (hash like '$argon2id$%' and octet_length(hash) <= 512)
);

create table people.tokens (
    -- SHA-256 of a token of 32 random bytes.
    hash    bytea not null constraint tokens_pkey primary key constraint tokens_hash check (octet_length(hash) = 32),
    officer uuid  not null
);

create trigger append_only_rows before update or delete on people.credentials
    for each row execute function ledger.refuse_change();
create trigger append_only_rows before update or delete on people.tokens
    for each row execute function ledger.refuse_change();

grant select, insert on people.credentials, people.tokens to muniment_append;
