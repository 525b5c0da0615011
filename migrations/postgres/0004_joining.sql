-- Joining with the site's code, asking again for approvals that lapse, and why
-- somebody watches. A registration gives nothing until it is decided.

create table join_codes (
    site_id text primary key references sites (id) on delete cascade,
    token_hash bytea not null unique,
    created_by text not null references persons (id),
    created_at bigint not null
);

create table registrations (
    seq bigint generated always as identity primary key,
    id text not null unique,
    site_id text not null references sites (id),
    person_id text not null references persons (id),
    unit text not null,
    message text not null,
    state text not null,
    created_at bigint not null,
    decided_by text,
    decided_at bigint,
    reason text
);
create index registrations_by_site on registrations (site_id, state);
create index registrations_by_person on registrations (person_id);

-- The approval whose place this one is to take.
alter table approvals add column renews text;

-- Null in rows from before there was one.
alter table viewings add column purpose text;
