//! Sharp Eyes: a gateway for the cameras of compounds and villages.
//!
//! The map of the house:
//! - `media` (pure): frames and their wire forms · `domain` (pure): words and the
//!   one decision · `store`: SQL · `relay`: cameras in, viewers out · `web`: HTTP.
//! - Here both planes meet, in two files only: [`reconcile`] (registry ⇒ which
//!   sources are pulled, and what people are told of them) and [`admit`] (person +
//!   stream ⇒ admission, and its end).
//! - `quota` counts how much one person watches.
//! - [`incidents`] lets time limits run out, [`notices`] wakes the pages that listen; what others do
//!   to the database they hear by its [`pulse`].
//! - [`notify`] tells people beyond the open page.
//! - `mqtt` hears devices that tell by a broker, `alert_stream` fetches from those that are asked.
//! - `pictures` takes the pictures of door events.
//! - [`spool`] keeps the register's entries while it cannot be written, [`event_spool`] what
//!   devices tell; each has a `desk`, a thread that waits for the disk.
//! - [`sweep`] removes what is over.
//! - [`tls`] keeps the certificate of the gateway's own TLS.
//! - [`app`] is the order of building and of closing, [`settings`] every key,
//!   [`demo`] the data of `scripts/run --demo`.

pub mod admin;
pub mod admit;
mod alert_stream;
pub mod app;
pub mod audit;
pub mod clock;
pub mod demo;
mod desk;
pub mod disk;
pub mod event_spool;
#[doc(hidden)]
pub mod fuzz;
pub mod incidents;
mod journal;
mod lasting;
mod mqtt;
pub mod notices;
pub mod notify;
mod pictures;
pub mod pulse;
pub mod questions;
mod quota;
pub mod reconcile;
pub mod settings;
pub mod spool;
pub mod sweep;
pub mod tls;

pub use app::{App, Listeners};
pub use settings::Settings;
