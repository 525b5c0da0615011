-- What devices tell that is not about a door; and the camera that saw a door event.

create table device_events (
    seq integer primary key autoincrement,
    id text not null unique,
    source text not null,
    event_id text not null,
    device_id text not null references devices (id),
    site_id text not null,
    place_id text not null,
    kind text not null,
    quality text not null,
    device_time bigint,
    received_at bigint not null,
    unique (device_id, source, event_id)
);
create index device_events_by_place on device_events (place_id, seq);
create index device_events_by_age on device_events (received_at);

-- Where to look for a door event, with its picture if there is one. It goes with the event.
create table door_bookmarks (
    door_event_id text primary key references door_events (id) on delete cascade,
    camera_id text not null,
    from_at bigint not null,
    until_at bigint not null,
    taken_at bigint,
    jpeg blob
);
create index door_events_by_age on door_events (received_at);
