//! The HTTP face of the gateway: the API, the live WebSocket, the page.
//!
//! What belongs here: routes, their permissions, their JSON. What does not:
//! SQL (only `domain::repository` traits are known), the pulling of cameras,
//! and the decision who is admitted to a stream, which the root package's
//! `admit.rs` makes behind [`live::Admit`]. Who may depend on it: the root
//! package.
//!
//! Where things are: `router` lists every route with its permission, `layers`
//! every layer, `error` every refusal; then one file per noun.

mod acceptance;
pub mod access;
mod account;
mod alarm;
mod approval;
mod assets;
pub mod bucket;
mod button;
mod button_test;
mod called;
mod camera;
mod camera_input;
mod ceremony;
mod contact;
mod decision;
mod delivery;
mod device;
mod door_event;
mod drill;
mod error;
mod extract;
#[doc(hidden)]
pub mod fuzz;
mod group;
pub mod health;
mod hls;
mod household;
mod idempotency;
mod import;
mod incident;
mod incident_view;
pub mod intake;
mod invitation;
mod join;
mod join_code;
mod layers;
pub mod live;
mod passkey;
mod passkey_sign_in;
pub mod password;
mod person;
mod place;
mod probe;
mod refusals;
pub mod refused;
mod register;
mod registration;
mod rendition;
mod renewal;
pub mod router;
mod schema;
pub mod serve;
mod session;
pub mod setup;
mod site;
mod sitting;
mod snapshot;
pub mod source;
mod state;
mod stream;
mod throttle;
pub mod tls;
pub mod token;
mod trust;
mod viewer_key;
mod websocket;
mod whep;
mod wire;
mod zone;

pub use error::Problem;
pub use state::{App, Parts, PublicUrl};
