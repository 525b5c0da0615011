//! A registration is accepted: the administrator says which household it is, one
//! that lives there, a new one in a unit that is free, or one in a unit not
//! registered yet. Watching is another decision: the household then asks for it.

use crate::access::Who;
use crate::extract::{Json, Path, name};
use crate::registration::{RegistrationView, ask, decided, waiting};
use crate::{App, Problem, token};
use axum::extract::State;
use domain::household::{Household, Unit};
use domain::registration::State as RegistrationState;
use domain::{HouseholdId, PlaceId, SiteId, Timestamp, UnitId};
use serde::Deserialize;
use serde_json::json;

/// Exactly one of: `household_id`; `unit_id`; `label` with `entrance_id`.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptInput {
    /// They join this household.
    household_id: Option<String>,
    /// They are a new household in this unit.
    unit_id: Option<String>,
    /// They are the household of a new unit: what is on its door …
    label: Option<String>,
    /// … and its entrance.
    entrance_id: Option<String>,
}

/// Where somebody belongs, with what has to be made for it.
struct Home {
    unit: Option<Unit>,
    new: Option<Household>,
    household: HouseholdId,
}

impl Home {
    fn made_in(unit_id: UnitId, unit: Option<Unit>, from: Timestamp) -> Self {
        let id = HouseholdId::from_random(token::random());
        Self { unit, household: id.clone(), new: Some(Household { id, unit_id, from, until: None }) }
    }
}

/// Accept a registration.
#[utoipa::path(post, path = "/api/v1/registrations/{id}/accept", tag = "rights",
    operation_id = "accept_registration", params(("id" = String, Path)), request_body = AcceptInput,
    responses((status = 200, body = RegistrationView), (status = 404), (status = 409)))]
pub(crate) async fn accept(
    State(app): State<App>,
    who: Who,
    Path(registration): Path<String>,
    Json(input): Json<AcceptInput>,
) -> Result<axum::Json<RegistrationView>, Problem> {
    let mut registration = waiting(&app, &who, &registration).await?;
    let now = app.now();
    let home = home(&app, &registration.site_id, input, now).await?;
    registration.state = RegistrationState::Accepted;
    registration.decided_by = Some(who.person.id.clone());
    registration.decided_at = Some(now);
    let detail = json!({
        "person": registration.person_id,
        "household": home.household,
        "unit": home.unit.as_ref().map(|unit| &unit.id),
    });
    let site = Some(&registration.site_id);
    let accepted = app
        .noting(Some(&who.person.id), site, "registration.accepted", registration.id.as_str(), &detail)
        .accept_registration(&registration, home.unit.as_ref(), home.new.as_ref(), &home.household)
        .await?;
    if !accepted {
        return Err(Problem::Conflict("somebody else has just decided it; look at it again"));
    }
    app.changed();
    ask(&app, &registration, &home.household).await?;
    decided(&app, registration).await
}

async fn home(app: &App, site: &SiteId, input: AcceptInput, now: Timestamp) -> Result<Home, Problem> {
    match (input.household_id, input.unit_id, input.label, input.entrance_id) {
        (Some(text), None, None, None) => {
            let none = || Problem::field("/household_id", "no such household lives in this site");
            let household = HouseholdId::parse(&text).ok_or_else(none)?;
            let of_site = app.repository().households(site).await?;
            let there = |h: &Household| h.id == household && h.until.is_none_or(|until| now < until);
            if !of_site.iter().any(there) {
                return Err(none());
            }
            Ok(Home { unit: None, new: None, household })
        }
        (None, Some(text), None, None) => {
            let none = || Problem::field("/unit_id", "there is no such unit in this site");
            let unit = UnitId::parse(&text).ok_or_else(none)?;
            let unit = app.repository().unit(&unit).await?.filter(|unit| unit.site_id == *site);
            let unit = unit.ok_or_else(none)?;
            let of_site = app.repository().households(site).await?;
            if of_site.iter().any(|h| h.unit_id == unit.id && h.until.is_none_or(|until| now < until)) {
                let hint = "somebody lives there; name their household, or let them move out first";
                return Err(Problem::field("/unit_id", hint));
            }
            Ok(Home::made_in(unit.id, None, now))
        }
        (None, None, Some(label), Some(text)) => {
            let none = || Problem::field("/entrance_id", "there is no such place in this site");
            let entrance = PlaceId::parse(&text).ok_or_else(none)?;
            let place = app.repository().place(&entrance).await?.filter(|place| place.site_id == *site);
            let unit = Unit {
                id: UnitId::from_random(token::random()),
                site_id: site.clone(),
                entrance_id: place.ok_or_else(none)?.id,
                label: name("/label", &label)?,
                created_at: now,
            };
            Ok(Home::made_in(unit.id.clone(), Some(unit), now))
        }
        _ => Err(Problem::field(
            "/household_id",
            "say one: household_id, or unit_id, or label with entrance_id",
        )),
    }
}
