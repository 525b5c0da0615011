//! Joining with a site's code: somebody makes an account and claims to live in a
//! unit. The claim gives nothing; it waits until an administrator of the site
//! matches it to a household, or refuses it with a reason.
//!
//! Nobody chooses a login here, the gateway makes one: so there is no answer that
//! tells whether a login exists. And nobody is shown which units there are: the claim
//! is in one's own words.

use crate::access::Who;
use crate::extract::{Json, Path, Query, id, name, optional_name};
use crate::refused::{By, Refusal};
use crate::schema::{List, word};
use crate::serve::Peer;
use crate::{App, Problem, renewal, session, setup, token};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use domain::person::{Person, SignedInBy};
use domain::registration::{Filed, JoinCode, Registration, State as RegistrationState};
use domain::{PersonId, RegistrationId, Secret, SiteId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::net::IpAddr;

/// How often a login is made anew if it is taken: they have eight digits.
const TRIES: usize = 4;

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewResident {
    /// The site's code, from its link.
    code: String,
    name: String,
    #[schema(format = Password, min_length = 10)]
    password: String,
    /// `zh-CN` (the default) or `en`.
    locale: Option<String>,
    /// Where they live, in their own words.
    unit: String,
    /// What they want to say to the administrator.
    message: Option<String>,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClaimInput {
    /// The site's code, from its link.
    code: String,
    /// Where they live, in their own words.
    unit: String,
    /// What they want to say to the administrator.
    message: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct RegistrationView {
    #[schema(value_type = String)]
    id: RegistrationId,
    #[schema(value_type = String)]
    site_id: SiteId,
    /// The site's name: who waits may not see the site itself.
    site: String,
    /// Who they say they are.
    name: String,
    #[schema(value_type = String)]
    person_id: PersonId,
    unit: String,
    message: String,
    #[schema(schema_with = word::<RegistrationState>)]
    state: RegistrationState,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    decided_at: Option<Timestamp>,
    reason: Option<String>,
}

fn view(registration: Registration, site: &str, name: &str) -> RegistrationView {
    RegistrationView {
        id: registration.id,
        site_id: registration.site_id,
        site: site.to_owned(),
        name: name.to_owned(),
        person_id: registration.person_id,
        unit: registration.unit,
        message: registration.message,
        state: registration.state,
        created_at: registration.created_at,
        decided_at: registration.decided_at,
        reason: registration.reason,
    }
}

/// The site of a code that works now. Wrong, changed and switched off answer alike.
async fn site_of(app: &App, code: &str, address: IpAddr) -> Result<JoinCode, Problem> {
    let refused = |action| {
        let (by, at, object) = (By::Address(address), app.now(), "join_code".to_owned());
        app.parts.refusals.tell(Refusal {
            by,
            at,
            actor: None,
            site: None,
            action,
            object,
            detail: json!({}),
        });
    };
    app.throttle.take(code, None, address).inspect_err(|_| refused("registration.throttled"))?;
    let known = app.repository().join_code_by_token(&token::hash(code)).await?;
    let known = known.ok_or_else(|| {
        refused("registration.refused");
        Problem::LinkOver
    })?;
    app.throttle.take_registration(address).inspect_err(|_| refused("registration.throttled"))?;
    Ok(known)
}

fn claim(
    app: &App,
    site: SiteId,
    person: PersonId,
    unit: &str,
    message: Option<&str>,
) -> Result<Registration, Problem> {
    Ok(Registration {
        id: RegistrationId::from_random(token::random()),
        site_id: site,
        person_id: person,
        unit: name("/unit", unit)?,
        message: optional_name("/message", message)?.unwrap_or_default(),
        state: RegistrationState::Waiting,
        created_at: app.now(),
        decided_by: None,
        decided_at: None,
        reason: None,
    })
}

fn filed(filed: Filed) -> Result<(), Problem> {
    match filed {
        Filed::Waiting => Ok(()),
        Filed::WrongCode => Err(Problem::LinkOver),
        Filed::Full => Err(Problem::Conflict(
            "too many registrations are waiting in this site; ask its administrator to decide them first",
        )),
        Filed::Already => {
            Err(Problem::Conflict("your registration is waiting already; the administrator decides it"))
        }
    }
}

/// Eight digits: easy to read out and to type on a phone.
fn new_login() -> String {
    let number = u64::from_be_bytes(token::random()) % 100_000_000;
    format!("{number:08}")
}

/// Make an account with a site's code. The login is made by the gateway and is in the answer.
#[utoipa::path(post, path = "/api/v1/register", tag = "accounts", operation_id = "register",
    request_body = NewResident,
    responses((status = 201, body = session::SignedIn), (status = 409, description = "too many are waiting"),
        (status = 410, description = "the code is not one, or not any more"),
        (status = 429, description = "too many tries")))]
pub(crate) async fn register(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Json(input): Json<NewResident>,
) -> Result<impl IntoResponse, Problem> {
    let address = session::address(&app, peer.address.ip(), &headers);
    let code = site_of(&app, &input.code, address).await?;
    setup::check_password("/password", &input.password)?;
    let mut person = Person {
        id: PersonId::from_random(token::random()),
        login: new_login(),
        name: name("/name", &input.name)?,
        locale: setup::locale(input.locale)?,
        password_hash: Secret::new(""),
        disabled: false,
        created_at: app.now(),
    };
    let claim = claim(&app, code.site_id, person.id.clone(), &input.unit, input.message.as_deref())?;
    person.password_hash = app.passwords.hash(Secret::new(input.password)).await;
    let detail = json!({ "person": person.id, "account": "new" });
    let site = Some(&claim.site_id);
    let repository = app.noting(Some(&person.id), site, "registration.create", claim.id.as_str(), &detail);
    for left in (0..TRIES).rev() {
        match repository.register(&code.token_hash, &claim, Some(&person)).await {
            Err(domain::repository::Error::Exists) if left > 0 => person.login = new_login(),
            other => {
                filed(other?)?;
                break;
            }
        }
    }
    session::begin(&app, person, SignedInBy::Password, &headers, StatusCode::CREATED).await
}

/// Claim a unit with the account one has.
#[utoipa::path(post, path = "/api/v1/registrations", tag = "accounts", operation_id = "create_registration",
    request_body = ClaimInput,
    responses((status = 201, body = RegistrationView), (status = 409),
        (status = 410, description = "the code is not one, or not any more"),
        (status = 429, description = "too many tries")))]
pub(crate) async fn create(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    who: Who,
    Json(input): Json<ClaimInput>,
) -> Result<(StatusCode, axum::Json<RegistrationView>), Problem> {
    let address = session::address(&app, peer.address.ip(), &headers);
    let code = site_of(&app, &input.code, address).await?;
    let person = &who.person.id;
    let claim = claim(&app, code.site_id, person.clone(), &input.unit, input.message.as_deref())?;
    let detail = json!({ "person": person, "account": "own" });
    let noted =
        app.noting(Some(person), Some(&claim.site_id), "registration.create", claim.id.as_str(), &detail);
    filed(noted.register(&code.token_hash, &claim, None).await?)?;
    let site = app.repository().site(&claim.site_id).await?.ok_or(Problem::LinkOver)?;
    Ok((StatusCode::CREATED, axum::Json(view(claim, &site.name, &who.person.name))))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// All of this site, for its administrators; without it one's own.
    site_id: Option<String>,
    /// `waiting`, `accepted` or `refused`.
    state: Option<String>,
}

/// Registrations: my own, or a site's for its administrators.
#[utoipa::path(get, path = "/api/v1/registrations", tag = "accounts", operation_id = "list_registrations",
    params(Filter), responses((status = 200, body = List<RegistrationView>), (status = 403), (status = 404)))]
pub(crate) async fn list(
    State(app): State<App>,
    who: Who,
    Query(filter): Query<Filter>,
) -> Result<axum::Json<List<RegistrationView>>, Problem> {
    let repository = app.repository();
    let mut views = Vec::new();
    if let Some(site) = &filter.site_id {
        let site = id(SiteId::parse, site)?;
        who.must_manage(&app, &site)?;
        let site = repository.site(&site).await?.ok_or(Problem::NotFound)?;
        for (registration, person) in repository.registrations(&site.id).await? {
            views.push(view(registration, &site.name, &person.name));
        }
    } else {
        for registration in repository.registrations_of(&who.person.id).await? {
            let site = repository.site(&registration.site_id).await?.ok_or(Problem::NotFound)?;
            views.push(view(registration, &site.name, &who.person.name));
        }
    }
    views.retain(|view| filter.state.as_ref().is_none_or(|state| state == view.state.word()));
    Ok(axum::Json(List::whole(views)))
}

/// A registration of a site that this person manages, still waiting.
pub(crate) async fn waiting(app: &App, who: &Who, text: &str) -> Result<Registration, Problem> {
    let found = app.repository().registration(&id(RegistrationId::parse, text)?).await?;
    let found = found.ok_or(Problem::NotFound)?;
    who.must_manage(app, &found.site_id)?;
    if found.state != RegistrationState::Waiting {
        return Err(Problem::Conflict("it was decided already; look at it again"));
    }
    Ok(found)
}

/// The answer to a decision.
pub(crate) async fn decided(
    app: &App,
    registration: Registration,
) -> Result<axum::Json<RegistrationView>, Problem> {
    let site = app.repository().site(&registration.site_id).await?.ok_or(Problem::NotFound)?;
    let person = app.repository().person(&registration.person_id).await?.ok_or(Problem::NotFound)?;
    Ok(axum::Json(view(registration, &site.name, &person.name)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefusalInput {
    reason: String,
}

/// Refuse a registration; its person reads why.
#[utoipa::path(post, path = "/api/v1/registrations/{id}/refuse", tag = "rights",
    operation_id = "refuse_registration", params(("id" = String, Path)), request_body = RefusalInput,
    responses((status = 200, body = RegistrationView), (status = 404), (status = 409)))]
pub(crate) async fn refuse(
    State(app): State<App>,
    who: Who,
    Path(registration): Path<String>,
    Json(input): Json<RefusalInput>,
) -> Result<axum::Json<RegistrationView>, Problem> {
    let mut registration = waiting(&app, &who, &registration).await?;
    let reason = name("/reason", &input.reason)?;
    if !refuse_one(&app, &who.person.id, &mut registration, &reason).await? {
        return Err(Problem::Conflict("somebody else has just decided it; look at it again"));
    }
    decided(&app, registration).await
}

async fn refuse_one(
    app: &App,
    by: &PersonId,
    registration: &mut Registration,
    reason: &str,
) -> Result<bool, Problem> {
    registration.state = RegistrationState::Refused;
    registration.decided_by = Some(by.clone());
    registration.decided_at = Some(app.now());
    registration.reason = Some(reason.to_owned());
    let (site, detail) = (Some(&registration.site_id), json!({ "reason": reason }));
    Ok(app
        .noting(Some(by), site, "registration.refused", registration.id.as_str(), &detail)
        .refuse_registration(registration)
        .await?)
}

/// Refuses all that waits of a person.
pub(crate) async fn refuse_all_of(
    app: &App,
    by: &PersonId,
    person: &PersonId,
    reason: &str,
) -> Result<(), Problem> {
    for mut registration in app.repository().registrations_of(person).await? {
        if registration.state == RegistrationState::Waiting {
            refuse_one(app, by, &mut registration, reason).await?;
        }
    }
    Ok(())
}

/// Somebody is a member now: the log says so, and their household asks for its cameras.
pub(crate) async fn ask(
    app: &App,
    registration: &Registration,
    household: &domain::HouseholdId,
) -> Result<(), Problem> {
    let (site, person) = (registration.site_id.clone(), &registration.person_id);
    renewal::ask_for_household(app, site, household.clone(), person, app.now()).await
}
