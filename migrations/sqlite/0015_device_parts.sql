-- A device may be in a home: its alarms are that household's. And its parts may be somewhere of their own:
-- doors of a controller, inputs of a panel.
alter table devices add column household_id text references households (id);

create table device_parts (
    device_id text not null references devices (id),
    part text not null,
    name text,
    place_id text not null references places (id),
    household_id text references households (id),
    primary key (device_id, part)
);

-- Of a part that has no place although others of its device have one: residents are not told of it.
alter table door_events add column staff_only bigint not null default 0;
