//! The stories: what people and machines do with the gateway, end to end, over
//! real sockets. One file a story, one binary, so that it is linked once.

#![expect(
    clippy::disallowed_methods,
    reason = "a test is over when its function is; real time is what it measures"
)]
#![expect(clippy::unwrap_used, reason = "in a test a failure is a panic")]

/// As the program has it.
#[global_allocator]
static ALLOCATOR: meter::Metered = meter::Metered;

mod accounts;
mod alert_stream;
mod approvals;
mod bad_lines;
mod called;
mod contacts;
mod decoder;
mod door_pictures;
mod doors;
mod durability;
mod filmed;
mod full_disk;
mod groups;
mod guardrails;
mod hanging_disk;
mod hls;
mod homes;
mod hostile_camera;
mod import;
mod incidents;
mod ingest;
mod intake;
mod invitations;
mod joining;
mod keys;
mod limits;
mod live;
mod lock_order;
mod malformed;
mod marks;
mod mqtt;
mod noted;
mod notify;
mod oracle;
mod outage;
mod parity;
mod parts;
mod passkeys;
mod permissions;
mod players;
mod quiet;
mod refusals;
mod registers;
mod registry;
mod renditions;
mod renewal;
mod retention;
mod revocation;
mod rtsp_server;
mod secrets;
mod slow_readers;
mod snapshots;
mod sources;
mod spooled;
mod ssrf;
mod stills;
mod store;
mod storm;
mod stream;
mod support;
mod surface;
mod tls;
mod together;
mod viewings;
mod ways;
mod whep;
mod whep_abuse;
mod zones;
