//! The audit API: the real router behind a real listener, on a real archive, asked over a real socket.

mod attachments;
mod call;
mod desk;
mod document;
mod filters;
mod fuzz;
mod kept;
mod limits;
mod listener;
mod metrics;
mod p5;
mod paging;
mod parameters;
mod problems;
mod proofs;
mod ranges;
mod record;
mod roles;
mod routes;
mod schema;
mod search;
mod service;
mod tokens;
mod world;
