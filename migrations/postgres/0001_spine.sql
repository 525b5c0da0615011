-- Ids are text, times are microseconds UTC, truth values are 0 or 1: what both
-- databases and one SQL text can share. The SQLite file differs only in
-- bytea/bytea and in how the order columns count.

create table sites (
    id text primary key,
    name text not null,
    kind text not null,
    time_zone text not null,
    resident_policy text not null,
    created_at bigint not null
);

create table places (
    id text primary key,
    site_id text not null references sites (id),
    parent_id text references places (id),
    name text not null,
    kind text not null,
    created_at bigint not null
);
create index places_by_site on places (site_id);

create table cameras (
    id text primary key,
    site_id text not null references sites (id),
    place_id text not null references places (id),
    name text not null,
    main_url text not null,
    sub_url text,
    username text,
    password_sealed bytea,
    allow_basic bigint not null,
    transport text not null,
    pull text not null,
    purpose text not null,
    responsible_unit text not null,
    visibility text not null,
    audio_reason text,
    floor_days bigint not null,
    ceiling_days bigint not null,
    latitude double precision,
    longitude double precision,
    created_at bigint not null
);
create index cameras_by_place on cameras (place_id);

create table persons (
    id text primary key,
    login text not null unique,
    name text not null,
    locale text not null,
    password_hash text not null,
    disabled bigint not null,
    created_at bigint not null
);

create table grants (
    id text primary key,
    person_id text not null references persons (id),
    role text not null,
    site_id text references sites (id),
    entrance_id text references places (id),
    from_at bigint not null,
    until_at bigint
);
create index grants_by_person on grants (person_id);

create table sessions (
    id text primary key,
    person_id text not null references persons (id),
    token_hash bytea not null unique,
    user_agent text not null,
    created_at bigint not null,
    seen_at bigint not null,
    expires_at bigint not null
);
create index sessions_by_person on sessions (person_id);

create table viewer_keys (
    id text primary key,
    person_id text not null references persons (id),
    login text not null unique,
    name text not null,
    ha1_md5_sealed bytea not null,
    ha1_sha256_sealed bytea not null,
    created_at bigint not null
);
create index viewer_keys_by_person on viewer_keys (person_id);

create table devices (
    id text primary key,
    site_id text not null references sites (id),
    place_id text not null references places (id),
    name text not null,
    kind text not null,
    token_hash bytea unique,
    created_at bigint not null
);

create table door_events (
    seq bigint generated always as identity primary key,
    id text not null unique,
    source text not null,
    event_id text not null,
    device_id text not null references devices (id),
    site_id text not null,
    place_id text not null,
    kind text not null,
    quality text not null,
    direction text,
    method text,
    reason text,
    device_time bigint,
    received_at bigint not null,
    -- Within a device: one device cannot make another's events look like duplicates.
    unique (device_id, source, event_id)
);
create index door_events_by_place on door_events (place_id, seq);
create index door_events_by_site on door_events (site_id, seq);

create table viewings (
    seq bigint generated always as identity primary key,
    id text not null unique,
    person_id text not null,
    role text not null,
    camera_id text not null,
    stream text not null,
    transport text not null,
    started_at bigint not null,
    ended_at bigint
);
create index viewings_by_camera on viewings (camera_id, seq);
create index viewings_open on viewings (ended_at) where ended_at is null;
