//! How I can be reached beyond the page, and when I want to be left alone.

use crate::access::Who;
use crate::extract::Json;
use crate::{App, Problem, token};
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::SubscriptionId;
use domain::message::contact::{Contact, Quiet, Subscription, is_mail, is_phone};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

/// The most characters of a push service's address.
const ENDPOINT: usize = 1_000;
/// Bytes of a browser's key: a point of P-256, uncompressed.
const KEY: usize = 65;
/// Bytes of what a browser shares with us.
const AUTH: usize = 16;

/// A part of each day, in the site's time; it may go over midnight.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuietHours {
    /// It begins at this minute of the day.
    #[schema(maximum = 1439)]
    from_minute: u16,
    /// It is over at this one.
    #[schema(maximum = 1439)]
    until_minute: u16,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ContactView {
    /// Where letters go.
    mail: Option<String>,
    /// Which telephone rings, for those whose work it is to answer alarms.
    phone: Option<String>,
    /// When I am left alone; alarms of the highest severity come all the same.
    quiet: Option<QuietHours>,
    /// The key with which this browser asks its push service; null where Web Push is off.
    push_key: Option<String>,
    /// Whether this browser is told while it is closed.
    push_here: bool,
    /// How many of my browsers are.
    push_devices: usize,
}

/// What is left out is not there any more.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContactInput {
    #[schema(max_length = 254)]
    mail: Option<String>,
    /// Digits, with a + before them if it is of another country.
    #[schema(max_length = 16)]
    phone: Option<String>,
    quiet: Option<QuietHours>,
}

/// What a browser answers when it has asked its push service.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubscriptionInput {
    /// Where the push service takes messages for it.
    #[schema(max_length = 1000)]
    endpoint: String,
    keys: SubscriptionKeys,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubscriptionKeys {
    /// Its public key, base64url.
    p256dh: String,
    /// What it shares with the gateway, base64url.
    auth: String,
}

async fn view(app: &App, who: &Who) -> Result<axum::Json<ContactView>, Problem> {
    let contact = app.repository().contact(&who.person.id).await?;
    let subscriptions = app.repository().subscriptions(&who.person.id, app.now()).await?;
    let hours = |quiet: Quiet| {
        let (from_minute, until_minute) = quiet.minutes();
        QuietHours { from_minute, until_minute }
    };
    Ok(axum::Json(ContactView {
        mail: contact.mail,
        phone: contact.phone,
        quiet: contact.quiet.map(hours),
        push_key: app.parts.push_key.clone(),
        push_here: subscriptions.iter().any(|subscription| subscription.session_id == who.session.id),
        push_devices: subscriptions.len(),
    }))
}

/// How I can be reached.
#[utoipa::path(get, path = "/api/v1/contact", tag = "accounts", operation_id = "get_contact",
    responses((status = 200, body = ContactView)))]
pub(crate) async fn get(State(app): State<App>, who: Who) -> Result<axum::Json<ContactView>, Problem> {
    view(&app, &who).await
}

/// Say how I can be reached: all of it.
#[utoipa::path(put, path = "/api/v1/contact", tag = "accounts", operation_id = "set_contact",
    request_body = ContactInput, responses((status = 200, body = ContactView)))]
pub(crate) async fn set(
    State(app): State<App>,
    who: Who,
    Json(input): Json<ContactInput>,
) -> Result<axum::Json<ContactView>, Problem> {
    if input.mail.as_deref().is_some_and(|mail| !is_mail(mail)) {
        return Err(Problem::field("/mail", "it is no address for mail; write it like name@example.net"));
    }
    if input.phone.as_deref().is_some_and(|phone| !is_phone(phone)) {
        return Err(Problem::field(
            "/phone",
            "write its digits and nothing else, like 13800138000 or +8613800138000",
        ));
    }
    let quiet = match input.quiet {
        None => None,
        Some(QuietHours { from_minute, until_minute }) => {
            let wrong =
                || Problem::field("/quiet", "it is from one minute of the day, 0 to 1439, until another");
            Some(Quiet::new(from_minute, until_minute).ok_or_else(wrong)?)
        }
    };
    let contact = Contact { mail: input.mail, phone: input.phone, quiet };
    // That it was changed is noted, and not to what.
    let id = who.person.id.as_str();
    app.noting(Some(&who.person.id), None, "contact.change", id, &json!({}))
        .set_contact(&who.person.id, &contact)
        .await?;
    view(&app, &who).await
}

/// Have this browser told while it is closed.
#[utoipa::path(put, path = "/api/v1/push-subscription", tag = "accounts", operation_id = "subscribe",
    request_body = SubscriptionInput,
    responses((status = 204), (status = 409, description = "Web Push is off")))]
pub(crate) async fn subscribe(
    State(app): State<App>,
    who: Who,
    Json(input): Json<SubscriptionInput>,
) -> Result<StatusCode, Problem> {
    if app.parts.push_key.is_none() {
        return Err(Problem::Conflict(
            "this gateway tells no browsers; ask whoever runs it to set push.contact",
        ));
    }
    let is_service = input.endpoint.len() <= ENDPOINT
        && Url::parse(&input.endpoint).is_ok_and(|url| {
            url.scheme() == "https" && url.has_host() && url.username().is_empty() && url.password().is_none()
        });
    if !is_service {
        return Err(Problem::field(
            "/endpoint",
            "it is no address of a push service; send what the browser has answered",
        ));
    }
    let bytes = |text: &str, count: usize| {
        URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok().filter(|bytes| bytes.len() == count)
    };
    let key = bytes(&input.keys.p256dh, KEY).filter(|key| key[0] == 4);
    let key = key.ok_or_else(|| {
        Problem::field("/keys/p256dh", "it is no public key; send what the browser has answered")
    })?;
    let auth = bytes(&input.keys.auth, AUTH).ok_or_else(|| {
        Problem::field("/keys/auth", "it is not 16 bytes; send what the browser has answered")
    })?;
    let subscription = Subscription {
        id: SubscriptionId::from_random(token::random()),
        person_id: who.person.id.clone(),
        session_id: who.session.id.clone(),
        endpoint: input.endpoint,
        key,
        auth,
        created_at: app.now(),
    };
    app.noting(Some(&who.person.id), None, "push.on", who.session.id.as_str(), &json!({}))
        .subscribe(&subscription)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Have this browser left alone while it is closed.
#[utoipa::path(delete, path = "/api/v1/push-subscription", tag = "accounts", operation_id = "unsubscribe",
    responses((status = 204), (status = 404)))]
pub(crate) async fn unsubscribe(State(app): State<App>, who: Who) -> Result<StatusCode, Problem> {
    let there = app
        .noting(Some(&who.person.id), None, "push.off", who.session.id.as_str(), &json!({}))
        .unsubscribe(&who.session.id)
        .await?;
    if there { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::NotFound) }
}
