-- What is kept of a passkey is public: its key, its counter, its flags, as JSON
-- of the library that checks it. So it is not sealed. A session knows what it was
-- begun with.

create table passkeys (
    id text primary key,
    person_id text not null references persons (id),
    credential_id bytea not null unique,
    credential text not null,
    name text not null,
    created_at bigint not null,
    used_at bigint
);
create index passkeys_by_person on passkeys (person_id);

alter table sessions add column begun_by text not null default 'password';
