//! What every route of a kind can answer besides its own, declared in the OpenAPI
//! document once: the refusals of the layers, the access check and the extractors.

use crate::access::Access;
use crate::router::Declared;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, Content, OpenApi, Ref, RefOr, ResponseBuilder};

/// The one response that all refusals share.
const PROBLEM: &str = "Problem";
/// How people prove who they are, and how devices do.
const SESSION: &str = "session";
const DEVICE: &str = "device";

/// Declares the shared response and both ways of proof.
pub(crate) fn components(components: &mut Components) {
    let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Document"))));
    let problem = ResponseBuilder::new()
        .description("a refusal that says what is wrong and what to do")
        .content("application/problem+json", content)
        .build();
    components.responses.insert(PROBLEM.to_owned(), problem.into());
    let cookie = ApiKey::Cookie(ApiKeyValue::with_description(
        "session",
        "set by signing in; `__Host-session` where the gateway is reached through TLS",
    ));
    components.add_security_scheme(SESSION, SecurityScheme::ApiKey(cookie));
    components.add_security_scheme(DEVICE, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
}

/// Declares what an operation can refuse with.
fn operation(operation: &mut Operation, access: Access, changes: bool) {
    let mut statuses = vec![503];
    let has = |wanted: ParameterIn| {
        operation.parameters.iter().flatten().any(|parameter| match parameter {
            RefOr::T(parameter) => parameter.parameter_in == wanted,
            RefOr::Ref(_) => false,
        })
    };
    match access {
        Access::Public => {}
        Access::Own => statuses.push(401),
        // Tokens that are none are not tried for ever.
        Access::Device => statuses.extend([401, 429]),
        // 403 where a passkey is needed first.
        Access::SignedIn | Access::Manage | Access::Respond | Access::Audit => statuses.extend([401, 403]),
    }
    // Another site's page.
    if changes {
        statuses.push(403);
    }
    // Too many acts of one person.
    if changes && !matches!(access, Access::Public | Access::Device) {
        statuses.push(429);
    }
    if has(ParameterIn::Path) {
        statuses.push(404);
    }
    if has(ParameterIn::Query) {
        statuses.push(422);
    }
    if operation.request_body.is_some() {
        statuses.extend([400, 413, 415, 422]);
    }
    let responses = &mut operation.responses.responses;
    for status in statuses {
        let none = RefOr::Ref(Ref::from_response_name(PROBLEM));
        responses.entry(status.to_string()).or_insert(none);
    }
    // A handler's own refusals have the same body, with a description of their own.
    for (status, response) in responses.iter_mut() {
        if let RefOr::T(own) = response
            && status.starts_with(['4', '5'])
            && own.content.is_empty()
        {
            if own.description.is_empty() {
                *response = RefOr::Ref(Ref::from_response_name(PROBLEM));
            } else {
                let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Document"))));
                own.content.insert("application/problem+json".to_owned(), content.into());
            }
        }
    }
    operation.security = match access {
        Access::Public => None,
        Access::Own | Access::SignedIn | Access::Manage | Access::Respond | Access::Audit => {
            Some(vec![SecurityRequirement::new(SESSION, <[&str; 0]>::default())])
        }
        Access::Device => Some(vec![SecurityRequirement::new(DEVICE, <[&str; 0]>::default())]),
    };
}

/// Declares what a route can refuse with.
pub(crate) fn declare(document: &mut OpenApi, route: &Declared) {
    let Some(item) = document.paths.paths.get_mut(&route.path) else { return };
    let found = match route.method {
        "GET" => &mut item.get,
        "POST" => &mut item.post,
        "PUT" => &mut item.put,
        "PATCH" => &mut item.patch,
        _ => &mut item.delete,
    };
    if let Some(found) = found {
        operation(found, route.access, route.method != "GET");
    }
}
