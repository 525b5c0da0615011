-- Whoever has taken an incident and does nothing is not waited for any more, nor is the end of
-- the chain. What stands so already gets its limit: three minutes, or ten, from when it did.
insert into incident_timers (incident_id, kind, due_at, version)
select i.id,
    case when i.state = 'acked' and i.step <> 'decide' then 'assign' else 'remind' end,
    (select max(l.at) from incident_log l where l.incident_id = i.id)
        + case when i.state = 'acked' and i.step <> 'decide' then 180000000 else 600000000 end,
    i.version
from incidents i
where i.drill = 0 and i.state in ('open', 'reopened', 'acked', 'dispatched', 'accepted')
    and not exists (select 1 from incident_timers t where t.incident_id = i.id);
