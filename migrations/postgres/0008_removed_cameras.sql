-- Who watched a camera can be read after it was removed: what is needed for that
-- stays. Of cameras that were removed before, the chain knows the site; their names
-- are lost, so they are called by their ids.

create table removed_cameras (
    id text primary key,
    site_id text not null references sites (id),
    name text not null,
    visibility text not null,
    removed_at bigint not null
);
create index removed_cameras_by_site on removed_cameras (site_id, removed_at);

insert into removed_cameras (id, site_id, name, visibility, removed_at)
    select object, min(site_id), object, 'residents', max(at) from audit
    where action = 'camera.delete' and site_id in (select id from sites)
        and object not in (select id from cameras)
    group by object;

-- A day has those who began before it ended and had not ended before it began; both
-- are in the index, so a day long ago does not read every row since.
create index viewings_by_day on viewings (camera_id, started_at, seq, ended_at);
drop index viewings_by_camera;

-- A site's approvals come in pages: all of them, or those in one state.
create index approvals_in_order on approvals (site_id, seq);
create index approvals_by_state on approvals (site_id, state, seq);
drop index approvals_by_site;
