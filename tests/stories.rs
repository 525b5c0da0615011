//! The stories: what people and machines do with the gateway, end to end, over
//! real sockets. One file a story, one binary, so that it is linked once.

mod doors;
mod guardrails;
mod ingest;
mod live;
mod outage;
mod permissions;
mod players;
mod registry;
mod rtsp_server;
mod store;
mod support;
