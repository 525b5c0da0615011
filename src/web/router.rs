//! Every route and what it demands. A route can only be added together with
//! its [`Access`]; the authorisation matrix in `tests/` is derived from this list.

use crate::access::{self, Access};
use crate::{App, Problem, assets, layers, refusals};
use axum::middleware;
use axum::routing::get;
use axum::{Json, Router};
use utoipa::OpenApi as _;
use utoipa::openapi::path::Paths;
use utoipa::openapi::{OpenApi, RefOr, Schema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

struct Entry {
    access: Access,
    route: UtoipaMethodRouter<App>,
}

fn public(route: UtoipaMethodRouter<App>) -> Entry {
    Entry { access: Access::Public, route }
}

fn own(route: UtoipaMethodRouter<App>) -> Entry {
    Entry { access: Access::Own, route }
}

fn signed_in(route: UtoipaMethodRouter<App>) -> Entry {
    Entry { access: Access::SignedIn, route }
}

fn manage(route: UtoipaMethodRouter<App>) -> Entry {
    Entry { access: Access::Manage, route }
}

fn respond(route: UtoipaMethodRouter<App>) -> Entry {
    Entry { access: Access::Respond, route }
}

fn audit(route: UtoipaMethodRouter<App>) -> Entry {
    Entry { access: Access::Audit, route }
}

fn device(route: UtoipaMethodRouter<App>) -> Entry {
    Entry { access: Access::Device, route }
}

#[rustfmt::skip]
fn entries() -> Vec<Entry> {
    vec![
        // Accounts
        public(routes!(crate::setup::create_owner)),
        public(routes!(crate::session::sign_in)),
        public(routes!(crate::join::join)),
        public(routes!(crate::registration::register)),
        public(routes!(crate::trust::trust)),
        public(routes!(crate::trust::certificate)),
        public(routes!(crate::passkey_sign_in::place)),
        public(routes!(crate::passkey_sign_in::begin_sign_in)),
        public(routes!(crate::passkey_sign_in::sign_in)),
        own(routes!(crate::session::current)),
        own(routes!(crate::session::sign_out)),
        own(routes!(crate::session::list)),
        own(routes!(crate::session::end)),
        own(routes!(crate::account::change)),
        own(routes!(crate::passkey::list)),
        own(routes!(crate::passkey::begin)),
        own(routes!(crate::passkey::create)),
        own(routes!(crate::passkey::delete)),
        signed_in(routes!(crate::viewer_key::list)),
        signed_in(routes!(crate::viewer_key::create)),
        signed_in(routes!(crate::viewer_key::delete)),
        signed_in(routes!(crate::registration::list)),
        signed_in(routes!(crate::registration::create)),
        signed_in(routes!(crate::household::homes)),
        signed_in(routes!(crate::contact::get)),
        signed_in(routes!(crate::contact::set)),
        signed_in(routes!(crate::contact::subscribe)),
        signed_in(routes!(crate::contact::unsubscribe)),
        // Registry
        signed_in(routes!(crate::site::list)),
        signed_in(routes!(crate::site::get)),
        manage(routes!(crate::site::create)),
        manage(routes!(crate::site::update)),
        manage(routes!(crate::site::delete)),
        signed_in(routes!(crate::place::list)),
        signed_in(routes!(crate::place::get)),
        manage(routes!(crate::place::create)),
        manage(routes!(crate::place::update)),
        manage(routes!(crate::place::delete)),
        signed_in(routes!(crate::camera::list)),
        signed_in(routes!(crate::camera::get)),
        manage(routes!(crate::camera::create)),
        manage(routes!(crate::probe::probe)),
        manage(routes!(crate::import::import)),
        manage(routes!(crate::camera::update)),
        manage(routes!(crate::camera::delete)),
        manage(routes!(crate::device::list)),
        manage(routes!(crate::device::create)),
        manage(routes!(crate::device::update)),
        manage(routes!(crate::device::new_token)),
        // Rights
        signed_in(routes!(crate::approval::list)),
        signed_in(routes!(crate::approval::request)),
        signed_in(routes!(crate::renewal::renew)),
        manage(routes!(crate::decision::grant)),
        manage(routes!(crate::decision::refuse)),
        manage(routes!(crate::decision::revoke)),
        manage(routes!(crate::join_code::get)),
        manage(routes!(crate::join_code::create)),
        manage(routes!(crate::join_code::delete)),
        manage(routes!(crate::acceptance::accept)),
        manage(routes!(crate::registration::refuse)),
        manage(routes!(crate::household::units)),
        manage(routes!(crate::household::create_unit)),
        manage(routes!(crate::household::list)),
        manage(routes!(crate::household::create)),
        manage(routes!(crate::household::end)),
        manage(routes!(crate::household::end_member)),
        manage(routes!(crate::invitation::list)),
        manage(routes!(crate::invitation::create)),
        manage(routes!(crate::invitation::withdraw)),
        manage(routes!(crate::person::list)),
        manage(routes!(crate::person::update)),
        manage(routes!(crate::account::reset)),
        manage(routes!(crate::person::roles)),
        manage(routes!(crate::person::give)),
        manage(routes!(crate::person::end)),
        manage(routes!(crate::zone::list)),
        manage(routes!(crate::zone::create)),
        manage(routes!(crate::zone::update)),
        manage(routes!(crate::zone::delete)),
        manage(routes!(crate::person::viewers_allowed)),
        manage(routes!(crate::person::see_as)),
        manage(routes!(crate::health::health)),
        // Watching
        signed_in(routes!(crate::live::watch)),
        signed_in(routes!(crate::hls::index)),
        signed_in(routes!(crate::hls::playlist)),
        signed_in(routes!(crate::hls::file)),
        signed_in(routes!(crate::whep::open)),
        signed_in(routes!(crate::whep::patch)),
        signed_in(routes!(crate::whep::close)),
        signed_in(routes!(crate::snapshot::picture)),
        // Registers
        signed_in(routes!(crate::register::viewings)),
        signed_in(routes!(crate::register::removed)),
        audit(routes!(crate::register::audit)),
        signed_in(routes!(crate::register::head)),
        // Events
        device(routes!(crate::intake::cloudevents::receive)),
        device(routes!(crate::intake::hikvision::receive)),
        device(routes!(crate::intake::hikvision::receive_by_address)),
        device(routes!(crate::intake::zkteco::ask, crate::intake::zkteco::receive)),
        respond(routes!(crate::intake::list::events)),
        signed_in(routes!(crate::door_event::list)),
        signed_in(routes!(crate::door_event::picture)),
        signed_in(routes!(crate::stream::listen)),
        // Alarms and incidents
        signed_in(routes!(crate::alarm::raise)),
        signed_in(routes!(crate::incident::list)),
        signed_in(routes!(crate::incident::get)),
        signed_in(routes!(crate::incident::act)),
        signed_in(routes!(crate::incident::answer)),
        signed_in(routes!(crate::group::list)),
        signed_in(routes!(crate::group::get)),
        manage(routes!(crate::group::create)),
        manage(routes!(crate::group::delete)),
        signed_in(routes!(crate::group::join)),
        signed_in(routes!(crate::group::leave)),
        signed_in(routes!(crate::drill::list)),
        respond(routes!(crate::drill::begin)),
        signed_in(routes!(crate::button::list)),
        respond(routes!(crate::button::begin)),
        respond(routes!(crate::button::end)),
        signed_in(routes!(crate::button_test::list)),
        respond(routes!(crate::button_test::create)),
    ]
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Sharp Eyes",
        version = "1",
        description = "A gateway that registers cameras, proxies their streams to approved viewers and \
            records door and alarm events. Times are RFC 3339 UTC, ids are opaque, errors are RFC 9457 \
            problem documents."
    ),
    components(schemas(crate::error::Document))
)]
struct Api;

/// One route as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The HTTP method.
    pub method: &'static str,
    /// The path with its `{parameters}`.
    pub path: String,
    /// What it demands.
    pub access: Access,
}

/// All routes of the API, for the tests that walk over them.
#[must_use]
pub fn declared() -> Vec<Declared> {
    entries().into_iter().flat_map(|entry| methods(&entry.route.1, entry.access)).collect()
}

fn methods(paths: &Paths, access: Access) -> Vec<Declared> {
    let of = |(path, item): (&String, &utoipa::openapi::PathItem)| {
        [
            ("GET", item.get.is_some()),
            ("POST", item.post.is_some()),
            ("PUT", item.put.is_some()),
            ("PATCH", item.patch.is_some()),
            ("DELETE", item.delete.is_some()),
        ]
        .into_iter()
        .filter(|(_, there)| *there)
        .map(|(method, _)| Declared { method, path: path.clone(), access })
        .collect::<Vec<_>>()
    };
    paths.paths.iter().flat_map(of).collect()
}

/// The OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    let entries = entries();
    let declared: Vec<_> = entries.iter().flat_map(|entry| methods(&entry.route.1, entry.access)).collect();
    let routers = entries.into_iter().map(|entry| entry.route);
    let (_, mut document) = routers
        .fold(OpenApiRouter::<App>::with_openapi(Api::openapi()), OpenApiRouter::routes)
        .split_for_parts();
    add_patches(&mut document);
    refusals::components(document.components.get_or_insert_default());
    for route in &declared {
        refusals::declare(&mut document, route);
    }
    document
}

/// A merge patch of `Thing` is a `Thing` in which nothing is required.
fn add_patches(document: &mut OpenApi) {
    let Some(components) = &mut document.components else { return };
    for name in ["SiteInput", "PlaceInput", "CameraInput", "ZoneInput", "DeviceInput"] {
        if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get(name) {
            let mut patch = object.clone();
            patch.required.clear();
            components.schemas.insert(name.replace("Input", "Patch"), RefOr::T(Schema::Object(patch)));
        }
    }
}

/// The whole HTTP service.
pub fn build(app: &App) -> Router {
    let checked = |entry: Entry| {
        let check = middleware::from_fn_with_state((app.clone(), entry.access), access::check);
        entry.route.map(|methods| methods.route_layer(check))
    };
    let (router, _) = entries()
        .into_iter()
        .map(checked)
        .fold(OpenApiRouter::<App>::new(), OpenApiRouter::routes)
        .split_for_parts();
    let document = openapi();
    let router = router
        .route("/api/v1/openapi.json", get(async move || Json(document)))
        .route("/api/docs", get(assets::docs))
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .fallback(assets::page)
        .with_state(app.clone());
    layers::around(router, app)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page's client is generated from this file, so a change of the API
    /// shows up in review and in the page's type check.
    #[test]
    fn the_openapi_document_is_the_one_that_is_checked_in() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let made = serde_json::to_string_pretty(&openapi()).unwrap() + "\n";
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == made, "the API has changed: run `UPDATE=1 cargo test -p web openapi`");
    }

    /// Two types of one name would stand for each other in the document.
    #[test]
    fn every_schema_has_its_own_name() {
        let mut seen: std::collections::BTreeMap<String, serde_json::Value> =
            std::collections::BTreeMap::new();
        for entry in entries() {
            for (name, schema) in entry.route.0 {
                let schema = serde_json::to_value(schema).unwrap();
                let before = seen.insert(name.clone(), schema.clone());
                assert!(before.is_none_or(|before| before == schema), "{name} is two things");
            }
        }
    }

    #[test]
    fn every_operation_has_its_own_name() {
        let document = serde_json::to_value(openapi()).unwrap();
        let mut names: Vec<String> = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|item| item.as_object().unwrap().values())
            .map(|operation| operation["operationId"].as_str().unwrap().to_owned())
            .collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
