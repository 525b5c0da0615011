-- Rights belong to households: units, households, their members, approvals,
-- invitations; roles may be held for a zone. Resident is no longer a role that
-- is given, so grants of it go; nobody held one outside a demo.

create table zones (
    id text primary key,
    site_id text not null references sites (id),
    name text not null,
    created_at bigint not null
);

create table zone_places (
    zone_id text not null references zones (id) on delete cascade,
    place_id text not null references places (id) on delete cascade,
    primary key (zone_id, place_id)
);

create table grants_new (
    id text primary key,
    person_id text not null references persons (id),
    role text not null,
    site_id text references sites (id),
    zone_id text references zones (id),
    from_at bigint not null,
    until_at bigint
);
insert into grants_new (id, person_id, role, site_id, from_at, until_at)
    select id, person_id, role, site_id, from_at, until_at from grants where role <> 'resident';
drop table grants;
alter table grants_new rename to grants;
create index grants_by_person on grants (person_id);

create table units (
    id text primary key,
    site_id text not null references sites (id),
    entrance_id text not null references places (id),
    label text not null,
    created_at bigint not null,
    unique (site_id, label)
);

create table households (
    id text primary key,
    unit_id text not null references units (id),
    from_at bigint not null,
    until_at bigint
);
create index households_by_unit on households (unit_id);

create table household_members (
    person_id text not null references persons (id),
    household_id text not null references households (id),
    from_at bigint not null,
    until_at bigint,
    primary key (person_id, household_id)
);
create index household_members_by_household on household_members (household_id);

create table approvals (
    seq integer primary key autoincrement,
    id text not null unique,
    site_id text not null references sites (id),
    household_id text references households (id),
    person_id text references persons (id),
    camera_id text,
    place_id text,
    state text not null,
    from_at bigint not null,
    until_at bigint not null,
    schedule text,
    message text not null,
    requested_by text not null references persons (id),
    requested_at bigint not null,
    decided_by text,
    decided_at bigint,
    reason text
);
create index approvals_by_site on approvals (site_id, state);
create index approvals_by_household on approvals (household_id);
create index approvals_by_person on approvals (person_id);

create table invitations (
    id text primary key,
    household_id text not null references households (id),
    token_hash blob not null unique,
    created_by text not null references persons (id),
    created_at bigint not null,
    expires_at bigint not null,
    used_by text references persons (id)
);

create table incidents (
    id text primary key,
    site_id text not null references sites (id),
    opened_at bigint not null,
    closed_at bigint
);
create index incidents_open on incidents (site_id) where closed_at is null;
