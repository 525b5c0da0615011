-- How a device tells that does not send to us: the MQTT topic it is known by, or where its alerts are fetched.
alter table devices add column mqtt_topic text;
create unique index devices_by_mqtt_topic on devices (mqtt_topic);
alter table devices add column pull_url text;
alter table devices add column pull_username text;
alter table devices add column pull_password_sealed blob;
