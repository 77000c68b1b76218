//! The integration tests: one binary, folders by subject.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails, helpers included"
)]

mod api;
mod architecture;
mod archive;
mod capture;
mod cli;
mod compose;
mod dev_run;
mod docs;
mod e2e;
mod evidence;
mod promises;
mod proxy;
mod real;
mod retain;
mod service;
mod settings;
mod support;
mod witness;
