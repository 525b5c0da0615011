-- Alarms are few among what doors and devices tell, and are looked for by themselves.

create index door_events_alarms on door_events (received_at, id)
    where kind in ('door.forced', 'door.tamper', 'door.duress');
create index device_events_alarms on device_events (received_at, id)
    where kind in ('alarm.panic', 'alarm.fire', 'alarm.medical', 'alarm.intrusion', 'alarm.tamper');
