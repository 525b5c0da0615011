-- The registers: viewings know their bytes, and everything that happens is
-- sealed into one chain. `audit_head` is its end; the hash of an entry covers
-- the entry and the hash before it.

alter table viewings add column bytes bigint not null default 0;

create table audit (
    seq bigint primary key,
    at bigint not null,
    actor text,
    site_id text,
    action text not null,
    object text not null,
    detail text not null,
    hash blob not null
);
create index audit_by_site on audit (site_id, seq);

create table audit_head (
    id bigint primary key,
    seq bigint not null,
    hash blob not null
);
