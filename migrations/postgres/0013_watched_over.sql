-- Whoever has taken an incident and does nothing is not waited for any more, nor is the end of
-- the chain. What stands so already gets its limit: three minutes, or ten, from now on, so that
-- nobody is called for the time before there was one. What nobody has raised for a day stays in the
-- list, as it did, and calls nobody.
insert into incident_timers (incident_id, kind, due_at, version)
select i.id,
    case when i.state = 'acked' and i.step <> 'decide' then 'assign' else 'remind' end,
    cast(extract(epoch from now()) * 1000000 as bigint)
        + case when i.state = 'acked' and i.step <> 'decide' then 180000000 else 600000000 end,
    i.version
from incidents i
where i.drill = 0 and i.state in ('open', 'reopened', 'acked', 'dispatched', 'accepted')
    and i.last_alarm_at > cast(extract(epoch from now()) * 1000000 as bigint) - 86400000000
    and not exists (select 1 from incident_timers t where t.incident_id = i.id);

-- A button that is being tried: its next press is a test and no alarm.
create table button_trials (
    device_id text primary key references devices (id),
    -- The id that the test has in its ledger.
    id text not null,
    site_id text not null references sites (id),
    person_id text not null references persons (id),
    role text not null,
    from_at bigint not null,
    until_at bigint not null
);
create index button_tests_by_device on button_tests (device_id, at);
