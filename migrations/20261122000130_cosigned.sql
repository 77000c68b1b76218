-- Checkpoints with the cosignatures of witnesses: evidence, so they are kept beside the checkpoints and as these are.
--
-- One row for each time that further cosignatures came: the whole note, with all lines there were by then, in the order of key names and
-- ids. An `anchor` entry names its SHA-256. Whoever adds to a note that somebody else has added to meets the primary key, reads again and adds
-- to what is there then, so that no cosignature is lost between two processes.
create table ledger.cosigned (
    size         bigint  not null constraint cosigned_checkpoint references ledger.checkpoints (size),
    -- How many cosignatures it has.
    cosignatures integer not null constraint cosigned_cosignatures check (cosignatures between 1 and 99),
    note         text    not null constraint cosigned_note check (octet_length(note) <= 65535),
    at           timestamptz not null,
    constraint cosigned_pkey primary key (size, cosignatures)
);
create trigger append_only_rows before update or delete on ledger.cosigned
    for each row execute function ledger.refuse_change();
create trigger append_only_table before truncate on ledger.cosigned
    for each statement execute function ledger.refuse_change();

grant select on ledger.cosigned to muniment_append, muniment_publish, muniment_project;
grant insert on ledger.cosigned to muniment_publish;
