-- Counts changes of rights that were made by another process, so that a gateway
-- which runs ends what rests on them.

create table change_signal (
    id bigint primary key,
    count bigint not null
);
insert into change_signal (id, count) values (1, 0);
