-- A zone that is removed stays for the roles that were once held in it. What the
-- sealing key of this database opens, so that another key is noticed at the start
-- and a change of key is whole.

alter table zones add column removed_at bigint;

create table sealing_check (
    id bigint primary key,
    sealed bytea not null
);
