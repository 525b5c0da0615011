-- What leaves the house when an alarm calls people, and how they can be reached.

create table messages (
    seq bigint generated always as identity primary key,
    id text not null unique,
    incident_id text not null references incidents (id),
    -- The row of the incident's log that calls.
    version bigint not null,
    lane text not null,
    -- A person's id; empty for a channel of the settings.
    receiver text not null,
    -- The subscription of one of their browsers; empty elsewhere.
    device text not null,
    urgent bigint not null,
    state text not null,
    attempt bigint not null,
    due_at bigint not null,
    made_at bigint not null,
    tried_at bigint,
    reason text
);
-- Whoever reads the outbox again, after a crash, makes nothing twice.
create unique index messages_once on messages (incident_id, version, lane, receiver, device);
create index messages_due on messages (lane, due_at) where state = 'waiting';
create index messages_tried on messages (lane, tried_at);
create index messages_by_age on messages (made_at);

-- How far the outbox has been read for them: from now on, not from the beginning.
create table messages_read (
    id bigint primary key,
    seq bigint not null
);
insert into messages_read (id, seq) select 1, seq from outbox_head where id = 1;

create table contacts (
    person_id text primary key references persons (id) on delete cascade,
    mail text,
    phone text,
    -- Minutes of the day in the site's time.
    quiet_from bigint,
    quiet_until bigint
);

-- A browser's address at its push service ends with the session it was given in.
create table subscriptions (
    id text primary key,
    person_id text not null references persons (id) on delete cascade,
    session_id text not null unique references sessions (id) on delete cascade,
    endpoint text not null unique,
    key bytea not null,
    auth bytea not null,
    created_at bigint not null
);
create index subscriptions_by_person on subscriptions (person_id);
