-- Alarms, incidents and joint defence. The table of incidents was there for the
-- policy alone, and nothing has filled it; it begins anew with all that belongs to one.

drop table incidents;

create table joint_groups (
    id text primary key,
    site_id text not null references sites (id),
    name text not null,
    created_at bigint not null,
    ended_at bigint
);
create index joint_groups_by_site on joint_groups (site_id);

-- A row is one consent, from until; who comes back consents again.
create table joint_group_members (
    seq bigint generated always as identity primary key,
    group_id text not null references joint_groups (id),
    household_id text not null references households (id),
    consented_by text not null references persons (id),
    consented_at bigint not null,
    left_at bigint
);
create unique index joint_group_members_now on joint_group_members (group_id, household_id)
    where left_at is null;
create index joint_group_members_by_household on joint_group_members (household_id);

create table incidents (
    seq bigint generated always as identity primary key,
    id text not null unique,
    site_id text not null references sites (id),
    place_id text not null references places (id),
    household_id text references households (id),
    -- What repeated alarms are put together by.
    point text not null,
    kind text not null,
    drill bigint not null,
    late bigint not null,
    group_id text references joint_groups (id),
    reporter text references persons (id),
    state text not null,
    version bigint not null,
    step text not null,
    assignee text,
    cancel_asked bigint not null,
    reference text,
    alarms bigint not null,
    opened_at bigint not null,
    last_alarm_at bigint not null,
    closed_at bigint
);
create index incidents_by_site on incidents (site_id, seq);
create index incidents_by_point on incidents (point, last_alarm_at);
create index incidents_by_household on incidents (household_id);
create index incidents_open on incidents (site_id) where closed_at is null;

create table incident_log (
    incident_id text not null references incidents (id),
    version bigint not null,
    at bigint not null,
    actor text,
    role text,
    act text not null,
    from_state text,
    to_state text not null,
    step text not null,
    assignee text,
    note text,
    primary key (incident_id, version)
);

-- The time limit that runs, and the version of the incident that set it.
create table incident_timers (
    incident_id text primary key references incidents (id),
    kind text not null,
    due_at bigint not null,
    version bigint not null
);

create table incident_reach (
    incident_id text not null references incidents (id),
    household_id text not null references households (id),
    answer text not null,
    asked_at bigint not null,
    answered_at bigint,
    primary key (incident_id, household_id)
);
create index incident_reach_by_household on incident_reach (household_id);

create table button_tests (
    seq bigint generated always as identity primary key,
    id text not null unique,
    site_id text not null references sites (id),
    device_id text not null references devices (id),
    person_id text not null,
    role text not null,
    worked bigint not null,
    note text,
    at bigint not null
);
create index button_tests_by_site on button_tests (site_id, seq);

-- What was answered to a request that carried a key, for a day.
create table idempotency (
    person_id text not null references persons (id),
    key text not null,
    hash bytea not null,
    answer text not null,
    at bigint not null,
    primary key (person_id, key)
);
create index idempotency_by_age on idempotency (at);

-- What has happened, for those who want to be told. Numbers are given out by the row
-- of the head, so that they become visible in their order.
create table outbox (
    seq bigint primary key,
    at bigint not null,
    topic text not null,
    site_id text not null,
    place_id text,
    object text not null,
    word text not null,
    drill bigint not null
);

create table outbox_head (
    id bigint primary key,
    seq bigint not null
);
insert into outbox_head (id, seq) values (1, 0);
