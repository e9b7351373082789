//! Test support: runs a service inside the test ([`Server`]) or as the real binary ([`Process`]),
//! and talks HTTP to it ([`client`]).
//!
//! Whatever fails here fails the test, hence the panics.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "test support"
)]

pub mod client;

mod process;
mod server;

pub use http_body_util::Full;

pub use client::{Connection, Response, get, request, send};
pub use process::{Process, run};
pub use server::Server;
