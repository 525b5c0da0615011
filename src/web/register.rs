//! The registers, as those concerned may read them: who watched, who did what.

use crate::access::Who;
use crate::extract::{Path, Query, id};
use crate::schema::{List, next_after, word};
use crate::{App, Problem, token};
use axum::extract::State;
use domain::access::{Question, is_staff_of};
use domain::audit::Entry;
use domain::camera::{StreamKind, Visibility};
use domain::incident::is_own;
use domain::repository::{EntryFilter, Error, Hidden, Repository, ViewingFilter};
use domain::role::Role;
use domain::viewing::{Purpose, ViewingTransport};
use domain::{CameraId, PersonId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;

/// The most rows of a page, and how many if it is not said.
const MOST: u32 = 500;
const USUAL: u32 = 100;

impl App {
    /// The repository for one act, which is sealed into the chain with it: what cannot be
    /// written there is not done, and what is not done is not written there.
    pub(crate) fn noting(
        &self,
        actor: Option<&PersonId>,
        site: Option<&SiteId>,
        action: &str,
        object: &str,
        detail: &Value,
    ) -> Box<dyn Repository> {
        self.repository().noting(self.entry(actor, site, action, object, detail))
    }

    /// Seals what changes nothing here, or is about to be done, into the chain.
    pub(crate) async fn note(
        &self,
        actor: Option<&PersonId>,
        site: Option<&SiteId>,
        action: &str,
        object: &str,
        detail: &Value,
    ) -> Result<(), Problem> {
        self.repository().record(&self.entry(actor, site, action, object, detail)).await?;
        Ok(())
    }

    fn entry(
        &self,
        actor: Option<&PersonId>,
        site: Option<&SiteId>,
        action: &str,
        object: &str,
        detail: &Value,
    ) -> Entry {
        Entry {
            at: self.now(),
            actor: actor.cloned(),
            site_id: site.cloned(),
            action: action.to_owned(),
            object: object.to_owned(),
            detail: detail.to_string(),
        }
    }
}

/// One viewing. Residents read roles and times; names are for auditors, and for
/// one's own rows.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ViewingView {
    #[schema(schema_with = word::<Role>)]
    role: Role,
    #[schema(schema_with = word::<StreamKind>)]
    stream: StreamKind,
    #[schema(schema_with = word::<ViewingTransport>)]
    transport: ViewingTransport,
    /// Why: `resident_view`, `patrol`, `grid_work`, `incident` or `maintenance`; null in rows from before it was asked.
    #[schema(value_type = Option<String>)]
    purpose: Option<Purpose>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// Null while it goes on.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    seconds: Option<i64>,
    /// Whether it was the one who asks.
    own: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Day {
    /// A day of the site's time zone, like `2026-11-25`; today if it is not said.
    day: Option<String>,
    /// From the last page's `next`.
    cursor: Option<String>,
    /// Rows, at most 500.
    limit: Option<u32>,
}

/// Where a page of viewings ended, as it is sent.
fn viewings_cursor(text: &str) -> Option<(Timestamp, i64)> {
    let (began, seq) = text.split_once('.')?;
    Some((Timestamp(began.parse().ok()?), seq.parse().ok()?))
}

/// Since when a silent alarm goes on that this person must not learn of. That those on duty watch
/// for an incident would tell it to whoever forces somebody, from the phone of any resident.
async fn silent_since(app: &App, who: &Who, site: &SiteId) -> Result<Option<Timestamp>, Problem> {
    let now = app.now();
    let staff = is_staff_of(&who.standing, site, now);
    let silent = app.repository().silent_incidents(Some(site)).await?.into_iter();
    let hidden = silent.filter(|incident| !staff || is_own(&who.standing, incident, now));
    Ok(hidden.map(|incident| incident.opened_at).min())
}

/// Who watched this camera on a day, the newest first; also after it was removed. Whoever
/// watched over midnight is in both days.
///
/// What is watched for an incident while a silent alarm goes on is shown to residents when that is over.
#[utoipa::path(get, path = "/api/v1/cameras/{id}/viewings", tag = "registers", operation_id = "list_viewings",
    params(("id" = String, Path), Day), responses((status = 200, body = List<ViewingView>), (status = 404)))]
pub(crate) async fn viewings(
    State(app): State<App>,
    who: Who,
    Path(camera): Path<String>,
    Query(day): Query<Day>,
) -> Result<axum::Json<List<ViewingView>>, Problem> {
    let repository = app.repository();
    let camera = id(CameraId::parse, &camera)?;
    let site = match repository.camera(&camera).await? {
        Some(camera) => Some(camera.site_id),
        None => repository.removed_camera(&camera).await?.map(|removed| removed.site_id),
    };
    // Those who are filmed may read it, also of cameras that they may not watch.
    let site = site.filter(|site| who.may(&app, Question::ReadViewings(site))).ok_or(Problem::NotFound)?;
    let site = repository.site(&site).await?.ok_or(Problem::NotFound)?;
    let wrong = || Problem::field("day", "it is not a day; write it like 2026-11-25");
    let (since, until) = app.now().day(day.day.as_deref(), &site.time_zone).ok_or_else(wrong)?;
    let names = if who.may(&app, Question::ReadNames(&site.id)) {
        let people = repository.persons().await?;
        people.into_iter().map(|person| (person.id, person.name)).collect()
    } else {
        HashMap::from([(who.person.id.clone(), who.person.name.clone())])
    };
    let wrong = || Problem::field("cursor", "it is not from a list's next");
    let after = day.cursor.map(|text| viewings_cursor(&text).ok_or_else(wrong)).transpose()?;
    let limit = day.limit.unwrap_or(USUAL).clamp(1, MOST);
    let no_incident_since = silent_since(&app, &who, &site.id).await?;
    let filter = ViewingFilter { camera, since, until, after, no_incident_since, limit };
    let rows = repository.viewings(&filter).await?;
    let next = next_after(&rows, limit, |(seq, viewing)| format!("{}.{seq}", viewing.started_at.0));
    let views = rows.into_iter().map(|(_, viewing)| ViewingView {
        role: viewing.role,
        stream: viewing.stream,
        transport: viewing.transport,
        purpose: viewing.purpose,
        started_at: viewing.started_at,
        ended_at: viewing.ended_at,
        seconds: viewing.ended_at.map(|end| (end.0 - viewing.started_at.0) / 1_000_000),
        own: viewing.person_id == who.person.id,
        name: names.get(&viewing.person_id).cloned(),
    });
    Ok(axum::Json(List { items: views.collect(), next }))
}

/// A camera that was removed, whose register can be read.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct RemovedView {
    #[schema(value_type = String)]
    id: CameraId,
    #[schema(value_type = String)]
    site_id: SiteId,
    name: String,
    #[schema(value_type = String, format = DateTime)]
    removed_at: Timestamp,
}

/// Cameras that were removed from my sites: who watched them can still be read. Who only
/// lives there is shown those that residents might see.
#[utoipa::path(get, path = "/api/v1/removed-cameras", tag = "registers", operation_id = "list_removed_cameras",
    responses((status = 200, body = List<RemovedView>)))]
pub(crate) async fn removed(
    State(app): State<App>,
    who: Who,
) -> Result<axum::Json<List<RemovedView>>, Problem> {
    let repository = app.repository();
    let mut views = Vec::new();
    for site in repository.sites().await? {
        if !who.may(&app, Question::ReadViewings(&site.id)) {
            continue;
        }
        let staff = is_staff_of(&who.standing, &site.id, app.now());
        let cameras = repository.removed_cameras(&site.id).await?.into_iter();
        let shown = cameras.filter(|camera| staff || camera.visibility == Visibility::Residents);
        views.extend(shown.map(|removed| RemovedView {
            id: removed.id,
            site_id: removed.site_id,
            name: removed.name,
            removed_at: removed.removed_at,
        }));
    }
    Ok(axum::Json(List::whole(views)))
}

/// One entry of the audit log.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct EntryView {
    seq: i64,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = Option<String>)]
    actor: Option<PersonId>,
    #[schema(value_type = Option<String>)]
    site_id: Option<SiteId>,
    action: String,
    object: String,
    /// JSON, as text: exactly what is sealed.
    detail: String,
    /// Lower-case hexadecimal.
    hash: String,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Of this site; without it everything, for owners.
    site_id: Option<String>,
    /// From the last page's `next`.
    cursor: Option<String>,
    /// Rows, at most 500.
    limit: Option<u32>,
}

/// Silent alarms that go on and that this person must not learn of, whatever their role:
/// whoever forces somebody may be looking at the screen of an administrator who lives there,
/// or be them.
async fn hidden(app: &App, who: &Who, site: Option<&SiteId>) -> Result<Vec<Hidden>, Problem> {
    let now = app.now();
    let lives = who.standing.memberships.iter().any(|membership| membership.in_force(now));
    let silent = match app.repository().silent_incidents(site).await {
        // Where it is cannot be read: nobody's home whose who has none.
        Err(Error::Corrupt(_)) if !lives => Vec::new(),
        silent => silent?,
    };
    let own = silent.into_iter().filter(|incident| is_own(&who.standing, incident, now));
    let hidden = own.map(|incident| Hidden {
        incident: incident.id,
        site: incident.site_id,
        since: incident.opened_at,
    });
    Ok(hidden.collect())
}

/// The audit log, the newest first: for auditors and administrators of a site, and for owners.
///
/// What tells of a silent alarm at one's own home, or of one's own, is shown when it is over.
#[utoipa::path(get, path = "/api/v1/audit", tag = "registers", operation_id = "list_audit", params(Filter),
    responses((status = 200, body = List<EntryView>), (status = 403), (status = 404)))]
pub(crate) async fn audit(
    State(app): State<App>,
    who: Who,
    Query(filter): Query<Filter>,
) -> Result<axum::Json<List<EntryView>>, Problem> {
    let site = filter.site_id.map(|site| id(SiteId::parse, &site)).transpose()?;
    if !who.may(&app, Question::ReadAudit(site.as_ref())) {
        let forbidden = who.forbidden(&app, site.as_ref());
        return Err(if site.is_some() { Problem::NotFound } else { forbidden });
    }
    let cursor = filter.cursor.map(|text| text.parse::<i64>()).transpose();
    let before = cursor.map_err(|_| Problem::field("cursor", "it is not from a list's next"))?;
    let limit = filter.limit.unwrap_or(USUAL).clamp(1, MOST);
    let hidden = hidden(&app, &who, site.as_ref()).await?;
    let filter = EntryFilter { site, before: before.unwrap_or(i64::MAX), hidden, limit };
    let links = app.repository().audit(&filter).await?;
    let next = next_after(&links, limit, |link| link.seq.to_string());
    let items = links.into_iter().map(|link| EntryView {
        seq: link.seq,
        at: link.entry.at,
        actor: link.entry.actor,
        site_id: link.entry.site_id,
        action: link.entry.action,
        object: link.entry.object,
        detail: link.entry.detail,
        hash: token::hex(&link.hash),
    });
    Ok(axum::Json(List { items: items.collect(), next }))
}

/// The end of the chain: note it somewhere else, and a cut will show.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct HeadView {
    seq: i64,
    /// Lower-case hexadecimal.
    hash: String,
}

/// The end of the audit chain, for everybody who is signed in.
#[utoipa::path(get, path = "/api/v1/audit/head", tag = "registers", operation_id = "audit_head",
    responses((status = 200, body = HeadView)))]
pub(crate) async fn head(State(app): State<App>) -> Result<axum::Json<HeadView>, Problem> {
    let head = app.repository().head().await?;
    Ok(axum::Json(HeadView { seq: head.seq, hash: token::hex(&head.hash) }))
}
